"""The server of a released run.

    GET  /v2 …, POST /v2/models/NAME/infer     for programs, see `protocol`
    POST /predict, /feedback, GET /status      for people and their scripts, see `people_route`

What cannot be done is said in one sentence, `{"error": …}`: 4xx will never work, 429 and 503 may
after the seconds of `Retry-After`.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import leaven
from leaven.core.errors import DataError, LeavenError, StoreError
from leaven.operate.canary.guard import Guard
from leaven.operate.canary.policy import Policy
from leaven.operate.costs.prices import Prices
from leaven.operate.metrics.sharing import Shared
from leaven.operate.metrics.standing import Standing
from leaven.operate.releases import Releases
from leaven.serve import dashboards
from leaven.serve.listening import is_local
from leaven.serve.models.answering import ALONE, Service, Settings, Worker
from leaven.serve.models.asking import ask_soon
from leaven.serve.models.batching import Batcher
from leaven.serve.models.costing import CostLog
from leaven.serve.models.described import REFUSALS
from leaven.serve.models.door import Door
from leaven.serve.models.guarding import GuardWatch
from leaven.serve.models.heads import BoundedHeads
from leaven.serve.models.limits import Refused
from leaven.serve.models.log import PredictionLog
from leaven.serve.models.metering import Meter, Metered, counted, now
from leaven.serve.models.metrics_route import add_metrics_route
from leaven.serve.models.people_route import add_people_routes, reads_records
from leaven.serve.models.protocol import add_protocol, reads_tensors
from leaven.serve.models.pruning import Pruner
from leaven.serve.models.requests import refusal
from leaven.serve.models.routing import Cascade, Watch
from leaven.serve.models.sketching import Sketcher
from leaven.serve.models.straight import Handler, Handlers, Straight
from leaven.serve.safety import ANSWERS, BOARDS, Safe
from leaven.store.people import People
from leaven.store.store import Store

__all__ = ["Parts", "Plan", "Server", "application", "parts_of", "server_of"]

_DRAIN = 30  # seconds for answers that are under way when the server is told to end


@dataclass(frozen=True)
class Plan:
    """What is served, and how: plain values, which can be told to another process.

    Attributes
    ----------
    store : its address, see `Store`.
    host : on any other than this machine's own, who asks needs a token.
    every : seconds between two looks at the releases.
    cascade : a larger run behind one of those that are released.
    policy : by which the guard judges a canary; by default that of its last look.
    guarded : whether there is a guard.
    keep_days : days for which predictions stay in the log; 0 for ever.
    local_metrics : see `Door`.
    counts : a folder in which workers share what they count; None for one worker.
    prices : by which the dashboards tell money.
    tls_cert, tls_key : PEM files of the certificate and its key.
    """

    store: str
    name: str
    host: str = "127.0.0.1"
    settings: Settings = field(default_factory=Settings)
    every: float = 0.2
    policy: Policy | None = None
    guarded: bool = True
    keep_days: float = 0.0
    tls_cert: str | None = None
    tls_key: str | None = None
    counts: str | None = None
    local_metrics: bool = False
    cascade: Cascade | None = None
    prices: Prices = field(default_factory=Prices)


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
    cascade: Cascade | None = None,
    tokens: bool = False,
    hosts: Sequence[str] | None = (),
    guard: GuardWatch | None = None,
    pruner: Pruner | None = None,
    worker: Worker = ALONE,
    counts: str | None = None,
    local_metrics: bool = False,
    prices: Prices | None = None,
) -> Parts:
    """The application of the service `name`, its first models loaded.

    Parameters
    ----------
    every : seconds between two looks at the releases.
    cascade : a larger run behind one of those that are released.
    tokens : only who has a token of the store may ask.
    hosts : see `Door`.
    guard : judges the canary while this serves; nobody does without.
    pruner : removes old predictions while this serves; they stay without.
    worker : which of the processes behind one address this is.
    counts, local_metrics, prices : see `Plan`.
    """
    settings = settings or Settings()
    watch = Watch(Releases(store, name), settings.limits, every=every, cascade=cascade)
    meter = Meter(name)
    costs = CostLog(store, name, watch, meter)
    watch.start()
    batcher = Batcher(waiting=settings.limits.waiting, count=meter.batch)
    service = Service(name, watch, batcher, PredictionLog(store, name), settings, meter=meter)
    service.worker = worker
    if counts is not None:
        service.shared = Shared(Path(counts), partial(counted, service))
        service.shared.start()
    service.sketcher = Sketcher(store, name)
    service.sketcher.start()
    service.costs = costs
    costs.start()
    if guard is not None:
        service.guard = guard
        guard.start()
    if pruner is not None:
        service.pruner = pruner
        pruner.start()
    people = People(store) if tokens else None
    reads = {
        "/predict": reads_records(service),
        f"/v2/models/{quote(name, safe='')}/infer": reads_tensors(service),
    }
    soon = {path: partial(ask_soon, service, read) for path, read in reads.items()}
    straight = Straight(application(service, store, prices), _HANDLERS, soon)
    door = Door(straight, people, hosts, settings.limits.rate, local_metrics)
    return Parts(Metered(Safe(door, ANSWERS, {"/dashboards": BOARDS}), meter), service)


def application(service: Service, store: Store, prices: Prices | None = None) -> FastAPI:
    """The routes. It ends what the service consists of when it is shut down."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        _end(service)

    app = FastAPI(
        title=service.name, version=leaven.__version__, docs_url=None, redoc_url=None,
        lifespan=lifespan, default_response_class=Response, redirect_slashes=False,
        responses=REFUSALS,
    )  # fmt: skip
    add_people_routes(app, service, store)  # first, for a route is found by trying one by one
    add_protocol(app, service)
    standing = Standing(store, service.name)
    add_metrics_route(app, service, standing)
    told = partial(now, service, standing)
    app.router.routes += dashboards.routes(store, service.name, told, prices=prices)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, _waiting(handler))
    return app


class Server(uvicorn.Server):
    """A server that tells when it begins to accept.

    Parameters
    ----------
    ready : called once it accepts.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn: begin to accept."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def _end(service: Service) -> None:
    """End what a service consists of, all at once: what waits for a store that does not answer
    must not keep the log from being written. Nobody is served any more, so the loop may wait."""
    watchers = (service.watch, service.guard, service.pruner)
    aside = (*watchers, service.sketcher, service.costs, service.shared)
    ends = [threading.Thread(target=one.stop) for one in aside if one is not None]
    for end in ends:
        end.start()
    service.batcher.close()
    service.log.close()
    for end in ends:
        end.join()


def server_of(plan: Plan, ready: Callable[[], object], worker: Worker = ALONE) -> Server:
    """The server of one process, its first models loaded; `run(sockets=[…])` serves until SIGTERM.

    What was accepted is answered before it ends. Of several workers only the first has the guard
    and removes old predictions.

    Raises StoreError where the store cannot be opened.
    """
    store, local = Store(plan.store), is_local(plan.host)
    guard = pruner = None
    if worker.number == 1:
        guard = GuardWatch(Guard(store, plan.name, plan.policy)) if plan.guarded else None
        pruner = Pruner(store, plan.name, plan.keep_days) if plan.keep_days else None
    made = parts_of(
        store, plan.name, settings=plan.settings, every=plan.every, cascade=plan.cascade,
        tokens=not local,
        hosts=(plan.host,) if local else None, guard=guard, pruner=pruner, worker=worker,
        counts=plan.counts, local_metrics=plan.local_metrics, prices=plan.prices,
    )  # fmt: skip
    config = uvicorn.Config(
        made.app, http=BoundedHeads, ws="none", loop="auto", lifespan="on", access_log=False,
        log_level="warning", server_header=False, timeout_graceful_shutdown=_DRAIN,
        ssl_certfile=plan.tls_cert, ssl_keyfile=plan.tls_key, proxy_headers=False, backlog=2048,
    )  # fmt: skip
    return Server(config, ready)


def _waiting(handler: Handler) -> Callable[[Request, Any], Awaitable[Response]]:
    """A handler as the application takes it, which would give a thread to one that is plain."""

    async def handled(request: Request, error: Any) -> Response:
        return handler(request, error)

    return handled


def _refused(request: Request, refused: Refused) -> Response:
    return refusal(refused)


def _failed(request: Request, error: LeavenError) -> Response:
    if isinstance(error, StoreError):
        return refusal(Refused(503, str(error), retry=5))
    contradicts = isinstance(error, DataError) and request.url.path == "/feedback"
    return refusal(Refused(409 if contradicts else 422, str(error)))


def _no_route(request: Request, error: HTTPException) -> Response:
    path = request.url.path[:80]
    sentence = {
        404: f"There is nothing at {path!r}. See /openapi.json.",
        405: f"{request.method[:20]} is not served at {path!r}.",
    }.get(error.status_code, str(error.detail))
    return refusal(Refused(error.status_code, sentence))


def _broken(request: Request, error: Exception) -> Response:
    _LOG.error("A request failed", exc_info=error)
    return refusal(Refused(500, "The server failed at this request. Its log says how."))


_HANDLERS: Handlers = {
    Refused: _refused,
    LeavenError: _failed,
    HTTPException: _no_route,
    Exception: _broken,
}
_LOG = logging.getLogger(__name__)
