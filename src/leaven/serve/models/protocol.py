"""The Open Inference Protocol, version 2, over REST: the way that gateways and clients know.

    GET  /v2, /v2/health/live, /v2/health/ready
    GET  /v2/models/NAME[/versions/VERSION][/ready]
    POST /v2/models/NAME[/versions/VERSION]/infer

An input is a column: `{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["…", "…"]}`.
Outputs are `label`, `probability`, `probabilities` (n, k), `route`, and what an answer is traced
by: `prediction` (its id, for feedback) and `input` (the hash of its content). A version is the
digest of a model, 12 or more of its digits, or the id of its run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from starlette.requests import Request
from starlette.responses import Response

import leaven
from leaven.core.errors import UnknownNameError
from leaven.data.portable.nodes import NODE
from leaven.serve.models.answering import Service, Told
from leaven.serve.models.asking import Question, Read, ask
from leaven.serve.models.described import body, place
from leaven.serve.models.limits import Limits, Refused
from leaven.serve.models.loading import Loaded
from leaven.serve.models.requests import KEY, answered, identity, plain_json, printable

__all__ = ["Infer", "add_protocol", "reads_tensors"]

#: The header of an extension by which tensors follow the JSON as bytes.
_BINARY = "inference-header-content-length"
_INTEGERS = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
_NUMBERS = {"FP16", "FP32", "FP64", "BF16"}
_TYPES = {
    "text": "BYTES", "categorical": "BYTES", "datetime": "BYTES", "boolean": "BOOL",
    "numeric": "FP64", "vector": "FP32", "series": "FP64", "image": "BYTES", "audio": "BYTES",
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Input(_Strict):
    """A tensor of a request; data flat, or nested as its shape."""

    name: Annotated[str, Field(max_length=1000)]
    shape: Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=4)]
    datatype: Annotated[str, Field(max_length=20)]
    parameters: dict[str, Any] = {}
    data: list[Any]


class Output(_Strict):
    """A tensor that is asked for."""

    name: Annotated[str, Field(max_length=1000)]
    parameters: dict[str, Any] = {}


class Infer(_Strict):
    """A request: `key` among the parameters says whose it is."""

    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[Input], Field(min_length=1)]
    outputs: list[Output] | None = None


_OUTPUTS: dict[str, tuple[str, Callable[[Told], list[Any]]]] = {
    "label": ("BYTES", lambda told: [one.label for one in told.predictions]),
    "probability": ("FP32", lambda told: [one.probability for one in told.predictions]),
    "probabilities": (
        "FP32",
        lambda told: [p for one in told.predictions for p in one.probabilities],
    ),
    "route": ("BYTES", lambda told: [one.route for one in told.predictions]),
    "prediction": ("BYTES", lambda told: [one.name for one in told.predictions]),
    "input": ("BYTES", lambda told: [one.content for one in told.predictions]),
}


def reads_tensors(service: Service) -> Read:
    """How a request to /infer of the service is read."""

    def read(request: Request, told: bytes) -> Question:
        if _BINARY in request.headers:
            raise Refused(400, "Tensors come as JSON here: send them with binary_data=False.")
        try:
            asked = Infer.model_validate(plain_json(request, told))
        except ValidationError as wrong:
            raise _invalid(wrong) from None
        name = identity(request, asked.id)
        key = asked.parameters.get("key", request.headers.get(KEY))
        key = name if key is None else printable("key", key)
        chosen = service.chosen(key, request.path_params.get("version"))
        wanted = _wanted(asked.outputs)
        records = _records(asked, chosen.model, service.settings.limits)
        return Question(chosen, records, name, partial(_answer, service.name, wanted))

    return read


def add_protocol(app: FastAPI, service: Service) -> None:
    """Add the routes to an application."""
    read = reads_tensors(service)

    def loaded(request: Request) -> Loaded:
        check_name(service, request.path_params["name"])
        version = request.path_params.get("version")
        return service.routing.live if version is None else service.chosen("", version).model

    async def live() -> Response:
        return answered({"live": True})

    async def ready() -> Response:
        told: dict[str, Any] = {"ready": service.watch.routing is not None}
        if service.watch.problem:
            told["problem"] = service.watch.problem
        return answered(told, 200 if told["ready"] else 503)

    async def server() -> Response:
        return answered({"name": "leaven", "version": leaven.__version__, "extensions": []})

    async def model_ready(request: Request) -> Response:
        loaded(request)
        return answered({"name": service.name, "ready": True})

    async def about(request: Request) -> Response:
        model = loaded(request)
        heard = service.routing.heard
        return answered(_described(service.name, model, [one.digest for one in heard]))

    async def infer(request: Request) -> Response:
        check_name(service, request.path_params["name"])
        return await ask(service, read, request)

    app.add_api_route("/v2/health/live", live)
    app.add_api_route("/v2/health/ready", ready)
    app.add_api_route("/v2", server)
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        told = {"parameters": place(base, service.name)}
        add = partial(app.add_api_route, openapi_extra=told)
        add(base, about, operation_id=f"about {base}")
        add(f"{base}/ready", model_ready, operation_id=f"ready {base}")
        app.add_api_route(
            f"{base}/infer", infer, methods=["POST"], operation_id=f"infer {base}",
            openapi_extra=told | body(Infer),
        )  # fmt: skip


def check_name(service: Service, name: str) -> None:
    """Refused (404) for another model than the one that is served."""
    if name != service.name:
        raise Refused(404, f"There is no model {name[:80]!r} here, but {service.name!r}.")


def _invalid(wrong: ValidationError) -> Refused:
    first = wrong.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"]) or "body"
    return Refused(400, f"'{where}': {first['msg']}.")


def _records(asked: Infer, model: Loaded, limits: Limits) -> list[dict[str, Any]]:
    """The records whose columns the inputs are."""
    names = [one.name for one in asked.inputs]
    if len(set(names)) < len(names):
        raise Refused(400, "Each input needs a name of its own.")
    columns = {one.name: _cells(one, limits, model) for one in asked.inputs}
    sizes = {len(cells) for cells in columns.values()}
    if len(sizes) > 1:
        raise Refused(400, "All inputs must have the same number of records.")
    return [
        {name: cells[i] for name, cells in columns.items()} for i in range(sizes.pop())
    ]  # fmt: skip


def _cells(one: Input, limits: Limits, model: Loaded) -> list[Any]:
    """A cell a record: a value, or a list of them where the shape has further axes."""
    shape = one.shape
    if not shape or shape[0] > limits.records:
        raise Refused(400, f"'{one.name}' needs a shape that begins with 1 to {limits.records}.")
    flat: list[Any] = one.data
    if math.prod(shape) > limits.numbers:
        raise Refused(413, f"'{one.name}' has more than {limits.numbers} values.")
    for _ in shape[1:]:
        if flat and isinstance(flat[0], list):
            if not all(isinstance(part, list) for part in flat):
                raise Refused(400, f"'{one.name}' is nested here and not there.")
            flat = [value for part in flat for value in part]
    if len(flat) != math.prod(shape):
        wanted = math.prod(shape)
        raise Refused(400, f"'{one.name}' has {len(flat)} values, its shape {shape} {wanted}.")
    if not all(value is None or _fits(value, one.datatype) for value in flat):
        raise Refused(400, f"'{one.name}' has values that are not {one.datatype[:20]}.")
    kinds = {column.name: column.kind for column in model.reader.columns}
    only = model.reader.only
    kind = kinds.get(one.name, only.kind if only else "")
    if len(shape) == 1 or (shape[1:] == [1] and kind not in ("vector", "series")):
        return flat
    width = math.prod(shape[1:])
    rows = [flat[i * width : (i + 1) * width] for i in range(shape[0])]
    if len(shape) == 3:
        steps = shape[2]
        return [[row[i * steps : (i + 1) * steps] for i in range(shape[1])] for row in rows]
    return rows


def _fits(value: object, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if datatype in _INTEGERS:
        return isinstance(value, int)
    return datatype in _NUMBERS and isinstance(value, int | float)


def _wanted(outputs: Sequence[Output] | None) -> list[str]:
    if not outputs:
        return list(_OUTPUTS)
    for one in outputs:
        if one.name not in _OUTPUTS:
            raise Refused(400, str(UnknownNameError("output", one.name[:80], _OUTPUTS)))
    return [one.name for one in outputs]


def _answer(name: str, wanted: Sequence[str], told: Told) -> dict[str, Any]:
    n, k = len(told.predictions), len(told.model.classes)
    outputs = [
        {
            "name": output,
            "shape": [n, k] if output == "probabilities" else [n],
            "datatype": _OUTPUTS[output][0],
            "data": _OUTPUTS[output][1](told),
        }
        for output in wanted
    ]
    parameters = {"run": told.model.run, "place": told.place}
    return {
        "model_name": name, "model_version": told.model.digest, "id": told.request,
        "parameters": parameters, "outputs": outputs,
    }  # fmt: skip


def _described(name: str, model: Loaded, versions: list[str]) -> dict[str, Any]:
    spec, inputs = model.spec, []
    if model.modality == "graph":
        inputs.append({"name": NODE, "datatype": "BYTES", "shape": [-1]})
    for column in model.reader.columns if not inputs else ():
        shape = {"vector": [spec.get("width", -1)], "series": [-1, -1]}.get(column.kind, [])
        datatype = _TYPES.get(column.kind, "BYTES")
        inputs.append({"name": column.name, "datatype": datatype, "shape": [-1, *shape]})
    k = len(model.classes)
    outputs = [
        {"name": one, "datatype": told[0], "shape": [-1, k] if one == "probabilities" else [-1]}
        for one, told in _OUTPUTS.items()
    ]
    return {
        "name": name, "versions": versions, "platform": "leaven", "inputs": inputs,
        "outputs": outputs, "parameters": {"run": model.run, "classes": list(model.classes)},
    }  # fmt: skip
