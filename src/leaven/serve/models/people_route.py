"""The plain way to ask, for people and their scripts, and the way in which truth comes back.

POST /predict    {"records": [{…}, …]}, one record, or a form with files
POST /feedback   {"id": the id of a prediction, "label": …, "caused": false}
GET  /status     what answers, what waits, what went wrong
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from leaven.core.errors import UnknownNameError
from leaven.label.tasks import check_text
from leaven.serve.models.answering import Service, Told
from leaven.serve.models.asking import Question, Read, ask
from leaven.serve.models.described import body
from leaven.serve.models.limits import Refused
from leaven.serve.models.loading import Loaded
from leaven.serve.models.requests import KEY, answered, identity, parts, plain_json, printable
from leaven.serve.models.truth import keep_truth
from leaven.store.store import Store

__all__ = ["Feedback", "add_people_routes", "reads_records"]

_LAG = 2.0  # seconds that a log may take to write what was just answered
_PAUSE = 0.05  # seconds before the log is looked at again, doubled each time
_CAUGHT_UP = 30.0  # seconds after which the logs of other workers have written what waited


class Feedback(BaseModel):
    """What turned out to be true of a prediction.

    `caused` says that it was brought about by what was done because of the prediction.
    """

    model_config = ConfigDict(extra="forbid")
    id: Annotated[str, Field(min_length=1, max_length=80)]
    label: Annotated[str, Field(min_length=1, max_length=1000)]
    caused: StrictBool = False


def reads_records(service: Service) -> Read:
    """How a request to /predict is read."""
    tell = partial(_answer, service.name)

    def read(request: Request, told: bytes) -> Question:
        given, name, key = _asked(request, told, service)
        return Question(service.chosen(key, None), given, name, tell)

    return read


def add_people_routes(app: FastAPI, service: Service, store: Store) -> None:
    """Add the routes to an application."""
    read = reads_records(service)

    async def predict(request: Request) -> Response:
        return await ask(service, read, request)

    async def feedback(request: Request) -> Response:
        limits = service.settings.limits
        try:
            async with service.intake.body(request) as sent:
                told = Feedback.model_validate(plain_json(request, sent))
        except ValidationError as wrong:
            first = wrong.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part)[:40] for part in first["loc"]) or "body"
            raise Refused(422, f"'{where}': {first['msg']}.") from None
        check_text("id", told.id)
        classes = {name for one in service.routing.heard for name in one.classes}
        if told.label not in classes:
            raise Refused(422, str(UnknownNameError("label", told.label[:200], classes)))
        person = getattr(request.state, "person", "") or "production"
        try:
            async with asyncio.timeout(limits.seconds):
                again = await _kept(service, store, told, person)
        except TimeoutError:
            raise Refused(503, "The store did not take it in time. Send it again.", 5) from None
        if again is None:
            raise Refused(
                404, f"No prediction {told.id!r} is in the log: none was made, or it was not "
                "among those that are logged."
            )  # fmt: skip
        return answered({"id": told.id, "label": told.label, "again": again})

    async def status() -> Response:
        return answered(_status(service))

    record = {"type": "object", "additionalProperties": True}
    named = {"type": "string", "minLength": 1, "maxLength": 200}
    records = {"type": "array", "items": record, "minItems": 1}
    several = {
        "type": "object",
        "properties": {"records": records, "key": named, "id": named},
        "required": ["records"],
        "additionalProperties": False,
    }
    one_or_more = body({"anyOf": [several, record]}, files=True)
    app.add_api_route("/predict", predict, methods=["POST"], openapi_extra=one_or_more)
    app.add_api_route("/feedback", feedback, methods=["POST"], openapi_extra=body(Feedback))
    app.add_api_route("/status", status)


def _asked(request: Request, told: bytes, service: Service) -> tuple[list[object], str, str]:
    """The records of a request, its id and its key."""
    named: dict[str, Any] = {}
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        records = _uploaded(request, told, service, named)
    else:
        found = plain_json(request, told)
        live = service.routing.live
        bare = live.reader.only is not None or live.modality == "graph"
        if isinstance(found, dict) and isinstance(found.get("records"), list) and (
            "records" not in {column.name for column in live.reader.columns}
        ):  # fmt: skip
            if odd := sorted(found.keys() - {"records", "key", "id"}):
                raise Refused(422, f"Beside 'records' a request has 'key' and 'id', no {odd[0]!r}.")
            records, named = found["records"], found
        elif isinstance(found, dict) or (isinstance(found, str) and bare):
            records = [found]
        else:
            raise Refused(422, 'A request is a record, or {"records": [{…}, …]}.')
    name = identity(request, named.get("id"))
    key = named.get("key", request.headers.get(KEY))
    return records, name, name if key is None else printable("key", key)


def _uploaded(
    request: Request, told: bytes, service: Service, named: dict[str, Any]
) -> list[object]:
    """A record a file of a form, for models of pictures or sounds."""
    only = service.routing.live.reader.only
    if only is None or only.kind not in ("image", "audio"):
        raise Refused(415, "This model reads no files. Send its records as application/json.")
    records: list[object] = []
    for name, file, content in parts(request, told, service.settings.limits):
        if file is not None:
            records.append({only.name: content})
        elif name in ("key", "id"):
            named[name] = content[:1000].decode("utf-8", "replace")
    return records


async def _kept(service: Service, store: Store, told: Feedback, person: str) -> bool | None:
    """Keep it, once the log has written what was answered a moment ago, here or by another worker.

    None where no such prediction was logged; Refused (503) where that cannot be told, because the
    log could not be written lately.
    """
    log, alone = service.log, service.worker.of == 1
    taken, until, pause = log.taken, time.monotonic() + _LAG, _PAUSE
    while True:
        is_written = log.written >= taken
        found = await asyncio.to_thread(
            keep_truth,
            store, service.name, told.id, told.label, caused=told.caused, person=person,
        )  # fmt: skip
        if found is not None or (alone and is_written):
            return found
        if time.monotonic() > until:
            if is_written and not log.failed_within(_CAUGHT_UP):
                return None
            raise Refused(503, "The log is behind its answers. Send it again.", retry=5)
        log.hurry()
        await asyncio.sleep(pause)
        pause *= 2


def _answer(name: str, told: Told) -> dict[str, Any]:
    model = told.model
    return {
        "request": told.request,
        "model": name,
        "run": model.run,
        "version": model.digest,
        "place": told.place,
        "predictions": [
            {
                "id": one.name,
                "label": one.label,
                "probability": one.probability,
                "probabilities": dict(zip(model.classes, one.probabilities, strict=True)),
                "input": one.content,
                "abstained": one.abstained,
                "route": one.route,
                "explored": one.explored,
            }
            | ({"larger": one.larger} if model.larger is not None else {})
            for one in told.predictions
        ],
    }


def _status(service: Service) -> dict[str, Any]:
    routing, log = service.watch.routing, service.log

    def of(one: Loaded | None) -> dict[str, str] | None:
        if one is None:
            return None
        behind = {} if one.larger is None else {"larger": one.larger.run}
        return {"run": one.run, "version": one.digest} | behind

    told: dict[str, Any] = {"model": service.name, "ready": routing is not None}
    if routing is not None:
        told |= {
            "decision": routing.number, "live": of(routing.live), "canary": of(routing.canary),
            "share": routing.share, "shadow": of(routing.shadow), "back": of(routing.back),
        }  # fmt: skip
    if service.guard is not None:
        told["guard"] = service.guard.told()
    if service.sketcher is not None:
        told["sketches"] = service.sketcher.told()
    return told | {
        "problem": service.watch.problem,
        "worker": {**service.worker._asdict(), "process": os.getpid()},
        "accepted": service.batcher.accepted,
        "answered": service.answered,
        "waiting": service.batcher.records,
        "shadows_dropped": service.batcher.dropped,
        "log": {
            "written": log.written, "dropped": log.dropped, "asked": log.asked,
            "problem": log.problem,
        },
    }  # fmt: skip
