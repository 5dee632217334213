"""Co-training of two regressors of nearest neighbours, for targets that are numbers.

COREG: Zhou & Li 2005, "Semi-supervised regression with co-training", IJCAI, table 1. The two
measure distance by Minkowski metrics of different orders. Each names, round by round, the
unlabelled record that makes it fit that record's labelled neighbours best, and teaches it to the
other.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsRegressor

from leaven.core.errors import DataError, SettingError
from leaven.learn.choices.choice import within
from leaven.learn.wrapping import Floats, Index

__all__ = ["CoTrained", "Lesson", "co_train_regressors", "gains"]


@dataclass(frozen=True)
class Lesson:
    """What one round taught: for each of the two, the row it was taught (-1 for none) and as what.

    `rows` (2,) and `values` (2,), NaN for none.
    """

    number: int
    total: int
    rows: Index
    values: Floats


@dataclass(frozen=True)
class CoTrained:
    """Two fitted regressors; `targets` (n,) are the given ones and what was taught, else NaN.

    A record that was taught to either holds the value it was taught as.
    """

    members: tuple[Any, Any]
    targets: Floats
    rounds: int

    def predict(self, X: Any) -> Floats:
        """(n,) the mean of the two."""
        told: Floats = np.mean([member.predict(X) for member in self.members], axis=0)
        return told


def co_train_regressors(
    X: Any, targets: Any, *, neighbours: int = 3, orders: tuple[float, float] = (2.0, 5.0),
    rounds: int = 100, pool: int = 100, seed: int = 0,
) -> Generator[Lesson, None, CoTrained]:  # fmt: skip
    """Two regressors teach each other, one record a round each; see the module.

    Parameters
    ----------
    X : (n, width) array. `targets` : (n,) numbers, NaN where unlabelled.
    neighbours : k of both; fewer where fewer records have a label.
    orders : of the two Minkowski metrics, 1 at least.
    rounds : at most (the paper's T); it ends sooner where no record makes either fit better.
    pool : unlabelled records, drawn and refilled, of which either chooses in a round; 0 for all.

    As in the paper a labelled record is among its own neighbours. Raises SettingError, and
    DataError for sparse records or where no target is known.
    """
    within("neighbours", neighbours, 1, 10_000)
    within("rounds", rounds, 1, 1_000_000)
    within("pool", pool, 0, 1_000_000_000)
    if len(orders) != 2 or min(orders) < 1:
        raise SettingError("orders", "two numbers, 1 or more", orders)
    if sparse.issparse(X):
        raise DataError("Neighbours are sought among dense records. Give X.toarray().")
    X, known = np.asarray(X, float), np.array(targets, float)
    if X.ndim != 2 or known.shape != (len(X),):
        raise DataError(f"There are {known.shape} targets for records of shape {X.shape}.")
    labelled, open_to = np.flatnonzero(~np.isnan(known)), np.flatnonzero(np.isnan(known))
    if not len(labelled):
        raise DataError("No record has a target. Give at least one a number.")
    k = min(neighbours, len(labelled))
    open_to = np.random.default_rng(seed).permutation(open_to)
    rows = [labelled, labelled]
    values = [known[labelled], known[labelled]]
    number = 0
    while number < rounds and len(open_to):
        number += 1
        taught, told = np.full(2, -1), np.full(2, np.nan)
        for one in range(2):
            left = open_to[: pool or len(open_to)]
            left = left[~np.isin(left, taught)]
            if not len(left):
                continue
            gain, guess = gains(X[left], X[rows[one]], values[one], k, orders[one])
            if gain.max() > 0:
                taught[1 - one], told[1 - one] = left[gain.argmax()], guess[gain.argmax()]
        yield Lesson(number, rounds, taught, told)
        if (taught < 0).all():
            break
        for one in np.flatnonzero(taught >= 0).tolist():
            rows[one] = np.append(rows[one], taught[one])
            values[one] = np.append(values[one], told[one])
            known[taught[one]] = told[one]
        open_to = open_to[~np.isin(open_to, taught)]
    members = [
        KNeighborsRegressor(k, p=order).fit(X[own], value)
        for own, value, order in zip(rows, values, orders, strict=True)
    ]
    return CoTrained((members[0], members[1]), known, number)


def gains(
    asked: npt.ArrayLike, X: npt.ArrayLike, values: Floats, k: int, order: float
) -> tuple[Floats, Floats]:
    """(m,) how much better the records `X` (l, width) are fitted with each of `asked` added.

    The paper's Δ, eq. 1: over the k nearest of an asked record, the sum of their squared errors
    before less that after it is added with its own guess. Returns the guesses (m,) as well.
    """
    between = cdist(asked, X, "minkowski", p=order)  # (m, l)
    within_ = cdist(X, X, "minkowski", p=order)
    near = np.argsort(within_, axis=1, kind="stable")[:, :k]
    furthest = np.take_along_axis(within_, near[:, -1:], 1)[:, 0]
    total, last = values[near].sum(1), values[near[:, -1]]
    own = np.argsort(between, axis=1, kind="stable")[:, :k]  # (m, k)
    guess = values[own].mean(1)
    before = (values - total / k)[own] ** 2
    moved = np.take_along_axis(between, own, 1) < furthest[own]
    after = np.where(moved, total[own] - last[own] + guess[:, None], total[own]) / k
    gain: Floats = (before - (values[own] - after) ** 2).sum(1)
    return gain, guess
