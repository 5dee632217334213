"""The server of the review pages: for one person on this machine, or for many who sign in.

    GET  /               the page on which records are answered     POST /tasks, /answer, /undo, …
    GET  /settle         the page on which disputes are decided     POST /settle/tasks, …
    GET  /progress       how the queue goes on, and /progress.json
    GET  /cards          the records, to look at
    GET  /said?record=…  everything that happened about a record

Who may ask what stands in `roles`. What cannot be done is said in one sentence, `{"error": …}`:
409 and 422 will never work, 503 will once the store can be written again.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from leaven.core.errors import DataError, LeavenError, SettingError, StoreError
from leaven.evaluate.report.clean import clean
from leaven.label.queue import Queue
from leaven.label.results import history
from leaven.serve import answering, team
from leaven.serve.answering import AnyDesk, Body, Desks, read
from leaven.serve.cards import page
from leaven.serve.desk import Desk
from leaven.serve.entries import Entry, OneLink, SignIn, Visitor
from leaven.serve.guard import Guard
from leaven.serve.listening import check_tls, is_local, listening
from leaven.serve.overview import cards, curve_chart, overview, words
from leaven.serve.plots import Bought
from leaven.serve.safety import PAGES, Safe
from leaven.serve.settling import SettleDesk
from leaven.store.people import People, covers
from leaven.store.sessions import SignInError

__all__ = ["application", "is_exposed", "serve"]

_STATIC = {
    "report.css": ("leaven.evaluate.report", "style.css", "text/css"),
    "review.css": ("leaven.serve", "static/review.css", "text/css"),
    "team.css": ("leaven.serve", "static/team.css", "text/css"),
    "review.js": ("leaven.serve", "static/review.js", "text/javascript"),
    "outbox.js": ("leaven.serve", "static/outbox.js", "text/javascript"),
    "team.js": ("leaven.serve", "static/team.js", "text/javascript"),
}
_PORTS = range(20_000, 32_000)  # below those that systems give away
_DRAIN = 5  # seconds for answers that are under way when the server is told to end


class _Again(Body):
    task: Annotated[int, Field(ge=1, lt=2**31)]


def application(
    queue: Queue,
    *,
    token: str = "",
    person: str = "me",
    people: People | None = None,
    hosts: Sequence[str] = (),
    curve: Sequence[Bought] = (),
) -> ASGIApp:
    """The pages and what they ask for, as an ASGI application.

    Parameters
    ----------
    token : what signs the one person's browser in, once: `/?token=…`.
    person : who that is.
    people : who may sign in, instead of the one.
    hosts : names under which it is reached, beside `localhost` and addresses in numbers.
    curve : what labels bought so far: (labels, accuracy, low, high), fewest labels first.
    """
    desks = Desks(lambda name: Desk(queue, name))
    settling = Desks(lambda name: SettleDesk(queue, name))
    entry: Entry = OneLink(token, person, _refused) if people is None else SignIn(people)

    def view(request: Request, here: str) -> dict[str, Any]:
        """What the head of every page shows."""
        visitor: Visitor = request.state.visitor
        return {
            "here": here,
            "queue": clean(queue.name, 200),
            "person": clean(visitor.name, 200),
            "page_token": visitor.page or "",
            "ways": _ways(visitor, people is not None),
            "team": people is not None,
        }

    def shell(request: Request, here: str, desk: AnyDesk) -> Response:
        told = view(request, here) | {
            "question": clean(queue.question, 1_000),
            "place": desk.place,
            "classes": [clean(name, 1_000) for name in queue.classes],
            "curve": curve_chart(curve),
        }
        return HTMLResponse(page("review.html.j2", **told))

    async def review(request: Request) -> Response:
        if not covers(request.state.visitor.role, "annotator"):
            return RedirectResponse("/progress", status_code=303)
        return await run_in_threadpool(shell, request, "/", desks.of(request))

    async def settle(request: Request) -> Response:
        return await run_in_threadpool(shell, request, "/settle", settling.of(request))

    async def again(request: Request) -> Response:
        told = await read(request, _Again)
        asked = await run_in_threadpool(settling.of(request).again, told.task)
        return JSONResponse({"asked": asked})

    def told(request: Request) -> dict[str, Any]:
        return overview(queue, request.state.visitor, curve)

    async def progress(request: Request) -> Response:
        def render() -> str:
            more = words(told(request)) | {"curve": curve_chart(curve)}
            return page("progress.html.j2", **view(request, "/progress"), **more)

        return HTMLResponse(await run_in_threadpool(render))

    async def progress_json(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(told, request))

    async def looked_at(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 9:
            raise SettingError("after", "the number of a task", after)

        def render() -> str:
            drawn, more = cards(queue, int(after))
            return page("cards.html.j2", **view(request, "/cards"), cards=drawn, after=more)

        return HTMLResponse(await run_in_threadpool(render))

    async def said(request: Request) -> Response:
        record = request.query_params.get("record", "").replace("\0", "\ufffd")
        return JSONResponse(await run_in_threadpool(history, queue, record))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desks.close)

    inner = Starlette(
        routes=[
            Route("/", review),
            Route("/settle", settle),
            Route("/settle/again", again, methods=["POST"]),
            Route("/progress", progress),
            Route("/progress.json", progress_json),
            Route("/cards", looked_at),
            Route("/said", said),
            Route("/static/{name}", _static),
            *answering.routes("", desks),
            *answering.routes("/settle", settling),
            *(team.routes(entry, view) if isinstance(entry, SignIn) else ()),
        ],
        exception_handlers={
            SignInError: team.refused, LeavenError: _failed, ValidationError: _invalid,
        },
        lifespan=lifespan,
    )  # fmt: skip
    return Safe(Guard(inner, entry, hosts), PAGES)


def serve(
    queue: Queue,
    *,
    opened: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = 0,
    person: str = "me",
    team: bool = False,
    names: Sequence[str] = (),
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    proxy: str | None = None,
    curve: Sequence[Bought] = (),
) -> None:
    """Serve the pages until Ctrl-C, and let answers that are under way arrive before it returns.

    Without TLS the connection is not encrypted: see `is_exposed`.

    Parameters
    ----------
    opened : told the link when it can be opened; for one person it signs in one browser, once.
    port : 0 takes the same free one each time for this queue, for what a browser has kept of
        unsent answers belongs to a host and a port.
    person : who answers, where it is one.
    team : everybody signs in who is a user of the queue's store, and works as themselves.
    names : host names under which it is reached, beside this machine's own.
    tls_cert, tls_key : PEM files of the certificate and its key.
    proxy : address of a server before this one, whose word is taken for where requests come from
        and whether they were encrypted.

    Raises SettingError where the host or port cannot be listened on, or a certificate cannot be
    used, and DataError where nobody may sign in yet.
    """
    token = "" if team else secrets.token_urlsafe(24)
    people = People(queue.store) if team else None
    if people is not None and not any(one.disabled is None for one in people.users()):
        raise DataError(
            "Nobody may sign in yet. Let the first one in, with the same --store: "
            "leaven users add NAME --role admin"
        )
    check_tls(tls_cert, tls_key)
    hosts = [host, *names, *([socket.gethostname()] if team else [])]
    app = application(queue, token=token, person=person, people=people, hosts=hosts, curve=curve)
    socket_ = listening(host, _ports(queue, port))
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared only
    shown = f"[{shown}]" if ":" in shown else shown
    settings = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="on", log_level="warning",
        access_log=False, server_header=False, timeout_graceful_shutdown=_DRAIN,
        ssl_certfile=tls_cert, ssl_keyfile=tls_key,
        # Whoever is believed about addresses decides how often a sign-in may be tried.
        proxy_headers=proxy is not None, forwarded_allow_ips=proxy or "",
    )  # fmt: skip
    scheme = "https" if tls_cert else "http"
    link = "" if team else f"?token={token}"
    with socket_:
        try:
            opened(f"{scheme}://{shown}:{socket_.getsockname()[1]}/{link}")
            uvicorn.Server(settings).run(sockets=[socket_])
        except KeyboardInterrupt:
            return


def is_exposed(host: str, tls_cert: str | Path | None, proxy: str | None = None) -> bool:
    """Whether others on the network could read passwords and answers on their way."""
    return not is_local(host) and tls_cert is None and proxy is None


def _ports(queue: Queue, port: int) -> list[int]:
    """The port that is asked for; for 0 the usual one of this queue, and then any."""
    told = f"{queue.store.address} {queue.name}"
    usual = _PORTS[int(hashlib.sha256(told.encode()).hexdigest(), 16) % len(_PORTS)]
    return [port] if port else [usual, 0]


def _ways(visitor: Visitor, is_team: bool) -> list[tuple[str, str]]:
    """The pages that this visitor may open."""
    every = [
        ("/", "Answer", "annotator"),
        ("/settle", "Settle", "reviewer"),
        ("/progress", "Progress", "viewer"),
        ("/cards", "Records", "viewer"),
        *([("/users", "People", "admin")] if is_team else []),
    ]
    return [(path, name) for path, name, least in every if covers(visitor.role, least)]


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
