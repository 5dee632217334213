"""What Label Studio asks of a model: predictions for its tasks, and news of its annotations.

    GET  /health    whether it is up
    POST /setup     the version of its model; refuses a project whose classes it does not know
    POST /predict   one list of predictions a task, in their order
    POST /webhook   an annotation came, changed or went: its task is fetched and taken

Who asks must know the secret, as the password of basic authentication or in `X-Leaven-Secret`. Of
a task only the id of its record is read, and only records of the run are known: no address that
stands in a task, nor the one that `/setup` brings, is ever opened. News are acknowledged at once
and fetched afterwards, for Label Studio waits a second for the answer while a person waits for it.

Source: Label Studio 1.23, `ml/api_connector.py`, `ml/models.py` and `webhooks/utils.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from leaven.core.errors import LeavenError, SettingError
from leaven.label.queue import Queue
from leaven.label.studio.answers import Taker
from leaven.label.studio.client import Client, StudioError
from leaven.label.studio.config import Config
from leaven.label.studio.known import Known
from leaven.label.studio.tasks import asked_in, prediction
from leaven.serve.listening import listening
from leaven.serve.safety import ANSWERS, Safe

__all__ = ["News", "application", "connect", "serve"]

_LARGEST = 16 * 1024 * 1024  # bytes of a request
_MOST = 5_000  # tasks of one
_USER, _HEADER = "leaven", "X-Leaven-Secret"
_ACTIONS = (
    "ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED",
)  # fmt: skip
_TRIES = 5
_PAUSE = 0.3  # seconds before news are fetched, more before each further try
_DRAIN = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Piece:
    """What is to be fetched: a task, or that of annotations; which annotation it must have."""

    task: int | None = None
    annotations: tuple[int, ...] = ()
    expected: int | None = None
    tries: int = 0


class News:
    """Fetches what Label Studio has told of, one after another, in a thread of its own.

    Parameters
    ----------
    project : the project as Label Studio describes it; news of others are not fetched.
    """

    def __init__(self, client: Client, queue: Queue, project: Mapping[str, Any]) -> None:
        self._client, self._queue, self._project = client, queue, project
        self._pieces: list[_Piece] = []
        self._changed = threading.Condition()
        self._ended = False
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="label-studio-news", daemon=True)
        self._thread.start()

    def of(self, told: Mapping[str, Any]) -> bool:
        """Note what a webhook told; whether it is something to fetch."""
        project = told.get("project")
        number = project.get("id") if isinstance(project, Mapping) else None
        if told.get("action") not in _ACTIONS or number not in (None, self._project["id"]):
            return False
        tasks, annotations = (
            [one["id"] for one in _listed(told, name) if isinstance(one.get("id"), int)]
            for name in (("task", "tasks"), ("annotation", "annotations"))
        )
        expected = annotations[0] if len(annotations) == len(tasks) == 1 else None
        pieces = [_Piece(task, expected=expected) for task in tasks]
        if not tasks:
            pieces = [_Piece(annotations=tuple(annotations))] if annotations else []
        with self._changed:
            self._pieces += pieces
            self._changed.notify()
        return bool(pieces)

    def wait(self, seconds: float = 30.0) -> bool:
        """Wait until nothing is left to fetch; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pieces and not self._busy, seconds)

    def end(self) -> None:
        """Fetch what there still is, and end."""
        self.wait(_DRAIN)
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(_DRAIN)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self._ended)
                if self._ended:
                    return
                pieces, self._pieces, self._busy = self._pieces, [], True
            time.sleep(_PAUSE * (1 + max(one.tries for one in pieces)))
            late = self._fetched(pieces)
            with self._changed:
                self._pieces += late
                self._busy = False
                self._changed.notify_all()

    def _fetched(self, pieces: Sequence[_Piece]) -> list[_Piece]:
        """Fetch and take; what is to be tried again."""
        late: list[_Piece] = []
        try:
            taker = Taker(self._client, self._queue, self._project)
            for one in dict.fromkeys(pieces):
                for task in {one.task} if one.task else taker.tasks_of(one.annotations):
                    if not self._took(taker, task, one.expected):
                        late.append(one)
        except LeavenError as failed:
            _log.warning("what Label Studio told of could not be fetched: %s", failed)
            late = list(pieces)
        again = [_Piece(p.task, p.annotations, p.expected, p.tries + 1) for p in late]
        for lost in (one for one in again if one.tries >= _TRIES):
            _log.error("given up: %s. leaven label-studio pull brings it.", lost)
        return [one for one in again if one.tries < _TRIES]

    def _took(self, taker: Taker, task: int, expected: int | None) -> bool:
        try:
            found = self._client.get(f"/api/tasks/{task}/")
        except StudioError as failed:
            if failed.status == 404:  # deleted meanwhile
                return True
            raise
        if not isinstance(found, Mapping) or found.get("project") != self._project["id"]:
            return True
        there = [one.get("id") for one in _listed(found, ("annotations",))]
        taker.take(found)
        return expected is None or expected in there


def application(
    known: Known, *, secret: str, news: News | None = None, opened: Callable[[], object] = int
) -> ASGIApp:
    """The backend as an ASGI application.

    Parameters
    ----------
    secret : what Label Studio must bring.
    news : what fetches annotations; None where they are not wanted.
    opened : called once when it serves.
    """
    one_at_a_time = threading.Lock()

    def predicted(told: Mapping[str, Any]) -> dict[str, Any]:
        tasks = told.get("tasks")
        if not isinstance(tasks, list) or len(tasks) > _MOST:
            raise SettingError("tasks", f"a list of at most {_MOST} tasks", type(tasks).__name__)
        choosing = Config.read(str(told.get("label_config", ""))).choosing(known.run.classes)
        records = [_record(task) for task in tasks]
        with one_at_a_time:
            guesses = known.guesses([record for record in records if record is not None])
        results: list[list[dict[str, Any]]] = []
        for place, record in enumerate(records):
            guess = guesses.get(record or "", ())
            # How sure it is, calibrated: uncertainty sampling takes the lowest first.
            score = guess[0][1] if guess else 1.0
            made = prediction(choosing, guess, score, known.version, f"leaven{place}")
            results.append([made] if made else [])
        return {"results": results, "model_version": known.version}

    def set_up(told: Mapping[str, Any]) -> dict[str, Any]:
        Config.read(str(told.get("schema", ""))).choosing(known.run.classes)
        return {"model_version": known.version}

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": known.version})

    async def setup(request: Request) -> Response:
        return JSONResponse(set_up(await _read(request)))

    async def predict(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(predicted, await _read(request)))

    async def webhook(request: Request) -> Response:
        told = await _read(request)
        return JSONResponse({"fetched": news.of(told) if news else False})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        opened()
        yield
        if news:
            await run_in_threadpool(news.end)

    def guarded(answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            if not _may(request, secret):
                head = {"www-authenticate": 'Basic realm="leaven"'}
                return JSONResponse({"error": "The secret is wrong."}, 401, head)
            given: Response = await answer(request)
            return given

        return answered

    inner = Starlette(
        routes=[
            Route("/", guarded(health)),
            Route("/health", guarded(health)),
            Route("/setup", guarded(setup), methods=["POST"]),
            Route("/predict", guarded(predict), methods=["POST"]),
            Route("/webhook", guarded(webhook), methods=["POST"]),
        ],
        exception_handlers={LeavenError: _failed},
        lifespan=lifespan,
    )
    return Safe(inner, ANSWERS)


def connect(client: Client, project: int, url: str, version: str, secret: str) -> list[str]:
    """Make this backend the project's model, and have the project tell it of annotations.

    Its title is the model's version, for a project shows the predictions of the model whose title
    or version it names. Returns what it would not have, in sentences.
    """
    url = url.rstrip("/")
    said = []
    # The webhook comes first: with the model Label Studio would make one that knows no secret.
    hook = {
        "url": f"{url}/webhook", "project": project, "send_payload": True, "is_active": True,
        "send_for_all_actions": False, "actions": list(_ACTIONS),
        "headers": {_HEADER: secret},
    }  # fmt: skip
    try:
        _put(client, "/api/webhooks/", project, hook, "/")
    except StudioError as failed:
        if failed.status not in (400, 403):
            raise
        said.append(
            f"Label Studio tells nothing of annotations. {failed} It refuses addresses of its own "
            "network unless its SSRF_PROTECTION_ENABLED is false. leaven label-studio pull brings "
            "them."
        )
    model = {
        "url": url, "project": project, "title": version, "auth_method": "BASIC_AUTH",
        "basic_auth_user": _USER, "basic_auth_pass": secret, "is_interactive": False,
    }  # fmt: skip
    try:
        _put(client, "/api/ml/", project, model, "")
    except StudioError as failed:
        if failed.status not in (400, 403):
            raise
        said.append(
            f"Label Studio does not take it as its model. {failed} It refuses addresses of its own "
            "network unless its ML_BLOCK_LOCAL_IP is false."
        )
        return said
    client.patch(f"/api/projects/{project}/", {"model_version": version})
    return said


def serve(
    known: Known,
    *,
    secret: str,
    opened: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = 0,
    news: News | None = None,
) -> None:
    """Serve until Ctrl-C. `opened` is told the address once it answers.

    The connection is not encrypted: beyond this machine, put it behind what encrypts.

    Raises SettingError where the host or port cannot be listened on.
    """
    _ = known.dataset, known.run.predictor  # read now: Label Studio waits a second to connect
    socket_ = listening(host, [port])
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{socket_.getsockname()[1]}"

    def tell() -> None:
        threading.Thread(target=opened, args=(address,), daemon=True).start()

    settings = uvicorn.Config(
        application(known, secret=secret, news=news, opened=tell),
        http="h11", ws="none", loop="asyncio", lifespan="on", log_level="warning",
        access_log=False, server_header=False, timeout_graceful_shutdown=_DRAIN,
    )  # fmt: skip
    with socket_, suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[socket_])


def _put(client: Client, path: str, project: int, wanted: dict[str, Any], end: str) -> None:
    """Make it, or change the one that is ours: a project has one model of Leaven's."""
    found = client.get(path, project=project)
    there = [
        one for one in found or ()
        if isinstance(one, Mapping) and one.get("project") == project
        and (one.get("url") == wanted["url"] or _is_ours(one))
    ]  # fmt: skip
    if there:
        client.patch(f"{path}{there[0]['id']}{end}", wanted)
    else:
        client.post(path, wanted)


def _is_ours(told: Mapping[str, Any]) -> bool:
    headers = told.get("headers")
    by_secret = isinstance(headers, Mapping) and _HEADER in headers
    return by_secret or told.get("basic_auth_user") == _USER


def _record(task: Any) -> str | None:
    """The record that a task is about."""
    told = task.get("meta") if isinstance(task, Mapping) else None
    ours = told.get("leaven") if isinstance(told, Mapping) else None
    queue = ours.get("queue") if isinstance(ours, Mapping) else ""
    asked = asked_in(task, str(queue)) if isinstance(task, Mapping) else None
    return asked.record if asked else None


def _listed(told: Mapping[str, Any], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """What stands under any of these names, one or several."""
    found: list[Mapping[str, Any]] = []
    for name in names:
        value = told.get(name)
        some = value if isinstance(value, list) else [value]
        found += [one for one in some if isinstance(one, Mapping)]
    return found


def _may(request: Request, secret: str) -> bool:
    given = request.headers.get(_HEADER)
    if given is None:
        kind, _, told = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            user, _, given = base64.b64decode(told, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return False
        if user != _USER:
            return False
    return secrets.compare_digest(given.encode(), secret.encode())


async def _read(request: Request) -> Mapping[str, Any]:
    """The JSON object of a request; SettingError for what is none, or too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise SettingError("body", f"at most {_LARGEST // 2**20} MB", "more")
    try:
        told = json.loads(bytes(body))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise SettingError("body", "a JSON object", "something else")
    return told


async def _failed(request: Request, error: Exception) -> Response:
    too_large = isinstance(error, SettingError) and error.got == "more"
    return JSONResponse({"error": str(error)}, 413 if too_large else 422)
