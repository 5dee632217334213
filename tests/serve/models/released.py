"""Released runs for the tests, and servers of them: a plugin with its fixtures."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from sklearn.datasets import load_digits

import leaven
from leaven import releasing
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.serve.listening import listening as listens
from leaven.serve.models.answering import Service
from leaven.serve.models.app import parts_of
from leaven.serve.models.heads import BoundedHeads
from leaven.store.store import Store

WORDS = {
    "billing": "invoice charged refund payment card price",
    "login": "error crash login password screen update",
    "delivery": "parcel late delivery address courier lost",
}


def said(number: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Made texts and their classes."""
    rng, names = random.Random(seed), list(WORDS)
    labels = [names[i % 3] for i in range(number)]
    return [" ".join(rng.choices(WORDS[name].split(), k=6)) for name in labels], labels


def fitted(data: Dataset, folder: Path) -> Run:
    return leaven.fit(data, method="logistic", out=str(folder), budget="5s")


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, y = said(90)
    given = [label if i < 30 else None for i, label in enumerate(y)]
    data = Dataset.from_arrays(x, given, name="tickets")
    return fitted(data, tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Run:
    images, y = load_digits(n_class=3, return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)[:60]
    given = [str(label) if i < 24 else None for i, label in enumerate(y[:60])]
    data = Dataset.from_arrays(pixels, given, name="digits")
    return fitted(data, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    n = 120
    label = rng.integers(0, 2, n)
    frame = pa.table(
        {
            "amount": (rng.normal(size=n) + label).tolist(),
            "count": rng.integers(0, 9, n).tolist(),
            "grade": [("low", "high")[one] if rng.random() < 0.8 else "7" for one in label],
            "paid": rng.integers(0, 2, n).astype(bool).tolist(),
            "day": [f"2024-0{1 + i % 9}-1{i % 9}" for i in range(n)],
            "label": [str(one) if i < 60 else None for i, one in enumerate(label)],
        }
    )
    data = Dataset.from_frame(frame, label="label", name="orders")
    return fitted(data, tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 60)
    x = rng.normal(size=(60, 4)) + 2 * label[:, None]
    given = [str(one) if i < 30 else None for i, one in enumerate(label)]
    data = Dataset.from_arrays(x, given, modality="embedding", name="vectors")
    return fitted(data, tmp_path_factory.mktemp("vectors"))


def copied(run: Run, folder: Path, name: str, heat: float) -> Run:
    """The run under another id, with a temperature `heat` times as high."""
    there = folder / name
    shutil.copytree(run.folder, there)
    told = json.loads((there / "model" / "predictor.json").read_text())
    told["temperature"] *= heat
    (there / "model" / "predictor.json").write_text(json.dumps(told))
    (there / "model" / "manifest.json").unlink(missing_ok=True)
    story = json.loads((there / "run.json").read_text())
    story["run"]["id"] = name
    (there / "run.json").write_text(json.dumps(story))
    return Run.load(there)


@pytest.fixture
def pair(texts: Run, tmp_path: Path) -> tuple[Run, Run]:
    """Two runs whose answers can be told apart by their probabilities."""
    return copied(texts, tmp_path, "first", 1.0), copied(texts, tmp_path, "second", 3.0)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "leaven.db")


def release(run: Run, store: str, **how: Any) -> dict[str, Any]:
    return releasing.release(run, by="ann", override="for a test", store=store, **how)


class Client(httpx.Client):
    """Requests to a server, with the service that it is."""

    service: Service

    def ask(self, text: str = "invoice refund", **headers: str) -> httpx.Response:
        return self.post("/predict", json={"text": text}, headers=headers)


@contextmanager
def served(store: str, name: str = "tickets", **how: Any) -> Iterator[Client]:
    """The application behind real HTTP, in a thread."""
    made = parts_of(Store(store), name, **({"every": 0.05} | how))
    listening = listens("127.0.0.1", [0])
    told = uvicorn.Config(
        made.app, http=BoundedHeads, log_level="critical", access_log=False, lifespan="on",
        proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(told)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with Client(base_url=address, timeout=30) as client:
            client.service = made.service
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
    assert not thread.is_alive()


class Process:
    """A server of its own that may be killed."""

    def __init__(self, store: str, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, store, str(port)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        assert self._process.stdout
        self.address = self._process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.address
        self.port = int(self.address.rpartition(":")[2])

    def send(self, signal: int) -> None:
        self._process.send_signal(signal)

    def wait(self) -> int:
        status = self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()
        return status


def eventually(is_so: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    ended = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return True
        ended.wait(0.02)
    return False


def raw(port: int, told: bytes, patience: float = 10.0) -> bytes:
    """What the server answers to bytes, until it ends the connection or waits for more of them."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
        line.sendall(told)
        found = b""
        with suppress(TimeoutError):
            while part := line.recv(65536):
                found += part
    return found


if __name__ == "__main__":
    from leaven import serving

    serving.serve(
        store=sys.argv[1], port=int(sys.argv[2]), opened=lambda told: print(told, flush=True)
    )
