"""From checked records to an answer that says who gave it: routing, the model, the log."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leaven.serve.models.batching import Batcher
from leaven.serve.models.limits import Limits, Refused
from leaven.serve.models.loading import Answer, Loaded
from leaven.serve.models.log import PredictionLog, Unsure
from leaven.serve.models.records import Record
from leaven.serve.models.requests import Intake, new_id
from leaven.serve.models.routing import SHADOW, Routing, Watch

__all__ = ["Prediction", "Service", "Settings", "Told"]


@dataclass(frozen=True)
class Settings:
    """How a service answers.

    Attributes
    ----------
    abstain : below this probability a record goes to a person; 0 for never.
    log_share : the share of the predictions that is logged.
    explore : the share drawn at random to be looked at, whatever the model says; always logged.
    """

    abstain: float = 0.0
    log_share: float = 1.0
    explore: float = 0.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Prediction:
    """What is said of one record; `name` is its id, for feedback."""

    name: str
    label: str
    probability: float
    probabilities: list[float]
    content: str
    abstained: bool
    explored: bool

    @property
    def route(self) -> str:
        """Who goes on: `answer`, or `review` where a person is to look."""
        return "review" if self.abstained else "answer"


@dataclass(frozen=True)
class Told:
    """An answer: the request's id, the model that gave it and its place, a prediction a record."""

    request: str
    model: Loaded
    place: str
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
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name, self.watch, self.batcher, self.log = name, watch, batcher, log
        self.settings, self._draw, self._clock = settings, draw, clock
        self.intake = Intake(settings.limits)
        #: Requests answered since the start.
        self.answered = 0

    @property
    def routing(self) -> Routing:
        """What stands now; Refused (503) before anything does."""
        found = self.watch.routing
        if found is None:
            raise Refused(503, self.watch.problem or "No model is loaded yet.", retry=1)
        return found

    def chosen(self, key: str, version: str | None) -> tuple[Loaded, str]:
        """The model for a key, or that of a version; Refused (404) where that is not loaded."""
        if version is None:
            return self.routing.chosen(key)
        found = self.routing.of(version)
        if found is None:
            raise Refused(404, f"'{self.name}' has no version {version[:80]!r} loaded.")
        return found

    async def answer(
        self, model: Loaded, place: str, given: Sequence[object], request: str
    ) -> Told:
        """What the model says of records, one after the other; Refused for what cannot be."""
        limits = self.settings.limits
        if not given:
            raise Refused(422, "There is no record to answer.")
        if len(given) > limits.records:
            raise Refused(
                413, f"A request has {limits.records} records at most: {len(given)} came."
            )
        records = [model.reader.checked(one, i) for i, one in enumerate(given)]
        try:
            async with asyncio.timeout(limits.seconds):
                answers = await self.batcher.ask(model, records)
        except TimeoutError:
            raise Refused(503, f"No answer within {limits.seconds:g} s.", retry=1) from None
        for i, answer in enumerate(answers):
            if answer.why:
                raise Refused(422, f"Record {i + 1} cannot be read: {answer.why[:300]}.")
        return self._told(model, place, records, answers, request)

    def after(self, told: Told) -> None:
        """What follows once the answer is sent: a shadow is asked, and heard by the log alone."""
        routing = self.watch.routing
        if routing is None or routing.shadow is None or routing.shadow is told.model:
            return
        shadow = routing.shadow

        def heard(answers: list[Answer]) -> None:
            self.log.add(self._of_shadow(shadow, told, answers))

        self.batcher.ask_quietly(shadow, told.records, heard)

    def _told(
        self, model: Loaded, place: str, records: Sequence[Record], answers: Sequence[Answer],
        request: str,
    ) -> Told:  # fmt: skip
        settings, base, at = self.settings, new_id(), self._clock()
        found, rows, unsure, logged = [], [], [], set()
        for i, answer in enumerate(answers):
            best = int(answer.probabilities.argmax())
            p = float(answer.probabilities[best])
            one = Prediction(
                f"{base}-{i}",
                model.classes[best],
                p,
                answer.probabilities.tolist(),
                answer.content,
                p < settings.abstain,
                settings.explore > 0 and self._draw() < settings.explore,
            )
            found.append(one)
            if one.explored or settings.log_share >= 1 or self._draw() < settings.log_share:
                rows.append(self._row(model, place, one, request, at))
                logged.add(i)
            if one.abstained and answer.source is not None:
                order = np.argsort(-answer.probabilities, kind="stable")[:5].tolist()
                guess = [(model.classes[k], float(answer.probabilities[k])) for k in order]
                unsure.append(
                    Unsure(answer.source, answer.content, guess, model.run, model.classes)
                )
        self.log.add(rows, unsure)
        self.answered += 1
        return Told(request, model, place, found, records, frozenset(logged))

    def _row(
        self, model: Loaded, place: str, one: Prediction, request: str, at: float
    ) -> dict[str, Any]:
        return {
            "name": one.name, "request": request, "service": self.name, "at": at,
            "run": model.run, "digest": model.digest, "place": place, "content": one.content,
            "label": one.label, "probability": one.probability,
            "probabilities": one.probabilities, "route": one.route, "explored": one.explored,
            "logged": 1.0 if one.explored else self.settings.log_share, "agrees": None,
        }  # fmt: skip

    def _of_shadow(
        self, shadow: Loaded, told: Told, answers: Sequence[Answer]
    ) -> list[dict[str, Any]]:
        """Rows of what a shadow said, beside what was answered."""
        rows = []
        for i in sorted(told.logged):
            answer, heard = answers[i], told.predictions[i]
            if answer.why:
                continue
            best = int(answer.probabilities.argmax())
            label, p = shadow.classes[best], float(answer.probabilities[best])
            said = Prediction(
                heard.name, label, p, answer.probabilities.tolist(), answer.content, False,
                heard.explored,
            )  # fmt: skip
            row = self._row(shadow, SHADOW, said, told.request, self._clock())
            rows.append(row | {"agrees": label == heard.label})
        return rows
