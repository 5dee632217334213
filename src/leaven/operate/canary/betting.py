"""Means and differences of means, bounded so that one may look at any time.

Whoever looks at a canary after each request and stops when it pleases needs bounds that hold at
all looks together. A wealth that bets against "the mean is m at most" by

    prod over i of (1 + c (x_i / m - 1)),    x_i in [0, 1], 0 <= c < 1,

grows, on average, not at all while that is so, and reaches 1 / level ever with probability `level`
at most (Ville 1939; Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by
betting"). Here it is averaged over a fixed grid of stakes c, so nothing has to be tuned, and values
that vary little are bounded closely. `label.trust.gate` bounds shares of right answers by Robbins'
mixture; this is for any values in [0, 1], and for two streams at once:

wealths on two independent streams may be multiplied. "The mean of a exceeds that of b by d at
least" is refuted where for every mean u that b could have, the wealth that bets on b above u times
that which bets on a below u + d has reached 1 / level. Both streams share the error, so the bound
is closer than the difference of two bounds.

Sums of logarithms are all that is kept of a stream, so that what n times as many values of the same
kind would show costs no more than to look at these.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError

__all__ = ["CELL", "Bets", "difference_bounds", "mean_bounds", "times_until"]

Floats = npt.NDArray[np.float64]

_CELLS = 500
#: Bounds are known to this; they are rounded away from the estimate.
CELL = 1 / _CELLS
_GRID: Floats = np.linspace(0, 1, _CELLS + 1)
_STAKES: Floats = np.concatenate([[0.0], np.geomspace(5e-4, 0.95, 31)])
#: An eighth is not bet at all, so that a stream that speaks against never costs more than that.
_LOG_WEIGHTS: Floats = np.log(np.concatenate([[1 / 8], np.full(31, 7 / 8 / 31)]))
_MOST_TIMES = 2.0**20
_HUNDREDTHS = 100


class Bets:
    """What bets on the mean of a stream of values in [0, 1] have come to, above and below each m.

    Parameters
    ----------
    values : (n,) in [0, 1]; they are rounded to hundredths.

    >>> low, high = mean_bounds(Bets([1] * 95 + [0] * 5), 0.025)
    >>> round(low, 3), round(high, 3)
    (0.832, 0.994)
    """

    def __init__(self, values: npt.ArrayLike) -> None:
        given = np.asarray(values, dtype=np.float64)
        if given.ndim != 1 or not np.all((given >= 0) & (given <= 1)):
            raise SettingError("values", "a list of numbers from 0 to 1", values)
        self.n = len(given)
        self.mean = float(given.mean()) if self.n else math.nan
        rounded, counts = np.unique(np.rint(given * _HUNDREDTHS), return_counts=True)
        x = rounded / _HUNDREDTHS
        self._above = _sums(x, counts)
        self._below = _sums(1 - x, counts)[::-1]

    def above(self, times: float = 1.0) -> Floats:
        """(501,) logarithm of the wealth that bets on a mean above each m of the grid.

        `times` as many values of the same kind.
        """
        return _wealth(self._above, times)

    def below(self, times: float = 1.0) -> Floats:
        """The same for a mean below each m."""
        return _wealth(self._below, times)


def mean_bounds(
    bets: Bets, level: float, level_high: float | None = None, *, times: float = 1.0
) -> tuple[float, float]:
    """A lower and an upper bound of a mean, each at every look together with its level.

    `level_high` is that of the upper bound where it is another.
    """
    low = _refuted(bets.above(times), level)
    return low, 1 - _refuted(bets.below(times)[::-1], level if level_high is None else level_high)


def difference_bounds(
    a: Bets, b: Bets, level: float, level_high: float | None = None, *, times: float = 1.0
) -> tuple[float, float]:
    """A lower and an upper bound of the mean of `a` less that of `b`, two independent streams.

    >>> low, high = difference_bounds(Bets([1] * 30 + [0] * 70), Bets([0] * 300), 0.025)
    >>> 0.1 < low < 0.3 < high < 0.5
    True
    """
    high = _most(a.below(times), b.above(times), level if level_high is None else level_high)
    return -_most(b.below(times), a.above(times), level), high


def times_until(shown: Callable[[float], bool], least: float = 1.0) -> float:
    """How many times the values so far would do, if all are of the same kind.

    `shown` of a number of times says whether they would; it must stay true once it is. Infinite
    where a million times do not.
    """
    if shown(least):
        return least
    high = 2 * least
    while not shown(high):
        high *= 2
        if high > _MOST_TIMES:
            return math.inf
    low = high / 2
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def _sums(x: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """(501, stakes) the logarithm of each bet's wealth, on a mean above each m."""
    found = np.zeros((_CELLS + 1, len(_STAKES)))
    m = _GRID[1:, None]
    for value, many in zip(x, counts, strict=True):
        found[1:] += many * np.log1p(_STAKES * (value / m - 1))
        if not value:
            found[0] += many * np.log1p(-_STAKES)
    if x.any():
        found[0, 1:] = math.inf  # any value above 0 refutes a mean of 0
    return found


def _wealth(sums: Floats, times: float) -> Floats:
    logs = times * sums + _LOG_WEIGHTS
    top = np.maximum(logs.max(axis=1), -math.log(8))  # what is not bet is always there
    with np.errstate(invalid="ignore"):
        found: Floats = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
    return np.where(np.isinf(top), math.inf, found)


def _refuted(wealth: Floats, level: float) -> float:
    """The last m of the grid that is refuted, 0 where none is."""
    needed = -math.log(_level(level))
    return max(_first(len(wealth), lambda i: bool(wealth[i] < needed)) - 1, 0) * CELL


def _most(below: Floats, above: Floats, level: float) -> float:
    """The largest difference that is not refuted.

    A cell of means of b is as little refuted as its ends: by the bets on b at the upper, by those
    on a at the lower one.
    """
    needed = -math.log(_level(level))

    def refuted(place: int) -> bool:
        shift = place - _CELLS
        first, end = max(0, -shift), min(_CELLS, _CELLS - shift)
        if end <= first:
            return shift > 0
        together = below[first + shift : end + shift] + above[first + 1 : end + 1]
        return bool(together.min() >= needed)

    return (_first(2 * _CELLS + 1, refuted) - _CELLS) * CELL


def _first(places: int, is_so: Callable[[int], bool]) -> int:
    """The first place from which on it is so, and `places` where it nowhere is."""
    return bisect_left(range(places), True, key=is_so)


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise SettingError("level", "a share in (0, 1)", level)
    return level
