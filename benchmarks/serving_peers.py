"""Servers of others, each given the same exported model, for `benchmarks.serving`.

Each is started by a Python that has it installed, in a folder that holds the exported model, and
answers the way it documents for a model of one's own:

    mlserver   a `MLModel`, by the Open Inference Protocol
    mlflow     a `pyfunc` model, `mlflow models serve` with its default server
    bentoml    a service of one method
    uvicorn    no model at all: what HTTP alone costs by the server that ours and MLServer stand on
"""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Server", "peer"]


@dataclass(frozen=True)
class Server:
    """How a server is started and where, and which path of it is asked.

    Without a `port` it says on its output where it is.
    """

    name: str
    command: list[str]
    path: str
    folder: Path
    port: int = 0


_ASK = """
from leaven_model.model import Model

MODEL = Model.load(".")
"""
_MLSERVER = (
    _ASK
    + """
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse


class Tickets(MLModel):
    async def predict(self, payload):
        texts = StringCodec.decode_input(payload.inputs[0])
        found = MODEL.predict([{"text": text} for text in texts])
        answer = StringCodec.encode_output("label", [one["label"] for one in found])
        return InferenceResponse(model_name=self.name, outputs=[answer])
"""
)
_MLFLOW = """
import mlflow
import pandas


class Tickets(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import sys
        sys.path.insert(0, context.artifacts["folder"])
        from leaven_model.model import Model
        self.model = Model.load(context.artifacts["folder"])

    def predict(self, context, model_input, params=None):
        return self.model.predict(model_input.to_dict("records"))


mlflow.pyfunc.save_model(
    "saved", python_model=Tickets(), artifacts={"folder": "."},
    signature=mlflow.models.infer_signature(pandas.DataFrame({"text": ["a"]})),
)
"""
_BENTOML = (
    _ASK
    + """
import bentoml


@bentoml.service(workers=1)
class Tickets:
    @bentoml.api
    def predict(self, text: str) -> dict:
        return MODEL.predict([{"text": text}])[0]
"""
)

_BARE = """
ANSWER = b'{"predictions": ["' + b"a" * 400 + b'"]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
"""

#: The peers that can be asked.
PEERS = ("mlserver", "mlflow", "bentoml", "uvicorn")


def peer(told: str, run: str, folder: Path) -> Server:
    """A peer told as NAME=PYTHON, with the exported model of a run in a folder of its own."""
    from leaven import exporting

    name, _, python = told.partition("=")
    if name not in PEERS or not python:
        raise SystemExit(f"A peer is NAME=PYTHON, NAME one of {', '.join(PEERS)}. Got {told!r}.")
    place = folder / name
    exporting.export(run, out=place)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return _SERVERS[name](python, place, port)


def _mlserver(python: str, place: Path, port: int) -> Server:
    (place / "tickets.py").write_text(_MLSERVER)
    model = {"name": "tickets", "implementation": "tickets.Tickets"}
    (place / "model-settings.json").write_text(json.dumps(model))
    settings = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    settings |= {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (place / "settings.json").write_text(json.dumps(settings))
    command = [python, "-m", "mlserver.cli.main", "start", "."]
    return Server("MLServer", command, "/v2/models/tickets/infer", place, port)


def _mlflow(python: str, place: Path, port: int) -> Server:
    (place / "save.py").write_text(_MLFLOW)
    subprocess.run([python, "save.py"], check=True, cwd=place)
    command = [python, "-m", "mlflow", "models", "serve", "-m", "saved", "-p", str(port)]
    return Server("MLflow", [*command, "--env-manager", "local"], "/invocations", place, port)


def _bentoml(python: str, place: Path, port: int) -> Server:
    (place / "service.py").write_text(_BENTOML)
    command = [python, "-m", "bentoml", "serve", "service:Tickets", "-p", str(port)]
    return Server("BentoML", [*command, "--host", "127.0.0.1"], "/predict", place, port)


def _bare(python: str, place: Path, port: int) -> Server:
    (place / "bare.py").write_text(_BARE)
    command = [python, "-m", "uvicorn", "bare:app", "--port", str(port), "--lifespan", "off"]
    command += ["--no-access-log", "--log-level", "warning"]
    return Server("bare uvicorn", command, "/predict", place, port)


_SERVERS = {"mlserver": _mlserver, "mlflow": _mlflow, "bentoml": _bentoml, "uvicorn": _bare}
