"""How a service's live run did over time, in periods of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaven.operate.canary.betting import Bets, mean_bounds
from leaven.operate.health.examining import Health
from leaven.operate.health.reading import answers
from leaven.store.store import Store

__all__ = ["Period", "Point", "audited", "periods"]

_MOST, _EACH = 48, 500
_FIRST = 20  # truths: bounds of fewer fill the picture
_HOUR = 3600.0
_SIDE = 0.025


@dataclass(frozen=True)
class Point:
    """A share at a time, with the ends of its interval and how many it is of."""

    at: float
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Period:
    """Of the answers that began at `at`, the latest 500 at most: what was estimated and said."""

    at: float
    n: int
    accuracy: Point | None
    confidence: float
    entropy: float


def periods(store: Store, health: Health) -> list[Period]:
    """The periods that have answers: at most 48, of an hour or more, since the run was heard."""
    if health.heard is None:
        return []
    length = max(_HOUR, (health.at - health.heard) / _MOST)
    found = []
    for i in range(_MOST):
        begin = health.heard + i * length
        if begin > health.at:
            break
        came = answers(store, health.service, health.live.digest, begin, begin + length, _EACH)
        if not len(came.confidence):
            continue
        point, calibration = None, health.promise.calibration
        if calibration is not None:
            told = calibration.estimate(came.confidence)
            point = Point(begin, told.value, told.low, told.high, told.n)
        found.append(
            Period(begin, len(came.confidence), point, float(came.confidence.mean()),
                   float(came.entropy.mean()))
        )  # fmt: skip
    return found


def audited(health: Health) -> Sequence[Point]:
    """The accuracy by all truths so far, as each of at most 48 of them left it."""
    truths = health.audits.truths
    n = len(truths.right)
    if not n:
        return []
    found = []
    steps = np.linspace(min(_FIRST, n), n, _MOST).round().astype(int)
    for count in np.unique(steps).tolist():
        bets = Bets(truths.right[:count])
        low, high = mean_bounds(bets, _SIDE)
        found.append(Point(float(truths.at[count - 1]), bets.mean, low, high, count))
    return found
