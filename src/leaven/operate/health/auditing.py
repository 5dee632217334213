"""Whether truths that come one by one are right less often than was promised, looked at always.

A wealth bets on each audited answer that it is wrong more often than the chance p with which it was
promised to be right:

    right: 1 - e        wrong: 1 + e p / (1 - p)        0 < e < 1.

While every answer is right with chance p or more, given all before, the wealth grows on average not
at all, and reaches 1 / level ever with probability `level` at most (Ville 1939). The p may be
another for each answer: a wrong answer of which the model was sure says much more than one of which
it was not, which is why truths and confidences together see a concept that drifts long before the
accuracy alone is shown to have fallen.

What was right for long may become wrong later. So half of the wealth bets from the first answer,
and of the rest 1 / (b (b + 1)) from the b-th further block of 25 on (Shin, Ramdas & Rinaldo 2023,
"E-detectors", weigh starts alike); each is averaged over a fixed grid of stakes e. All is one
wealth: the level holds over all answers and looks together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError

__all__ = ["Watched", "watched"]

Floats = npt.NDArray[np.float64]

_STAKES: Floats = np.array([0.03, 0.06, 0.12, 0.25, 0.5])
_BLOCK = 25
#: An answer is never held to be surer than this, nor less sure: one truth decides nothing alone.
_LEAST_SURE, _MOST_SURE = 0.02, 0.97


@dataclass(frozen=True, eq=False)
class Watched:
    """What n truths in the order in which they came amount to.

    `wealth` (n,) is the logarithm of the wealth after each. `alarm` is the number of truths, from
    1, at which it was first shown that they are wrong more often than promised, None while it is
    not. `since` is the truth, from 1, from which on that shows most.
    """

    wealth: Floats
    level: float
    alarm: int | None
    since: int | None


def watched(right: npt.ArrayLike, promised: npt.ArrayLike, level: float = 0.05) -> Watched:
    """Judge truths.

    Parameters
    ----------
    right : (n,) whether each audited answer was right, in the order in which the truths came.
    promised : (n,) with what chance at least each was promised to be, known before its truth was.
    level : the probability of an alarm, ever, while that is kept.

    >>> watched([1] * 19 + [0], [0.9] * 20).alarm is None
    True
    >>> watched([1] * 30 + [0] * 12, [0.9] * 42).since
    26
    """
    hits, chance = np.asarray(right, np.float64), np.asarray(promised, np.float64)
    if hits.ndim != 1 or not np.isin(hits, (0, 1)).all():
        raise SettingError("right", "a list of true or false", right)
    if chance.shape != hits.shape or not np.all((chance >= 0) & (chance <= 1)):
        raise SettingError("promised", f"{len(hits)} chances from 0 to 1", promised)
    if not 0 < level < 1:
        raise SettingError("level", "a probability between 0 and 1", level)
    p = np.clip(chance, _LEAST_SURE, _MOST_SURE)[:, None]
    gains = np.where(hits[:, None] > 0, np.log1p(-_STAKES), np.log1p(_STAKES * p / (1 - p)))
    wealth = _mixed(gains)
    over = np.flatnonzero(wealth >= -math.log(level))
    if not len(over):
        return Watched(wealth, level, None, None)
    first = int(over[0])
    return Watched(wealth, level, first + 1, _since(gains[: first + 1]) + 1)


def _weight(block: int) -> float:
    """Of the wealth, what begins to bet with this block."""
    return 0.5 if not block else 0.5 / (block * (block + 1))


def _mixed(gains: Floats) -> Floats:
    """(n,) logarithm of the wealth of all starts and stakes, what has not begun to bet included."""
    found = np.empty(len(gains))
    held = np.full(len(_STAKES), -math.inf)
    for i, gain in enumerate(gains):
        block, within = divmod(i, _BLOCK)
        if not within:
            held = np.logaddexp(held, math.log(_weight(block) / len(_STAKES)))
        held = held + gain
        top = max(float(held.max()), 0.0)
        rest = 0.5 / (block + 1)  # the sum of the weights of all later blocks
        found[i] = top + math.log(float(np.exp(held - top).sum()) + rest * math.exp(-top))
    return found


def _since(gains: Floats) -> int:
    """The beginning of the block from which on the bets have won most, by their weights."""
    starts = np.arange(0, len(gains), _BLOCK)
    total = gains.sum(axis=0)
    before = np.concatenate([np.zeros((1, gains.shape[1])), np.cumsum(gains, axis=0)])[starts]
    weights = np.log([_weight(block) for block in range(len(starts))])
    return int(starts[int(((total - before).max(axis=1) + weights).argmax())])
