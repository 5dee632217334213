"""Whether audited pseudo-labels have become worse from one batch to the next: of all, of a class,
or of a band of confidence.

At the beginning of each batch those before are held against the first 8, 16, 32 … since, by
Fisher's exact test (1935). The b-th beginning has 1 / (b (b + 1)) of the level, the j-th of these
sizes 1 / (j (j + 1)) of that; all pseudo-labels together have half of it, and the other groups the
rest in equal parts. So the whole level holds over all groups, beginnings and looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from leaven.evaluate.intervals import wilson

__all__ = ["ALL", "Drop", "largest_drop"]

ALL = "all pseudo-labels"
_FIRST = 8  # audits since a batch began: the first look

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Drop:
    """The precision of a group before the batch `since`, less that from it on, with its 95 %
    interval (Newcombe 1998), and whether it is `shown` to have fallen.

    `before` and `after` are right ones and all.
    """

    group: str
    since: int
    shown: bool
    value: float
    low: float
    high: float
    before: tuple[int, int]
    after: tuple[int, int]


def largest_drop(
    right: npt.ArrayLike,
    batches: npt.ArrayLike,
    ours: npt.ArrayLike,
    groups: Mapping[str, Flags],
    *,
    level: float = 0.05,
    most: float = 0.0,
) -> Drop | None:
    """The largest drop that is shown and above `most`; where none is, the largest of all together.

    Parameters
    ----------
    right : (n,) whether people said the same, in the order in which they said it.
    batches : (n,) the number of the batch of each, from 0.
    ours : (n,) which are of the run that is asked about. Its batches alone may be worse; what they
        are held against is all that was audited before, of whichever run.
    groups : (n,) which are of each group besides all.

    None where the run has no batch that another came before.

    >>> ours = [0] * 60 + [1] * 60
    >>> drop = largest_drop([1] * 60 + [1, 0] * 30, ours, ours, {})
    >>> drop.since, drop.shown, drop.value
    (1, True, 0.5)
    """
    hits, came, own = np.asarray(right, bool), np.asarray(batches), np.asarray(ours, bool)
    found = []
    beginnings = [one for one in np.unique(came[own]).tolist() if one > came.min()]
    for number, since in enumerate(beginnings, 1):
        share, earlier, later = level / (number * (number + 1)) / 2, came < since, came >= since
        found.append(_drop(ALL, since, hits[earlier], hits[later & own], share))
        for name, mine in groups.items():
            before, after = hits[mine & earlier], hits[mine & later & own]
            if len(before) and len(after) and before.mean() - after.mean() > most:
                found.append(_drop(name, since, before, after, share / len(groups)))
    shown = [one for one in found if one.shown and one.value > most]
    whole = [one for one in found if one.group == ALL]
    return max(shown or whole, key=lambda one: (one.low, one.value), default=None)


def _drop(group: str, since: int, before: Flags, after: Flags, level: float) -> Drop:
    a, b = float(before.mean()), float(after.mean())
    ends = [wilson(int(side.sum()), len(side)) for side in (before, after)]
    (a_low, a_high), (b_low, b_high) = [(float(low), float(high)) for low, high in ends]
    low = a - b - float(np.hypot(a - a_low, b_high - b))
    high = a - b + float(np.hypot(a_high - a, b - b_low))
    sides = ((int(side.sum()), len(side)) for side in (before, after))
    return Drop(group, since, _is_shown(before, after, level), a - b, low, high, *sides)


def _is_shown(before: Flags, after: Flags, level: float) -> bool:
    """Whether any of the looks at the first 8, 16, 32 … is significant at its part of the level."""
    n, number = _FIRST, 1
    while n <= len(after):
        right = int(before.sum() + after[:n].sum())
        p = hypergeom.cdf(int(after[:n].sum()), len(before) + n, right, n)
        if p <= level / (number * (number + 1)):
            return True
        n, number = 2 * n, number + 1
    return False
