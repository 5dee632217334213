"""Distances of two sketches on one grid, each from its counts.

`p` and `q` are (cells,) counts of the reference and of what came in, not both empty.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from leaven.operate.drift.sketch import Counts, Floats

__all__ = [
    "chi_square",
    "grouped",
    "jensen_shannon",
    "kolmogorov_smirnov",
    "kullback_leibler",
    "population_stability",
    "total_variation",
    "wasserstein",
]

_GROUPS = 10
#: Counted to each bin of both sides, so that an empty one gives no infinite figure.
_ADDED = 0.5


def kolmogorov_smirnov(p: Counts | Floats, q: Counts | Floats) -> float:
    """The largest gap of the two distribution functions, in [0, 1].

    >>> kolmogorov_smirnov(np.array([1, 1, 0]), np.array([0, 1, 1]))
    0.5
    """
    return float(np.abs(np.cumsum(p / p.sum()) - np.cumsum(q / q.sum())).max())


def total_variation(p: Counts | Floats, q: Counts | Floats) -> float:
    """The share of records that would have to be others, in [0, 1]."""
    return float(np.abs(p / p.sum() - q / q.sum()).sum() / 2)


def wasserstein(p: Counts, q: Counts, worth: Floats) -> float:
    """How far a value has to be moved on average to make one of the other, in its own unit.

    `worth` (cells,) is what each cell stands for, ascending; what lies in infinite ones counts as
    lying at the outermost finite one.
    """
    inside = np.isfinite(worth)
    ends = worth[inside][[0, -1]]
    gaps = np.diff(np.clip(worth, *ends))
    apart = np.cumsum(p / p.sum()) - np.cumsum(q / q.sum())
    return float((np.abs(apart[:-1]) * gaps).sum())


def chi_square(p: Counts, q: Counts) -> tuple[float, float]:
    """Cramér's V and the p-value of Pearson's test; cells that expect under five count as one."""
    table = np.stack([p, q]).astype(np.float64)
    expected = table.sum(0) * table.sum(1).min() / table.sum()
    few = expected < 5
    if few.any():
        table = np.concatenate([table[:, ~few], table[:, few].sum(1, keepdims=True)], axis=1)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic, chance, *_ = stats.chi2_contingency(table, correction=False)
    return math.sqrt(statistic / table.sum()), float(chance)


def grouped(p: Counts, q: Counts, groups: int = _GROUPS) -> tuple[Counts, Counts]:
    """Both in bins that hold about equally many of the reference's values, empty ones left out.

    >>> grouped(np.array([5, 5, 0, 10]), np.array([1, 2, 3, 4]), groups=2)
    (array([10, 10]), array([3, 7]))
    """
    below = np.cumsum(p) - p
    place = np.minimum(below * groups // max(int(p.sum()), 1), groups - 1).astype(np.int64)
    both = [np.bincount(place, side, minlength=groups).astype(np.int64) for side in (p, q)]
    some = (both[0] + both[1]) > 0
    return both[0][some], both[1][some]


def population_stability(p: Counts, q: Counts) -> float:
    """The population stability index, the symmetric sum of both divergences, in nats."""
    a, b = _smoothed(p), _smoothed(q)
    return float(((b - a) * np.log(b / a)).sum())


def kullback_leibler(p: Counts, q: Counts) -> float:
    """The divergence of what came in from the reference, in nats."""
    a, b = _smoothed(p), _smoothed(q)
    return float((b * np.log(b / a)).sum())


def jensen_shannon(p: Counts, q: Counts) -> float:
    """The square root of the divergence from their mean, in bits: a distance in [0, 1]."""
    a, b = p / p.sum(), q / q.sum()
    middle = (a + b) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        halves = [np.nansum(side * np.log2(side / middle)) / 2 for side in (a, b)]
    return float(math.sqrt(max(sum(halves), 0.0)))


def _smoothed(counts: Counts) -> Floats:
    raised = counts + _ADDED
    smoothed: Floats = raised / raised.sum()
    return smoothed
