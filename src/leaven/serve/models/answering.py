"""From checked records to an answer that says who gave it: routing, the model, the log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from leaven.core.errors import LeavenError
from leaven.operate.canary.guard import MIRROR
from leaven.operate.metrics.sharing import Shared
from leaven.serve.models.batching import Batcher
from leaven.serve.models.costing import CostLog
from leaven.serve.models.guarding import GuardWatch
from leaven.serve.models.limits import Limits, Refused
from leaven.serve.models.loading import Answer, Loaded
from leaven.serve.models.log import PredictionLog, Unsure
from leaven.serve.models.metering import Meter
from leaven.serve.models.pruning import Pruner
from leaven.serve.models.records import Record
from leaven.serve.models.requests import Intake, new_id
from leaven.serve.models.routing import SHADOW, Routing, Watch, place_of_key
from leaven.serve.models.sketching import Sketcher

__all__ = ["ALONE", "Chosen", "Prediction", "Service", "Settings", "Told", "Worker"]

#: Requests that are refused whichever model they came to.
_NOT_ITS_FAULT = (413, 429)


def _status(failed: Exception) -> int:
    """How a request that failed is answered, see `leaven.serve.models.app`."""
    if isinstance(failed, Refused):
        return failed.status
    return 422 if isinstance(failed, LeavenError) else 500


@dataclass(frozen=True)
class Settings:
    """How a service answers.

    Attributes
    ----------
    abstain : below this probability a record goes to a person; 0 for never.
    log_share : the share of the predictions that is logged.
    explore : the share drawn at random to be looked at, whatever the model says; always logged.
    mirror : while a canary stands, the share of the requests of which both it and the live run are
        asked, beside those that are explored.
    """

    abstain: float = 0.0
    log_share: float = 1.0
    explore: float = 0.0
    mirror: float = 0.1
    limits: Limits = field(default_factory=Limits)


class Worker(NamedTuple):
    """Which of the processes behind one address this is: the `number`-th, from 1, of `of`."""

    number: int
    of: int


ALONE = Worker(1, 1)


class Chosen(NamedTuple):
    """The model that answers a request, its place, and where the request's key lies.

    `position` is None where there is no canary, and where the request named its model.
    """

    model: Loaded
    place: str
    position: float | None = None


class Prediction(NamedTuple):
    """What is said of one record; `name` is its id, for feedback.

    `larger` says that the larger model of a cascade answered.
    """

    name: str
    label: str
    probability: float
    probabilities: list[float]
    content: str
    abstained: bool
    explored: bool
    larger: bool = False

    @property
    def route(self) -> str:
        """Who goes on: `answer`, or `review` where a person is to look."""
        return "review" if self.abstained else "answer"


class Told(NamedTuple):
    """An answer: the request's id, the model that gave it and its place, a prediction a record."""

    request: str
    model: Loaded
    place: str
    position: float | None
    predictions: list[Prediction]
    records: Sequence[Record]
    logged: frozenset[int]


class Service:
    """One released service: answers with what its routing says.

    Parameters
    ----------
    draw : numbers in [0, 1), by which is drawn what is logged and explored.
    """

    def __init__(
        self,
        name: str,
        watch: Watch,
        batcher: Batcher,
        log: PredictionLog,
        settings: Settings,
        *,
        meter: Meter | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.watch, self.batcher, self.log = name, watch, batcher, log
        self.settings, self._draw, self._clock = settings, draw, clock
        self.intake = Intake(settings.limits)
        #: What is counted for Prometheus.
        self.meter = meter or Meter(name)
        #: Who judges the canary; None where nobody does.
        self.guard: GuardWatch | None = None
        #: Who removes old predictions; None where nobody does.
        self.pruner: Pruner | None = None
        #: Who counts what is answered, for drift; None where nobody does.
        self.sketcher: Sketcher | None = None
        #: Who writes down what serving takes; None where nobody does.
        self.costs: CostLog | None = None
        #: What all workers counted; None where this is the only one.
        self.shared: Shared | None = None
        #: Which process this is.
        self.worker = ALONE
        #: Requests answered since the start.
        self.answered = 0

    @property
    def routing(self) -> Routing:
        """What stands now; Refused (503) before anything does."""
        found = self.watch.routing
        if found is None:
            raise Refused(503, self.watch.problem or "No model is loaded yet.", retry=1)
        return found

    def chosen(self, key: str, version: str | None) -> Chosen:
        """The model for a key, or that of a version; Refused (404) where that is not loaded."""
        routing = self.routing
        if version is None:
            canary = routing.canary
            position = None if canary is None else place_of_key(key, canary.digest)
            return Chosen(*routing.chosen(key), position)
        found = routing.of(version)
        if found is None:
            raise Refused(404, f"'{self.name}' has no version {version[:80]!r} loaded.")
        return Chosen(*found)

    async def answer(self, chosen: Chosen, given: Sequence[object], request: str) -> Told:
        """What the model says of records, one after the other; Refused for what cannot be."""
        self._check_number(given)
        began, seconds = time.perf_counter(), self.settings.limits.seconds
        try:
            records = chosen.model.reader.all_checked(given)
            answers = await self.batcher.ask(chosen.model, records, seconds)
            return self._told(chosen, records, answers, request, began)
        except TimeoutError:
            late = Refused(503, f"No answer within {seconds:g} s.", retry=1)
            self._note(late, chosen, request, began)
            raise late from None
        except Exception as failed:
            self._note(failed, chosen, request, began)
            raise

    def answer_soon(
        self,
        chosen: Chosen,
        given: Sequence[object],
        request: str,
        heard: Callable[[Told | Exception], None],
    ) -> bool:
        """The same where the model is quick and nobody waits; False where that is not so.

        `heard` is told what was said, or what failed, before the loop waits again.
        """
        self._check_number(given)
        began = time.perf_counter()

        def said(answers: list[Answer] | Exception) -> None:
            try:
                if isinstance(answers, Exception):
                    raise answers
                told = self._told(chosen, records, answers, request, began)
            except Exception as failed:  # noqa: BLE001 - it is told to who asked
                self._note(failed, chosen, request, began)
                heard(failed)
            else:
                heard(told)

        try:
            records = chosen.model.reader.all_checked(given)
        except Exception as failed:
            self._note(failed, chosen, request, began)
            raise
        return self.batcher.ask_soon(chosen.model, records, said)

    def is_free(self) -> bool:
        """Whether `answer_soon` may well answer."""
        routing = self.watch.routing
        return routing is not None and self.batcher.is_free(routing.live)

    def has_others(self) -> bool:
        """Whether models stand beside the one that answers, see `after`."""
        routing = self.watch.routing
        return routing is not None and (routing.shadow or routing.canary) is not None

    def _check_number(self, given: Sequence[object]) -> None:
        most = self.settings.limits.records
        if not given:
            raise Refused(422, "There is no record to answer.")
        if len(given) > most:
            raise Refused(413, f"A request has {most} records at most: {len(given)} came.")

    def _note(self, failed: Exception, chosen: Chosen, request: str, began: float) -> None:
        """Log a request that failed, where that is the model's affair."""
        status = _status(failed)
        # Without a canary only the service's own failures count, in its objectives.
        counts = status >= 500 if chosen.position is None else status not in _NOT_ITS_FAULT
        if counts and self._is_drawn():
            seconds = time.perf_counter() - began
            self.log.add_failure(self._failure(chosen, request, status, seconds))

    async def after(self, told: Told) -> None:
        """What follows once the answer is sent: who else is asked, and heard by the log alone.

        It never waits; were it no coroutine, each request would take a thread for it.
        """
        routing = self.watch.routing
        if routing is None:
            return
        if routing.shadow is not None and routing.shadow is not told.model:
            self._ask_quietly(routing.shadow, SHADOW, told)
        other = self._mirror(routing, told)
        if other is not None:
            self._ask_quietly(other, MIRROR, told)

    def _mirror(self, routing: Routing, told: Told) -> Loaded | None:
        """The one of live run and canary that did not answer, where it is drawn to be asked too."""
        if routing.canary is None or told.position is None or not told.logged:
            return None
        explored = any(one.explored for one in told.predictions)
        if not (explored or self._draw() < self.settings.mirror):
            return None
        if told.model is routing.canary:
            return routing.live
        return routing.canary if told.model is routing.live else None

    def _ask_quietly(self, model: Loaded, place: str, told: Told) -> None:
        def heard(answers: list[Answer] | Exception) -> None:
            if not isinstance(answers, Exception):
                self.log.add(self._unheard(model, place, told, answers))

        self.batcher.ask_quietly(model, told.records, heard)

    def _told(
        self, chosen: Chosen, records: Sequence[Record], answers: Sequence[Answer], request: str,
        began: float,
    ) -> Told:  # fmt: skip
        """The answer, noted by all who keep it; Refused for a record that cannot be read."""
        for i, answer in enumerate(answers):
            if answer.why:
                raise Refused(422, f"Record {i + 1} cannot be read: {answer.why[:300]}.")
        seconds = time.perf_counter() - began
        settings, base, at, model = self.settings, new_id(), self._clock(), chosen.model
        found, rows, unsure, logged = [], [], [], set()
        for i, answer in enumerate(answers):
            best = int(answer.probabilities.argmax())
            p = float(answer.probabilities[best])
            if p != p:  # argmax finds what is no number
                raise ArithmeticError(f"The model of '{model.run}' gave what is no number.")
            one = Prediction(
                f"{base}-{i}",
                model.classes[best],
                p,
                answer.probabilities.tolist(),
                answer.content,
                p < settings.abstain,
                settings.explore > 0 and self._draw() < settings.explore,
                answer.larger,
            )
            found.append(one)
            if one.explored or self._is_drawn():
                rows.append(self._row(chosen, one, request, at, seconds))
                logged.add(i)
            if one.abstained and answer.source is not None:
                order = np.argsort(-answer.probabilities, kind="stable")[:5].tolist()
                guess = [(model.classes[k], float(answer.probabilities[k])) for k in order]
                unsure.append(
                    Unsure(
                        answer.source,
                        answer.content,
                        guess,
                        model.who(answer.larger),
                        model.classes,
                    )
                )
        self.log.add(rows, unsure)
        if self.sketcher is not None:
            self.sketcher.add(model, records)
        self.answered += 1
        self.meter.answered(model, chosen.place, found)
        return Told(
            request, model, chosen.place, chosen.position, found, records, frozenset(logged)
        )

    def _is_drawn(self) -> bool:
        """Whether this is among what is logged."""
        share = self.settings.log_share
        return share >= 1 or self._draw() < share

    def _row(
        self, chosen: Chosen, one: Prediction, request: str, at: float, seconds: float | None
    ) -> dict[str, Any]:
        model, place, position = chosen
        return {
            "name": one.name, "request": request, "service": self.name, "at": at,
            "run": model.run, "digest": model.digest, "place": place, "content": one.content,
            "label": one.label, "probability": one.probability,
            "probabilities": one.probabilities, "route": one.route, "explored": one.explored,
            "logged": 1.0 if one.explored else self.settings.log_share, "agrees": None,
            "position": position, "seconds": seconds,
            "larger": model.who(True) if one.larger else None,
        }  # fmt: skip

    def _failure(self, chosen: Chosen, request: str, status: int, seconds: float) -> dict[str, Any]:
        return {
            "request": request, "service": self.name, "at": self._clock(),
            "run": chosen.model.run, "digest": chosen.model.digest, "place": chosen.place,
            "position": chosen.position, "status": status, "seconds": seconds,
        }  # fmt: skip

    def _unheard(
        self, model: Loaded, place: str, told: Told, answers: Sequence[Answer]
    ) -> list[dict[str, Any]]:
        """Rows of what a model said that was not heard, beside what was answered."""
        rows = []
        for i in sorted(told.logged):
            answer, heard = answers[i], told.predictions[i]
            if answer.why:
                continue
            best = int(answer.probabilities.argmax())
            label, p = model.classes[best], float(answer.probabilities[best])
            said = Prediction(
                heard.name, label, p, answer.probabilities.tolist(), answer.content, False,
                heard.explored, answer.larger,
            )  # fmt: skip
            chosen = Chosen(model, place, told.position)
            row = self._row(chosen, said, told.request, self._clock(), None)
            rows.append(row | {"agrees": label == heard.label})
        return rows
