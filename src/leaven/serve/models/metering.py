"""What a server of models counts while it answers, for Prometheus and for the dashboards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

import leaven
from leaven.evaluate.spending import memory_now
from leaven.operate.metrics.counting import Counter, Histogram
from leaven.operate.metrics.exposition import Sample, gauge
from leaven.operate.metrics.standing import Standing, version
from leaven.serve.boards import Now
from leaven.serve.prompt import Prompt, Reply
from leaven.serve.roles import MODELS, template

if TYPE_CHECKING:
    from leaven.serve.models.answering import Prediction, Service
    from leaven.serve.models.loading import Loaded

__all__ = ["OTHER", "Meter", "Metered", "counted", "loaded", "now"]

#: The route of what is not served, and the status of a request whose asker left.
OTHER, _LEFT = "other", "499"
#: Routes that ask a model.
ANSWERING_ROUTES = frozenset(
    route for method, route in MODELS if method == "POST" and route != "/feedback"
)
_STATUS = {code: str(code) for code in range(100, 600)}
_BEGAN = time.time()


class Meter:
    """Counters of one process, by the service that it is."""

    def __init__(self, service: str) -> None:
        self._service, self._mine = service, (service,)
        self._requests = Counter("leaven_http_requests_total")
        self._seconds = Histogram("leaven_http_request_duration_seconds")
        self._predictions = Counter("leaven_predictions_total")
        self._explored = Counter("leaven_predictions_explored_total")
        self._larger = Counter("leaven_predictions_larger_total")
        self._batches = Histogram("leaven_batch_records")

    def request(self, method: str, path: str, status: int | None, seconds: float) -> None:
        """A request was answered; without a status its asker left before.

        Paths and methods that are not in the table of roles are one route, whatever they are.
        """
        route = template(path)
        if (method, route) not in MODELS:
            method = route = OTHER
        told = _LEFT if status is None else _STATUS.get(status, OTHER)
        self._requests.add((self._service, method, route, told))
        self._seconds.add((self._service, route), seconds)

    def answered(self, model: Loaded, place: str, predictions: Sequence[Prediction]) -> None:
        """Records were answered by a model."""
        labels = (self._service, model.run, version(model.digest), place)
        review = sum(one.abstained for one in predictions)
        if review < len(predictions):
            self._predictions.add((*labels, "answer"), len(predictions) - review)
        if review:
            self._predictions.add((*labels, "review"), review)
        if explored := sum(one.explored for one in predictions):
            self._explored.add(labels, explored)
        if model.larger is not None and (larger := sum(one.larger for one in predictions)):
            self._larger.add((*labels, model.larger.run), larger)

    def answered_by(self) -> dict[tuple[str, str], int]:
        """Records answered so far, by run and version."""
        found: dict[tuple[str, str], int] = {}
        for sample in self._predictions.samples():
            _, run, told, *_ = sample.labels
            found[run, told] = found.get((run, told), 0) + int(sample.value)
        return found

    def batch(self, records: int) -> None:
        """A model was asked about so many records at once."""
        self._batches.add(self._mine, records)

    def samples(self) -> list[Sample]:
        """All that was counted."""
        every = (
            self._requests, self._seconds, self._predictions, self._explored, self._larger,
            self._batches,
        )  # fmt: skip
        return [sample for one in every for sample in one.samples()]


class Metered:
    """An ASGI application that counts the requests to another, refused ones too."""

    def __init__(self, app: Prompt, meter: Meter) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, ended = time.perf_counter(), None, 0.0

        async def heard(message: Message) -> None:
            nonlocal status, ended
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                ended = time.perf_counter()  # what follows is behind the answer

        try:
            await self._app(scope, receive, heard)
        finally:
            seconds = (ended or time.perf_counter()) - began
            self._meter.request(scope["method"], scope["path"], status, seconds)

    def soon(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """As the other does."""
        began = time.perf_counter()

        def heard(answer: Response) -> None:
            reply(answer)
            seconds = time.perf_counter() - began
            self._meter.request(scope["method"], scope["path"], answer.status_code, seconds)

        return self._app.soon(scope, body, heard)


def counted(service: Service) -> list[Sample]:
    """What one worker counted, and what is under way in it: numbers that add up over workers."""
    log, batcher, watch, name = service.log, service.batcher, service.watch, service.name
    worker = str(service.worker.number)
    used = os.times()
    return [
        *service.meter.samples(),
        gauge("leaven_waiting_records", batcher.records, name),
        gauge("leaven_held_bytes", service.intake.held, name),
        gauge("leaven_shadows_dropped_total", batcher.dropped, name),
        gauge("leaven_log_written_total", log.written, name),
        gauge("leaven_log_dropped_total", log.dropped, name),
        gauge("leaven_log_failing", bool(log.problem), name),
        gauge("leaven_review_questions_total", log.asked, name),
        gauge("leaven_ready", watch.routing is not None, name),
        gauge("leaven_swap_failing", bool(watch.problem), name),
        gauge("leaven_swap_failures_total", watch.failures, name),
        gauge("process_cpu_seconds_total", used.user + used.system, worker),
        gauge("process_start_time_seconds", _BEGAN, worker),
        *_memory(worker),
    ]


def loaded(service: Service) -> Iterator[Sample]:
    """What is loaded, which all workers have alike."""
    yield gauge("leaven_build_info", 1, service.name, leaven.__version__)
    routing = service.watch.routing
    if routing is None:
        return
    yield gauge("leaven_release_decision", routing.number, service.name)
    for place in ("live", "canary", "shadow", "back"):
        one: Loaded | None = getattr(routing, place)
        if one is not None:
            labels = (service.name, one.run, version(one.digest), place)
            yield gauge("leaven_release_info", 1, *labels)


def now(service: Service, standing: Standing) -> Now:
    """What the dashboards ask the server for: sums over all workers, since they began."""
    shared = service.shared
    told = counted(service) if shared is None else shared.samples()
    sums: dict[str, float] = {}
    asked = failed = 0.0
    for sample in (*told, *standing.samples()):
        sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        if sample.name == "leaven_http_requests_total" and sample.labels[2] in ANSWERING_ROUTES:
            asked += sample.value
            failed += sample.value if sample.labels[3].startswith("5") else 0
    batches = sums.get("leaven_batch_records_count", 0.0)
    routing = service.watch.routing
    problems = [service.watch.problem, service.log.problem]
    if service.guard is not None:
        problems.append(service.guard.problem)
    return Now(
        asked=int(asked),
        failed=int(failed),
        waiting=int(sums.get("leaven_waiting_records", 0)),
        dropped=int(sums.get("leaven_log_dropped_total", 0)),
        backlog=int(sums.get("leaven_review_backlog", 0)),
        batch=sums["leaven_batch_records_sum"] / batches if batches else None,
        models=[] if routing is None else [one.run for one in routing.heard],
        problems=[one for one in problems if one],
    )


def _memory(worker: str) -> Iterator[Sample]:
    """Bytes in use, where the system tells them."""
    if memory := memory_now():
        yield gauge("process_resident_memory_bytes", memory, worker)
