"""What accuracy cost: an amount over the points that it bought, where there are any to be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from leaven.core.wording import THIN, points
from leaven.evaluate.intervals import Estimate

__all__ = ["PerPoint", "per_point"]

_NOTHING = 0.0005  # a share that is told as 0.0 points


@dataclass(frozen=True)
class PerPoint:
    """What a point of accuracy cost, with the ends of the interval that the gain's gives it; None
    where it cannot be told, or nothing was bought. `sentence` says which."""

    value: float | None
    low: float | None
    high: float | None
    sentence: str


def per_point(
    cost: float | None, said: Callable[[float], str], gain: Estimate | None, over: str
) -> PerPoint:
    """The cost of a point.

    Parameters
    ----------
    cost : of all that bought the gain; None where it is not known.
    said : an amount in words.
    gain : in accuracy, a share; None where it was not measured.
    over : what it is gained over.

    Where the interval of the gain holds what is told as 0.0 points, it may have bought nothing, and
    no ratio says so.

    >>> told = per_point(12.0, "{:g} EUR".format, Estimate(0.06, 0.03, 0.08, 400), "the baseline")
    >>> told.sentence.replace(THIN, " ")
    '2 EUR a point above the baseline (95 %: 1.5 EUR to 4 EUR)'
    >>> per_point(12.0, str, Estimate(0.06, -0.01, 0.08, 40), "the baseline").value is None
    True
    """
    if gain is None:
        return PerPoint(None, None, None, f"cannot be told: nothing was held against {over}")
    seen = f"{points(gain.value)} points (95{THIN}%: {points(gain.low)} to {points(gain.high)})"
    if gain.high < 0:
        return PerPoint(None, None, None, f"nothing was bought: {seen} against {over}")
    if gain.low < _NOTHING:
        return PerPoint(None, None, None, f"cannot be told: {seen} against {over} may be nothing")
    if cost is None:
        return PerPoint(None, None, None, "cannot be told: there is no price")
    value, low, high = (cost / (100 * one) for one in (gain.value, gain.high, gain.low))
    words = f"{said(value)} a point above {over} (95{THIN}%: {said(low)} to {said(high)})"
    return PerPoint(value, low, high, words)
