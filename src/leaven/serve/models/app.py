"""The server of a released run.

    GET  /v2 …, POST /v2/models/NAME/infer     for programs, see `protocol`
    POST /predict, /feedback, GET /status      for people and their scripts, see `people_route`

What cannot be done is said in one sentence, `{"error": …}`: 4xx will never work, 429 and 503 may
after the seconds of `Retry-After`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import leaven
from leaven.core.errors import DataError, LeavenError, StoreError
from leaven.operate.releases import Releases
from leaven.serve.listening import check_tls, is_local, listening
from leaven.serve.models.answering import Service, Settings
from leaven.serve.models.batching import Batcher
from leaven.serve.models.described import REFUSALS
from leaven.serve.models.door import Door
from leaven.serve.models.guarding import GuardWatch
from leaven.serve.models.limits import Refused
from leaven.serve.models.log import PredictionLog
from leaven.serve.models.people_route import add_people_routes
from leaven.serve.models.protocol import add_protocol
from leaven.serve.models.requests import refusal
from leaven.serve.models.routing import Watch
from leaven.serve.safety import ANSWERS, Safe
from leaven.store.people import People
from leaven.store.store import Store

__all__ = ["Parts", "application", "parts_of", "serve"]

_DRAIN = 30  # seconds for answers that are under way when the server is told to end
_PORT = 8080


@dataclass(frozen=True)
class Parts:
    """What a server consists of, so that whoever made it can look at it."""

    app: ASGIApp
    service: Service


def parts_of(
    store: Store,
    name: str,
    *,
    settings: Settings | None = None,
    every: float = 0.2,
    tokens: bool = False,
    hosts: Sequence[str] | None = (),
    guard: GuardWatch | None = None,
) -> Parts:
    """The application of the service `name`, its first models loaded.

    Parameters
    ----------
    every : seconds between two looks at the releases.
    tokens : only who has a token of the store may ask.
    hosts : see `Door`.
    guard : judges the canary while this serves; nobody does without.
    """
    settings = settings or Settings()
    watch = Watch(Releases(store, name), settings.limits, every=every)
    watch.start()
    batcher = Batcher(waiting=settings.limits.waiting)
    service = Service(name, watch, batcher, PredictionLog(store, name), settings)
    if guard is not None:
        service.guard = guard
        guard.start()
    people = People(store) if tokens else None
    door = Door(application(service, store), people, hosts, settings.limits.rate)
    return Parts(Safe(door, ANSWERS), service)


def application(service: Service, store: Store) -> FastAPI:
    """The routes. It ends what the service consists of when it is shut down."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if service.guard is not None:
            await asyncio.to_thread(service.guard.stop)
        for end in (service.watch.stop, service.batcher.close, service.log.close):
            await asyncio.to_thread(end)

    app = FastAPI(
        title=service.name, version=leaven.__version__, docs_url=None, redoc_url=None,
        lifespan=lifespan, default_response_class=Response, redirect_slashes=False,
        responses=REFUSALS,
    )  # fmt: skip
    add_people_routes(app, service, store)  # first, for a route is found by trying one by one
    add_protocol(app, service)
    handlers: dict[Any, Callable[[Request, Any], Any]] = {
        Refused: _refused,
        LeavenError: _failed,
        HTTPException: _no_route,
        Exception: _broken,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


def serve(
    store: Store,
    name: str,
    *,
    opened: Callable[[str], object],
    host: str = "127.0.0.1",
    port: int = _PORT,
    settings: Settings | None = None,
    every: float = 0.2,
    guard: GuardWatch | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; what was accepted is answered before it returns.

    Parameters
    ----------
    opened : told the address when it can be asked.
    host : on any other than this machine's own, who asks needs a token.
    port : 0 takes any free one.
    guard : judges the canary; nobody does without.
    tls_cert, tls_key : PEM files of the certificate and its key.

    Raises SettingError where the host or port cannot be listened on, or a certificate cannot be
    used.
    """
    check_tls(tls_cert, tls_key)
    socket_ = listening(host, [port])
    local = is_local(host)
    with socket_:
        made = parts_of(
            store, name, settings=settings, every=every, tokens=not local,
            hosts=(host,) if local else None, guard=guard,
        )  # fmt: skip
        config = uvicorn.Config(
            made.app, http="auto", ws="none", loop="asyncio", lifespan="on", access_log=False,
            log_level="warning", server_header=False, timeout_graceful_shutdown=_DRAIN,
            ssl_certfile=tls_cert, ssl_keyfile=tls_key, proxy_headers=False, backlog=2048,
        )  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if tls_cert else "http"
        opened(f"{scheme}://{shown}:{socket_.getsockname()[1]}")
        try:
            uvicorn.Server(config).run(sockets=[socket_])
        except KeyboardInterrupt:
            return


async def _refused(request: Request, refused: Refused) -> Response:
    return refusal(refused)


async def _failed(request: Request, error: LeavenError) -> Response:
    if isinstance(error, StoreError):
        return refusal(Refused(503, str(error), retry=5))
    contradicts = isinstance(error, DataError) and request.url.path == "/feedback"
    return refusal(Refused(409 if contradicts else 422, str(error)))


async def _no_route(request: Request, error: HTTPException) -> Response:
    path = request.url.path[:80]
    sentence = {
        404: f"There is nothing at {path!r}. See /openapi.json.",
        405: f"{request.method[:20]} is not served at {path!r}.",
    }.get(error.status_code, str(error.detail))
    return refusal(Refused(error.status_code, sentence))


async def _broken(request: Request, error: Exception) -> Response:
    _LOG.error("A request failed", exc_info=error)
    return refusal(Refused(500, "The server failed at this request. Its log says how."))


_LOG = logging.getLogger(__name__)
