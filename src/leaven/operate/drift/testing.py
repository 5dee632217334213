"""When a difference counts as a shift: of a size that matters, and shown.

A test whether two samples differ at all says yes to every large sample and no to every small one.
So each effect (the gap of distribution functions, or the share of records that would have to be
others) is held against the least that matters: *shifted* is what is shown to be above it, *same*
what is shown to be below it, and what neither is shown of is *unsure*. The same shift may be
unsure in a small sample, but no size of sample turns one answer into the other.

The chance of a false word is held over all columns of a look (Benjamini & Yekutieli 2001, valid
however the columns hang together) and over all looks, which share the level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from leaven.core.errors import SettingError
from leaven.operate.drift.sketch import Counts, Floats

__all__ = [
    "SAME",
    "SHIFTED",
    "UNSURE",
    "chance",
    "corrected",
    "expected_noise",
    "hardest",
    "level_of",
    "reach",
]

SHIFTED, SAME, UNSURE = "shifted", "same", "unsure"
#: The sum of 1 / (k ln² k) over k from 2, so that the levels of all looks sum to the whole.
_ALL_LOOKS = 2.11


def chance(effect: float, least: float, n: float, m: float, noise: float = 0.0) -> float:
    """A bound on the chance of so large an effect where the true one is at most `least`.

    Parameters
    ----------
    n, m : records of each side, or effective ones where they are weighted.
    noise : what the measured effect is expected to be above the true one, see `expected_noise`.

    The gap of two empirical distribution functions strays from the true one by no more than their
    own gaps do (Dvoretzky, Kiefer & Wolfowitz 1956 with Massart's constant; for two samples Wei &
    Dudley 2012); a sum of absolute differences has the same tail (McDiarmid 1989).
    """
    over = effect - least - noise
    if over <= 0 or not min(n, m):
        return 1.0
    return min(1.0, 2 * math.exp(-2 * over**2 * n * m / (n + m)))


def reach(n: float, m: float, level: float = 0.05) -> float:
    """How far a measured effect may lie from the true one, at that level."""
    return math.sqrt(math.log(2 / level) / 2 * (1 / n + 1 / m)) if min(n, m) else 1.0


def expected_noise(p: Counts | Floats, q: Counts | Floats, n: float, m: float) -> float:
    """At most how much total variation is expected between samples of one and the same source.

    Half the sum of the mean absolute deviations of the shares, each at most sqrt(2/pi) times its
    standard deviation in the limit, and at most that itself for any size.
    """
    shares = (p + q) / (p.sum() + q.sum())
    return float(np.sqrt(shares * (1 - shares) * (1 / n + 1 / m)).sum() / 2)


def corrected(chances: Sequence[float]) -> list[float]:
    """p-values after Benjamini and Yekutieli's step-up correction.

    >>> [round(q, 3) for q in corrected([0.001, 0.5])]
    [0.003, 0.75]
    """
    k = len(chances)
    if not k:
        return []
    order = np.argsort(chances, kind="stable")
    raised = np.asarray(chances)[order] * hardest(k) / np.arange(1, k + 1)
    adjusted = np.empty(k)
    adjusted[order] = np.minimum.accumulate(raised[::-1])[::-1].clip(max=1.0)
    return [float(a) for a in adjusted]


def hardest(k: int) -> float:
    """What the smallest of k p-values is multiplied with."""
    return k * sum(1 / i for i in range(1, k + 1))


def level_of(look: int, level: float = 0.05) -> float:
    """The part of the level that the `look`-th look at one reference may use, from 1.

    They sum to the level over any number of looks. What is found in a look is wrong, in its share
    expected, at most so often; so over all looks together too, as there are only more findings to
    divide by. It falls slowly: the thousandth look needs a difference about 1.4 times as clear as
    the first.

    >>> level_of(1) < 0.05 and sum(level_of(k) for k in range(1, 10_000)) < 0.05
    True
    """
    if look < 1:
        raise SettingError("look", "a number from 1", look)
    if not 0 < level < 1:
        raise SettingError("level", "a chance between 0 and 1", level)
    k = look + 1
    return level / (_ALL_LOOKS * k * math.log(k) ** 2)
