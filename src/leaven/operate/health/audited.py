"""Signals by truth: of answers that were drawn at random, a few a day are enough.

Each has half the level, so a service that keeps its promise raises an alarm by truth with that
probability at most, over its whole life and however often one looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from leaven.core.wording import count, many, percent, points
from leaven.operate.canary.betting import Bets, mean_bounds, times_until
from leaven.operate.health.auditing import Watched, watched
from leaven.operate.health.promise import Promise
from leaven.operate.health.reading import Truths
from leaven.operate.health.signal import ALARM, GOOD, UNTOLD, Signal, untold

__all__ = ["Audits", "audits"]

_SIDE = 0.025
_NEW = "Send the truth of answers that were drawn: leaven serve --explore 0.02, POST /feedback."
_ADVICE = (
    "Look at some of these records. If their labels have come to mean something else, label "
    "some anew and fit again (leaven feedback, leaven fit --answers); if a release did it, leaven "
    "rollback."
)


@dataclass(frozen=True, eq=False)
class Audits:
    """Both signals, and what their wealths were after each truth; `calibration` None without."""

    signals: tuple[Signal, Signal]
    truths: Truths
    accuracy: Watched
    calibration: Watched | None

    @property
    def shown(self) -> str | None:
        """How many answers were right since a promise is shown to be broken; None while none is."""
        for seen in (self.accuracy, self.calibration):
            if seen is not None and seen.since is not None:
                right = self.truths.right[seen.since - 1 :]
                return f"since {_day(self.truths.at[seen.since - 1])} {_right(right)}"
        return None


def audits(promise: Promise, truths: Truths, tolerance: float, level: float) -> Audits:
    """Whether answers are right as often as was promised less the tolerance, and as their
    confidences let expect less the tolerance."""
    least = max(promise.accuracy.value - tolerance, 0.0)
    whole = watched(truths.right, np.full(len(truths.right), least), level / 2)
    each, gap = None, untold("calibration, audited", promise.why.get("calibration", ""))
    if promise.calibration is not None:
        expected = promise.calibration.expected(truths.confidence)
        each = watched(truths.right, np.clip(expected - tolerance, 0, 1), level / 2)
        gap = _calibration(truths, expected, each, tolerance)
    return Audits((_accuracy(promise, truths, whole, tolerance), gap), truths, whole, each)


def _accuracy(promise: Promise, truths: Truths, seen: Watched, tolerance: float) -> Signal:
    name, promised, n = "accuracy, audited", promise.accuracy.value, len(truths.right)
    if not n:
        return untold(name, "The truth of no answer that was drawn at random is known.", _NEW)
    bets = Bets(truths.right)
    low, high = mean_bounds(bets, _SIDE)
    least = promised - tolerance
    said = (
        f"{percent(bets.mean)} ({points(low, sign=False)} to {points(high, sign=False)}) of "
        f"{many(n, 'audited answer was', 'audited answers were')} right; {percent(promised)} is "
        "promised."
    )
    told = (bets.mean, low, high, promised, n)
    if seen.alarm is not None:
        return Signal(name, ALARM, f"{said} {_when(truths, seen)}", _ADVICE, *told)
    if low >= least:
        return Signal(name, GOOD, said, "", *told)
    times = times_until(lambda more: mean_bounds(bets, _SIDE, times=more)[0] >= least)
    more = math.ceil(n * (times - 1)) if math.isfinite(times) else None
    wanted = f" About {count(more)} more truths would show it." if more else ""
    return Signal(name, UNTOLD, said + wanted, _NEW, *told)


def _calibration(
    truths: Truths, expected: npt.NDArray[np.float64], seen: Watched,
    tolerance: float,
) -> Signal:  # fmt: skip
    """By how much more often answers are right than their confidences let expect."""
    name, n = "calibration, audited", len(truths.right)
    if not n:
        return untold(name, "The truth of no answer that was drawn at random is known.", _NEW)
    bets = Bets((1 + truths.right - expected) / 2)
    low, high = (2 * end - 1 for end in mean_bounds(bets, _SIDE))
    value = float((truths.right - expected).mean())
    said = (
        f"Audited answers are right {points(value)} points ({points(low)} to {points(high)}) "
        f"against what their confidences let expect (n {count(n)})."
    )
    told = (value, low, high, 0.0, n)
    if seen.alarm is not None:
        return Signal(name, ALARM, f"{said} {_when(truths, seen)}", _ADVICE, *told)
    if low >= -2 * tolerance:
        return Signal(name, GOOD, said, "", *told)
    return Signal(name, UNTOLD, said, _NEW, *told)


def _when(truths: Truths, seen: Watched) -> str:
    """When it was shown, from when on it speaks, and how many were right since."""
    assert seen.alarm is not None and seen.since is not None
    since = seen.since - 1
    return (
        f"Shown by truth {count(seen.alarm)}, at {_day(truths.at[seen.alarm - 1])}: since "
        f"{_day(truths.at[since])} {_right(truths.right[since:])}."
    )


def _right(right: npt.NDArray[np.bool_]) -> str:
    return f"{count(int(right.sum()))} of {count(len(right))} audited answers were right"


def _day(at: float) -> str:
    return datetime.fromtimestamp(float(at), UTC).strftime("%Y-%m-%d %H:%M UTC")
