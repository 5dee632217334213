"""The review page: one record in the middle, one key an answer, nothing acknowledged ever lost.

The page asks for three records ahead, so that the next is there when a key is pressed, and keeps
each answer in the browser until the server has said that it is in the database. An answer carries
a key of the browser's own, so one that is sent twice counts once.

    GET  /            the page                          (link with ?token=… signs in)
    POST /tasks       what this window may show now, and how the queue goes on
    POST /answer      an answer, or a skip; acknowledged once it is kept
    POST /undo        the latest one is taken back
    POST /leave       the window is closed

What cannot be done is said in one sentence, `{"error": …}`: 409 and 422 will never work, 503 will
once the store can be written again.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Annotated, Any, TypeVar

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from leaven.core.errors import DataError, LeavenError, SettingError, StoreError
from leaven.core.wording import MISSING, count, decimal
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.svg import responsive
from leaven.label.queue import Queue, Task
from leaven.label.results import Summary
from leaven.serve.cards import card, page
from leaven.serve.desk import LEASE, Desk
from leaven.serve.guard import Guard
from leaven.serve.plots import Bought, bought, bought_title

__all__ = ["application", "serve"]

_STATIC = {
    "report.css": ("leaven.evaluate.report", "style.css", "text/css"),
    "review.css": ("leaven.serve", "static/review.css", "text/css"),
    "review.js": ("leaven.serve", "static/review.js", "text/javascript"),
    "outbox.js": ("leaven.serve", "static/outbox.js", "text/javascript"),
}
_PORTS = range(20_000, 32_000)  # below those that systems give away
_DRAIN = 5  # seconds for answers that are under way when the server is told to end

_Id = Annotated[int, Field(ge=1, lt=2**31)]
_Word = Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{8,64}$")]
_Ids = Annotated[list[_Id], Field(max_length=1000)]


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Take(_Told):
    window: _Word
    have: _Ids = []
    unsent: _Ids = []


class _Answer(_Told):
    task: _Id
    choice: int | None
    key: _Word
    seconds: float | None = Field(None, ge=0, le=86_400)


class _Undo(_Told):
    task: _Id
    window: _Word


class _Leave(_Told):
    window: _Word


_Body = TypeVar("_Body", bound=_Told)


def application(
    queue: Queue,
    *,
    token: str,
    person: str = "me",
    host: str = "127.0.0.1",
    curve: Sequence[Bought] = (),
) -> ASGIApp:
    """The page and what it asks for, as an ASGI application.

    Parameters
    ----------
    token : what signs a browser in, once: `/?token=…`.
    person : who answers.
    host : a name under which it is reached, beside `localhost` and addresses in numbers.
    curve : what labels bought so far: (labels, accuracy, low, high), fewest labels first.
    """
    desk = Desk(queue, person)

    async def shell(request: Request) -> Response:
        place = await run_in_threadpool(lambda: desk.place)
        return HTMLResponse(
            page(
                "review.html.j2",
                question=clean(queue.question, 1_000),
                queue=clean(queue.name, 200),
                person=clean(person, 200),
                place=place,
                page_token=guard.page_token,
                classes=[clean(name, 1_000) for name in queue.classes],
                curve=_curve(curve),
            )
        )

    async def tasks(request: Request) -> Response:
        told = await _read(request, _Take)
        return JSONResponse(await run_in_threadpool(_taken, desk, told))

    async def answer(request: Request) -> Response:
        told = await _read(request, _Answer)
        receipt = await run_in_threadpool(
            desk.answer, told.task, told.choice, key=told.key, seconds=told.seconds
        )
        kept = {"event": receipt.event, "again": receipt.again, "late": receipt.late}
        return JSONResponse(kept)

    async def undo(request: Request) -> Response:
        told = await _read(request, _Undo)
        task = await run_in_threadpool(desk.undo, told.task, told.window)
        given = None if task is None else await run_in_threadpool(_given, desk, task)
        return JSONResponse({"task": given})

    async def leave(request: Request) -> Response:
        told = await _read(request, _Leave)
        await run_in_threadpool(desk.leave, told.window)
        return JSONResponse({})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        with suppress(StoreError):  # leases end by themselves
            await run_in_threadpool(desk.close)

    inner = Starlette(
        routes=[
            Route("/", shell),
            Route("/tasks", tasks, methods=["POST"]),
            Route("/answer", answer, methods=["POST"]),
            Route("/undo", undo, methods=["POST"]),
            Route("/leave", leave, methods=["POST"]),
            Route("/static/{name}", _static),
        ],
        exception_handlers={LeavenError: _failed, ValidationError: _invalid},
        lifespan=lifespan,
    )
    guard = Guard(inner, token=token, host=host, refused=_refused)
    return guard


def serve(
    queue: Queue,
    *,
    opened: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = 0,
    person: str = "me",
    curve: Sequence[Bought] = (),
) -> None:
    """Serve the page until Ctrl-C, and let answers that are under way arrive before it returns.

    The connection is not encrypted: another host than this machine's own is for networks where
    everybody may read along.

    Parameters
    ----------
    opened : told the link when it can be opened; it signs in one browser, once.
    port : 0 takes the same free one each time for this queue, for what a browser has kept of
        unsent answers belongs to a host and a port.

    Raises SettingError where the host or port cannot be listened on.
    """
    token = secrets.token_urlsafe(24)
    app = application(queue, token=token, person=person, host=host, curve=curve)
    listening = _listening(queue, host, port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared only
    shown = f"[{shown}]" if ":" in shown else shown
    settings = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="on", log_level="warning",
        access_log=False, server_header=False, timeout_graceful_shutdown=_DRAIN,
    )  # fmt: skip
    with listening, suppress(KeyboardInterrupt):
        opened(f"http://{shown}:{listening.getsockname()[1]}/?token={token}")
        uvicorn.Server(settings).run(sockets=[listening])


def _listening(queue: Queue, host: str, port: int) -> socket.socket:
    """A socket that listens, so that a browser that comes at once waits instead of failing."""
    told = f"{queue.store.address} {queue.name}"
    usual = _PORTS[int(hashlib.sha256(told.encode()).hexdigest(), 16) % len(_PORTS)]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    failed: OSError | OverflowError | None = None
    for one in [port] if port else [usual, 0]:
        try:
            return socket.create_server((host, one), family=family)
        except (OSError, OverflowError) as error:
            failed = error
    raise SettingError(
        "port" if port else "host", "one that can be listened on", port or host,
        f"{failed}. Name another one, or 0 for any free port.",
    ) from failed  # fmt: skip


async def _read(request: Request, kind: type[_Body]) -> _Body:
    return kind.model_validate_json(await request.body())


def _taken(desk: Desk, told: _Take) -> dict[str, Any]:
    found = desk.take(told.window, told.have, told.unsent)
    have = set(told.have)
    return {
        "tasks": [_given(desk, task, drawn=task.id not in have) for task in found],
        "lease": LEASE,
        "last": desk.last(),
        "progress": _progress(desk.summary(exact=not found)),
    }


def _given(desk: Desk, task: Task, *, drawn: bool = True) -> dict[str, Any]:
    """A task for the page; it has the card already of one that is not drawn."""
    return {"task": task.id} | ({"html": card(task, desk.queue.classes)} if drawn else {})


def _progress(told: Summary) -> dict[str, Any]:
    agreed = told.agreement
    words = f"{count(told.done)} of {count(told.done + told.open)} done"
    if told.per_hour is not None:
        words += f" · {count(told.per_hour)} an hour"
    if agreed is not None and (value := decimal(agreed.value, 2)) != MISSING:
        ends = f"{decimal(agreed.low, 2)} to {decimal(agreed.high, 2)}"
        words += f" · agreement {value} ({ends})"
    return {
        "done": told.done, "all": told.done + told.open, "mine": told.mine,
        "skipped": told.skipped, "words": words,
    }  # fmt: skip


def _curve(curve: Sequence[Bought]) -> dict[str, Any] | None:
    if not curve:
        return None
    title = bought_title(curve)
    return {"title": title, "chart": responsive(lambda width: bought(curve, title, width))}


def _refused(sentence: str) -> Response:
    return HTMLResponse(page("refused.html.j2", sentence=sentence), status_code=403)


async def _static(request: Request) -> Response:
    found = _STATIC.get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", status_code=404, media_type="text/plain")
    package, name, kind = found
    return Response((files(package) / name).read_bytes(), media_type=kind)


async def _failed(request: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, StoreError) else 409 if isinstance(error, DataError) else 422
    return JSONResponse({"error": str(error)}, status_code=status)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return JSONResponse({"error": f"'{where}': {first['msg']}."}, status_code=422)
