"""What stands in the store of a service, as gauges: releases, canary, review queue, truth, loop.

These are questions to the database, so what was found is told again for some seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, case, func, select

from leaven.core.errors import StoreError, UnknownNameError
from leaven.operate.canary.decision import HOLD, PROMOTE, RAMP, ROLL_BACK
from leaven.operate.loop.states import REST, STATES
from leaven.operate.metrics.exposition import Sample, gauge
from leaven.operate.registry import Registry
from leaven.operate.releases import Named, Releases, State
from leaven.store.canary_tables import canary_looks
from leaven.store.loop_tables import loop_events
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from leaven.store.tables import OPEN, queues, tasks

__all__ = ["Standing", "version"]

_FRESH = 10.0  # seconds
_ACTIONS = (HOLD, RAMP, PROMOTE, ROLL_BACK)
_HEARD = ("live", "canary")  # the places whose answers somebody got


def version(digest: str) -> str:
    """A model's version as a label: as many digits as people compare."""
    return digest[:12]


class Standing:
    """The gauges of a service; StoreError leaves those of the last look.

    Parameters
    ----------
    fresh : seconds for which a look is told again.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        *,
        fresh: float = _FRESH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._service = store, service
        self._fresh, self._clock = fresh, clock
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._last: list[Sample] = []

    def samples(self) -> list[Sample]:
        """What stands now, or stood some seconds ago. One asker at a time waits for the store."""
        now = self._clock()
        if now >= self._until and self._lock.acquire(blocking=False):
            try:
                with suppress(StoreError):
                    self._last = [*self._looked(now)]
                self._until = now + self._fresh
            finally:
                self._lock.release()
        return self._last

    def _looked(self, now: float) -> Iterator[Sample]:
        state = Releases(self._store, self._service).state()
        yield from self._runs(state)
        with self._store.read() as connection:
            yield from self._review(connection, now)
            yield from self._truth(connection)
            yield from self._canary(connection, state.canary)
            yield from self._loop(connection)

    def _runs(self, state: State) -> Iterator[Sample]:
        """How the runs were fitted that have a place."""
        registry = Registry(self._store)
        yield gauge(
            "leaven_canary_share", state.canary.share if state.canary else 0.0, self._service
        )
        for place in ("live", "canary", "shadow"):
            named: Named | None = getattr(state, place)
            if named is None:
                continue
            labels = (self._service, named.run, version(named.digest), place)
            with suppress(UnknownNameError):
                told = registry.get(named.run, named.digest).told
                for metric, value in _fitted(told):
                    yield gauge(metric, value, *labels)

    def _review(self, connection: Connection, now: float) -> Iterator[Sample]:
        query = (
            select(func.count(), func.min(tasks.c.created))
            .join(queues, queues.c.id == tasks.c.queue)
            .where(OPEN, queues.c.name == self._service)
        )
        waiting, since = connection.execute(query).one()
        oldest = 0.0 if since is None else max(now - since, 0.0)
        yield gauge("leaven_review_backlog", waiting, self._service)
        yield gauge("leaven_review_oldest_seconds", oldest, self._service)

    def _truth(self, connection: Connection) -> Iterator[Sample]:
        right = case((predictions.c.label == feedback.c.label, 1), else_=0)
        query = (
            select(func.count(), func.coalesce(func.sum(right), 0))
            .select_from(feedback)
            .join(predictions, predictions.c.name == feedback.c.prediction)
            .where(feedback.c.service == self._service, ~feedback.c.caused)
            .where(predictions.c.place.in_(_HEARD))
        )
        n, correct = connection.execute(query).one()
        yield gauge("leaven_feedback", correct, self._service, "yes")
        yield gauge("leaven_feedback", n - correct, self._service, "no")

    def _canary(self, connection: Connection, canary: Named | None) -> Iterator[Sample]:
        mine = canary_looks.c.service == self._service
        back = select(func.max(canary_looks.c.at)).where(mine, canary_looks.c.action == ROLL_BACK)
        if (at := connection.execute(back).scalar()) is not None:
            yield gauge("leaven_canary_rolled_back_timestamp_seconds", at, self._service)
        query = select(canary_looks.c.action, canary_looks.c.run).where(mine)
        last = connection.execute(query.order_by(canary_looks.c.number.desc()).limit(1)).first()
        if canary is None or last is None or last.run != canary.run:
            return
        for action in _ACTIONS:
            yield gauge(
                "leaven_canary_decision", float(action == last.action), self._service, action
            )

    def _loop(self, connection: Connection) -> Iterator[Sample]:
        query = (
            select(loop_events.c.at, loop_events.c.state, loop_events.c.cycle)
            .where(loop_events.c.service == self._service)
            .order_by(loop_events.c.number.desc())
            .limit(1)
        )
        row = connection.execute(query).one_or_none()
        if row is None:  # nobody loops here
            return
        state = row.state if row.state in STATES else REST
        for name in STATES:
            yield gauge("leaven_loop_state", float(name == state), self._service, name)
        yield gauge("leaven_loop_cycles_total", row.cycle, self._service)
        yield gauge("leaven_loop_last_event_timestamp_seconds", row.at, self._service)


def _fitted(told: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What a registered run says of its fit; older ones may lack some of it."""
    cost, data = told.get("cost") or {}, told.get("dataset") or {}
    accuracy = ((told.get("metrics") or {}).get("accuracy") or {}).get("value")
    for metric, value in (
        ("leaven_run_fit_seconds", cost.get("seconds")),
        ("leaven_run_fit_cpu_seconds", cost.get("cpu_seconds")),
        ("leaven_run_fit_steps", cost.get("steps")),
        ("leaven_run_labelled_records", data.get("labelled")),
        ("leaven_run_accuracy", accuracy),
    ):
        if isinstance(value, int | float):
            yield metric, float(value)
