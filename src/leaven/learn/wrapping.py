"""What wrappers around a scikit-learn classifier share: fitting, asking, folds and the result.

A wrapper is a generator: it yields a `Round` each time it has labelled records anew and returns
a `Wrapped`. Records stand in any order; X is an array (n, width) or a sparse matrix of as many
rows, and `n` counts labelled and unlabelled records, `u` the unlabelled ones, `k` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from leaven.core.errors import DataError, SettingError

__all__ = ["Floats", "Index", "Round", "Rounds", "Wrapped", "Wrapping", "dealt"]

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Round:
    """What the unlabelled records were taught in one round.

    `places` (u,) their rows in X, `guess` (u, k) the probabilities they were judged by, `weight`
    (u,) with which each counted, `answers` (u,) the class that the models of the round name.
    """

    number: int
    total: int
    places: Index
    guess: Floats
    weight: Floats
    answers: Index


@dataclass(frozen=True)
class Wrapped:
    """What a wrapper has fitted.

    `members` are fitted estimators whose `classes_` are numbers below `classes`; `columns` says
    which columns of X each reads, None for all. `labels` (n,) are the given ones and the
    pseudo-labels of the last round, -1 where a record has none; `weights` (n,) with which each
    record counts in the last fit. `rounds` were taken.
    """

    members: tuple[Any, ...]
    columns: tuple[Index | None, ...]
    classes: int
    labels: Index
    weights: Floats
    rounds: int

    def probabilities(self, X: Any) -> Floats:
        """(n, k): the members' mean; zero for classes that a member has never seen."""
        told = [
            _padded(member, _rows_of(X, slice(None), columns), self.classes)
            for member, columns in zip(self.members, self.columns, strict=True)
        ]
        return np.asarray(np.mean(told, axis=0))


Rounds = Generator[Round, None, Wrapped]


@dataclass(frozen=True)
class Wrapping:
    """An estimator and the records it is wrapped around, checked.

    `targets` (n,) are class numbers, -1 where unlabelled; `weights` (n,) how much each labelled
    record counts, one by default. All that is drawn is a function of `seed` and of the `key`
    that a call is given. `jobs` fits run at once.

    Raises SettingError for an estimator that gives no probabilities, DataError for records that
    do not fit together or of which none is labelled.
    """

    estimator: Any
    X: Any
    targets: Index
    classes: int
    weights: Any = None
    seed: int = 0
    jobs: int = 1
    weighted: bool = field(init=False)

    def __post_init__(self) -> None:
        if not hasattr(self.estimator, "predict_proba"):
            raise SettingError(
                "estimator", "a classifier with predict_proba", type(self.estimator).__name__,
                "Wrap it: CalibratedClassifierCV(estimator).",
            )  # fmt: skip
        X = self.X.tocsr() if sparse.issparse(self.X) else np.asarray(self.X)
        targets = np.asarray(self.targets, np.int64)
        if X.ndim != 2 or targets.shape != (X.shape[0],):
            raise DataError(f"There are {targets.shape} targets for records of shape {X.shape}.")
        if targets.min(initial=-1) < -1 or targets.max(initial=-1) >= self.classes:
            raise DataError(f"Targets must be -1 or below {self.classes}, the number of classes.")
        if not (targets >= 0).any():
            raise DataError("No record has a label. Give at least one record a class.")
        weights = np.ones(len(targets)) if self.weights is None else np.array(self.weights, float)
        if weights.shape != targets.shape or not (weights[targets >= 0] >= 0).all():
            raise DataError("Weights must be one number a record, none of them negative.")
        if not weights[targets >= 0].any():
            raise DataError("All labelled records have the weight zero.")
        weights[targets < 0] = 0.0
        given: dict[str, Any] = {"X": X, "targets": targets, "weights": weights}
        given["weighted"] = has_fit_parameter(self.estimator, "sample_weight")
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def labelled(self) -> Index:
        """(l,) the rows that have a label."""
        return np.flatnonzero(self.targets >= 0)

    @property
    def unlabelled(self) -> Index:
        """(u,) the rows that have none."""
        return np.flatnonzero(self.targets < 0)

    def empty_round(self) -> Round:
        """The one round of a wrapper that finds no unlabelled record."""
        none = self.unlabelled
        return Round(1, 1, none, np.zeros((0, self.classes)), np.zeros(0), none)

    def draw(self, *key: int) -> np.random.Generator:
        """A generator of its own for each key."""
        return np.random.default_rng((self.seed, *key))

    def fit(
        self, labels: Index, weights: Floats, *key: int, columns: Index | None = None,
        rows: Index | None = None,
    ) -> Any:  # fmt: skip
        """The estimator fitted on `rows`, those with a label and a weight if not given.

        `labels` and `weights` are (n,); a row may stand among `rows` more than once. An estimator
        whose `fit` takes no `sample_weight` gets each row as often as its weight says, in units
        of the labelled records' mean; the remainder is drawn. Where one class alone is left, a
        constant stands for the estimator.
        """
        if rows is None:
            rows = np.flatnonzero((labels >= 0) & (weights > 0))
        if len(np.unique(labels[rows])) == 1:
            only = DummyClassifier(strategy="prior")
            return only.fit(np.zeros((len(rows), 1)), labels[rows])
        draw = self.draw(*key)
        estimator = _seeded(clone(self.estimator), draw)
        options = {}
        if self.weighted:
            options["sample_weight"] = weights[rows]
        else:
            unit = self.weights[self.labelled].mean()
            rows = _copies(rows, weights[rows] / unit, labels[rows], draw)
        return estimator.fit(_rows_of(self.X, rows, columns), labels[rows], **options)

    def ask(self, fitted: Any, rows: Index, columns: Index | None = None) -> Floats:
        """(len(rows), k) what a fitted one says of these rows."""
        return _padded(fitted, _rows_of(self.X, rows, columns), self.classes)

    def ask_others(self, labels: Index, weights: Floats, fold: Index, *key: int) -> Floats:
        """(n, k): of each record in a fold, what a model says that was fitted without that fold.

        `fold` (n,) is -1 for records that are in every fit; their rows of the answer are zero.
        """
        taught = (labels >= 0) & (weights > 0)
        said = np.zeros((len(labels), self.classes))
        if not (taught & (fold >= 0)).any():  # every fold would be fitted on the same
            rows = np.flatnonzero(fold >= 0)
            said[rows] = self.ask(self.fit(labels, weights, *key), rows)
            return said
        asked = [np.flatnonzero(fold == number) for number in range(fold.max() + 1)]

        def one(number: int) -> Floats:
            others = np.flatnonzero(taught & (fold != number))
            return self.ask(self.fit(labels, weights, *key, number, rows=others), asked[number])

        for rows, told in zip(asked, self.at_once(one, range(len(asked))), strict=True):
            said[rows] = told
        return said

    def guess(
        self, labels: Index, weights: Floats, kinds: Index | None, folds: int, repeats: int,
        number: int,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """(u, k) cross-fitted guesses of the unlabelled records, (u,) how far they are apart.

        Records are dealt into the same `folds` in every round `number`, by their `kinds` (u,);
        without these, or with no folds, a model fitted on all guesses. The guess is the mean of
        `repeats`, the second value the deviation of the probability of the class it names.
        """
        places, told = self.unlabelled, []
        for repeat in range(repeats):
            if kinds is None or folds == 0:
                told.append(self.ask(self.fit(labels, weights, number, repeat), places))
                continue
            fold = np.full(len(labels), -1)
            fold[places] = dealt(kinds, folds, self.draw(0, repeat))
            told.append(self.ask_others(labels, weights, fold, number, repeat)[places])
        mean = np.mean(told, axis=0)
        named = mean.argmax(1)[:, None]
        return mean, np.std([np.take_along_axis(one, named, 1)[:, 0] for one in told], axis=0)

    def at_once(self, work: Callable[[int], T], numbers: Iterable[int]) -> list[T]:
        """The work's results in order, `jobs` at a time."""
        if self.jobs == 1:
            return [work(number) for number in numbers]
        run = Parallel(n_jobs=self.jobs, prefer="threads")
        return list(run(delayed(work)(number) for number in numbers))


def dealt(kinds: Index, folds: int, draw: np.random.Generator) -> Index:
    """(n,) the fold of each record: each kind is spread over the folds as evenly as it can be."""
    order = draw.permutation(len(kinds))
    order = order[np.argsort(kinds[order], kind="stable")]
    fold = np.empty(len(kinds), np.int64)
    fold[order] = np.arange(len(kinds)) % folds
    return fold


def _rows_of(X: Any, rows: Any, columns: Index | None) -> Any:
    X = X[rows]
    return X if columns is None else X[:, columns]


def _padded(fitted: Any, X: Any, classes: int) -> Floats:
    """(n, k): the answers in the columns of the classes that were seen."""
    said = np.zeros((X.shape[0], classes))
    if X.shape[0]:
        said[:, fitted.classes_] = fitted.predict_proba(X)
    return said


def _seeded(estimator: Any, draw: np.random.Generator) -> Any:
    """The estimator with a seed wherever it would draw without one."""
    drawn = {
        name: int(draw.integers(2**31))
        for name, value in sorted(estimator.get_params(deep=True).items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return estimator.set_params(**drawn) if drawn else estimator


def _copies(rows: Index, wanted: Floats, labels: Index, draw: np.random.Generator) -> Index:
    """Each row floor or ceil of `wanted` times, by systematic sampling; no class is lost."""
    upto = np.cumsum(wanted) + draw.uniform(1e-9, 1)
    times = np.diff(np.floor(upto), prepend=np.floor(upto[0] - wanted[0])).astype(np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        if not times[own].any():
            times[own[wanted[own].argmax()]] = 1
    return rows.repeat(times)
