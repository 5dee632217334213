"""Audits of pseudo-labels: which to show to a person, and what their answers say of all.

A sample is drawn by chance within each class and batch, each with its known chance, so that what
it shows holds for all pseudo-labels. `gate.py` reads the answers as they come in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from leaven.core.errors import SettingError
from leaven.data.dataset import Index
from leaven.evaluate.intervals import Estimate
from leaven.learn.answers import check_known
from leaven.learn.predictions import Floats, Ints

__all__ = ["Precision", "Sample", "clopper_pearson", "draw", "precision"]


@dataclass(frozen=True, eq=False)
class Sample:
    """What is to be audited: positions (s,), and the chance with which each was drawn."""

    index: Index
    inclusion: Floats


def draw(
    classes: npt.ArrayLike,
    batches: npt.ArrayLike | None = None,
    *,
    share: float | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Sample:
    """A random sample of pseudo-labels, stratified by class and batch.

    Parameters
    ----------
    classes : (n,) the class that each record was given, -1 for one that was given none.
    batches : (n,) the number of the batch that each came in, from 0; one batch by default.
    share, size : one of the two. Of each stratum the share is drawn, rounded up, or strata get
        their part of `size` by largest remainders; each gets one record at least.

    The sample is in random order: any beginning of it is a random sample too. Raises SettingError
    where `size` is smaller than the number of strata, since a stratum that is never looked at is
    never known.

    >>> drawn = draw([0] * 90 + [1] * 10, share=0.1)
    >>> len(drawn.index), sorted(set(drawn.inclusion.tolist()))
    (10, [0.1])
    """
    given = np.asarray(classes)
    if given.ndim != 1:
        raise SettingError("classes", "a list of class positions", given.shape)
    top = _top(given)
    named = check_known(given, len(given), top)
    came = np.zeros(len(named), np.int64)
    if batches is not None:
        came = check_known(batches, len(named), _top(batches))
    if (share is None) == (size is None):
        raise SettingError("share", "given, or `size`, and not both", share)
    if share is not None and not 0 < share <= 1:
        raise SettingError("share", "a share in (0, 1]", share)
    asked = np.flatnonzero(named >= 0)
    _, stratum, many = np.unique(
        came[asked] * top + named[asked], return_inverse=True, return_counts=True
    )
    if share is not None:
        # Rounding must not turn 0.1 of 30 into 4.
        taken = np.ceil(np.round(share * many, 9)).astype(np.int64)
    else:
        taken = _allotted(many, int(size or 0))
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(asked)), stratum))
    starts = np.concatenate([[0], np.cumsum(many)[:-1]]).astype(np.int64)
    rank = np.arange(len(asked)) - starts[stratum[order]]
    drawn = order[rank < taken[stratum[order]]]
    rng.shuffle(drawn)
    chance = (taken / many)[stratum[drawn]]
    return Sample(asked[drawn], np.asarray(chance, dtype=np.float64))


@dataclass(frozen=True)
class Precision:
    """Of a class, a batch or all (None): the share of right pseudo-labels, with its interval."""

    of: int | None
    value: Estimate


def precision(
    classes: npt.ArrayLike,
    right: npt.ArrayLike,
    inclusion: npt.ArrayLike | None = None,
    *,
    level: float = 0.05,
) -> list[Precision]:
    """The precision of each class, by its number, and last of all together.

    Parameters
    ----------
    classes : (s,) the pseudo-label of each audited record; or its batch, for that of each batch.
    right : (s,) whether the person said the same.
    inclusion : (s,) the chance with which each was drawn; alike by default.

    Where the chances are alike the interval is Clopper's and Pearson's, exact for a random sample
    of any size, and too wide rather than too narrow where several strata were drawn from in
    proportion (Hoeffding 1956). Where they differ, records weigh by one over their chance, and the
    interval is that of the effective number of records, (sum w)^2 / sum w^2 (Kish 1965; Korn &
    Graubard 1998). It is for one look: who looks until it pleases needs `gate.py`.
    """
    named = np.asarray(classes)
    hits = np.asarray(right)
    n = len(named)
    named = check_known(named, n, _top(named))
    if hits.shape != (n,) or not np.isin(hits, (0, 1)).all():
        raise SettingError("right", f"{n} times true or false", hits)
    chance = np.ones(n) if inclusion is None else np.asarray(inclusion, dtype=np.float64)
    if chance.shape != (n,) or not np.all((chance > 0) & (chance <= 1)):
        raise SettingError("inclusion", f"{n} chances in (0, 1]", inclusion)
    if n and named.min() < 0:
        raise SettingError("classes", "the pseudo-label of each audited record", -1)
    found = [
        Precision(int(of), _weighed(hits[named == of], chance[named == of], level))
        for of in np.unique(named)
    ]
    return [*found, Precision(None, _weighed(hits, chance, level))]


def clopper_pearson(
    successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.05
) -> tuple[Floats, Floats]:
    """Ends of the exact interval of a share (Clopper & Pearson 1934), elementwise.

    It holds the true share with 1 - `level` at least, whatever it is. No trials give 0 and 1.

    >>> low, high = clopper_pearson(10, 10)
    >>> round(float(low), 3), float(high)
    (0.692, 1.0)
    """
    if not 0 < level < 1:
        raise SettingError("level", "a share in (0, 1)", level)
    won, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if not np.all((won >= 0) & (won <= n)):
        raise SettingError("successes", "numbers from 0 to the number of trials", successes)
    lost = n - won
    low = betaincinv(np.maximum(won, 1e-9), lost + 1, level / 2)
    high = betaincinv(won + 1, np.maximum(lost, 1e-9), 1 - level / 2)
    return np.where(won > 0, low, 0.0), np.where(lost > 0, high, 1.0)


def _weighed(hits: npt.NDArray[np.bool_], chance: Floats, level: float) -> Estimate:
    """The share of right ones, weighed by one over their chance, and its interval."""
    if not len(hits):
        return Estimate(math.nan, 0.0, 1.0, 0)
    weights = 1 / chance
    value = float((weights * hits).sum() / weights.sum())
    n = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = clopper_pearson(min(value * n, n), n, level)
    return Estimate(value, float(low), float(high), len(hits))


def _allotted(many: Ints, size: int) -> Ints:
    """How many each stratum gets of `size`: one at least, and the rest in proportion."""
    if size < len(many):
        raise SettingError(
            "size", f"at least {len(many)}, one for each class and batch", size,
            "Raise it, or take batches together.",
        )  # fmt: skip
    size = min(size, int(many.sum()))
    # What those that are due less than one take beyond it, the others go without in proportion.
    extra = np.maximum(size * many / max(int(many.sum()), 1) - 1, 0.0)
    ideal = 1 + extra * (size - len(many)) / max(float(extra.sum()), 1e-9)
    taken = np.floor(ideal + 1e-9).astype(np.int64)
    order = np.argsort(-(ideal - taken), kind="stable")
    taken[order[: size - taken.sum()]] += 1
    return taken


def _top(positions: npt.ArrayLike) -> int:
    """A number that all positions are under; what is no number is found later."""
    given = np.asarray(positions)
    return max(int(given.max(initial=1)) + 1, 2) if given.dtype.kind in "iu" else 2
