"""What all estimators here share: labels of which some are missing, checks, answers and scores."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)
from threadpoolctl import threadpool_limits

from leaven.core.errors import LeavenError, SettingError
from leaven.sklearn.labels import read_labels, unlabelled

__all__ = ["Given", "SemiSupervisedClassifier", "WeightedClassifier", "outputs", "returned"]

T = TypeVar("T")
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_BLOCK = 1024  # records asked about at a time


@dataclass(frozen=True)
class Given:
    """What `fit` was given, checked: only records that take part.

    `records` is what `_records` gave, `targets` (m,) places among `classes_`, -1 where unlabelled,
    `weights` (m,) above zero. `rows` (m,) says which of the n records of `fit` they are.
    """

    records: Any
    targets: Places
    weights: Floats
    rows: Places
    n: int
    seed: int

    @property
    def labelled(self) -> Places:
        """The places of the labelled records."""
        return np.flatnonzero(self.targets >= 0)

    @property
    def unlabelled(self) -> Places:
        """The places of the others."""
        return np.flatnonzero(self.targets < 0)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(n,) of values (m,); zero for records that took no part."""
        whole = np.zeros(self.n, values.dtype)
        whole[self.rows] = values
        return whole


class SemiSupervisedClassifier(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # no types
    """A classifier whose `fit` takes unlabelled records among the labelled ones.

    Attributes
    ----------
    classes_ : (k,) the labels that occur.
    transduction_ : (n,) a label for each record of `fit`: the given one where there is one.
    n_iter_ : how many rounds or steps the fit took.
    n_features_in_ : columns of X, where it is a table.
    feature_names_in_ : their names, where X is a data frame whose columns have words for names.
    """

    #: Whether `n_jobs` is a number of threads.
    _threaded: ClassVar[bool] = False
    #: Whether X may be a sparse matrix, and how many columns it has at least.
    _sparse: ClassVar[bool] = False
    _least_features: ClassVar[int] = 1

    @abstractmethod
    def _learn(self, given: Given) -> Places:
        """Fit, set `n_iter_`, and say the class of each record (its place among `classes_`)."""

    @abstractmethod
    def _probabilities(self, records: Any) -> Floats:
        """(n, k), rows sum to 1, of what `_records` gave."""

    def predict_proba(self, X: Any) -> Floats:
        """(n, k) the probability of each class, in the order of `classes_`."""
        check_is_fitted(self)
        records = self._records(X, reset=False)
        with in_their_words(self), self._on_threads():
            return self._probabilities(records)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """(n,) the most probable label of each record."""
        check_is_fitted(self)
        named: npt.NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return named

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of labelled records that are named right; unlabelled ones are left out.

        Raises ValueError where none has a label.
        """
        known = np.flatnonzero(~unlabelled(y))
        if not len(known):
            raise ValueError("No record to score on: every value of y means unlabelled.")
        classes, targets = read_labels(y)
        right = self.predict(X)[known] == classes[targets[known]]
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(np.average(right, weights=weights))

    def _fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Check, learn, and keep the transduction."""
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = self._records(X, reset=True)
        check_consistent_length(X, y)
        names, targets = read_labels(y)
        weights = _weights(sample_weight, X)
        part = weights > 0
        present = np.unique(targets[part & (targets >= 0)])
        if len(present) < 2:
            raise ValueError(
                f"{type(self).__name__} needs labelled records of two classes at least. "
                f"Got {len(present)} class{'es' * (len(present) != 1)}: "
                f"{names[present].tolist()}. Unlabelled records are not a class of their own."
            )
        self.classes_ = names[present]
        place = np.full(len(names) + 1, -1)  # the last one is that of unlabelled records
        place[present] = np.arange(len(present))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        taking = X if part.all() else _chosen(X, part)
        rows = np.flatnonzero(part)
        given = Given(taking, place[targets[rows]], weights[rows], rows, len(part), seed)
        with in_their_words(self), self._on_threads():
            guess = given.spread(self._learn(given))
            if not part.all():
                guess[~part] = self._probabilities(_chosen(X, ~part)).argmax(1)
        self.transduction_ = np.where(targets >= 0, names[targets], self.classes_[guess])
        return self

    def _records(self, X: Any, *, reset: bool) -> Any:
        """X as the method reads it, checked; `reset` while fitting."""
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr" if self._sparse else False,
            dtype=(np.float64, np.float32),
            ensure_all_finite="allow-nan" if self._takes_gaps() else True,
            ensure_min_features=self._least_features if reset else 1,
        )

    @contextmanager
    def _on_threads(self) -> Iterator[None]:
        """As many as `n_jobs` says."""
        count = getattr(self, "n_jobs", None)
        if count is None or not self._threaded:
            yield
            return
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(_threads(count))
            with threadpool_limits(_threads(count)):
                yield
        finally:
            torch.set_num_threads(before)

    def _takes_gaps(self) -> bool:
        """Whether NaN may stand in X for what is not known."""
        return False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._sparse
        tags.input_tags.allow_nan = self._takes_gaps()
        return tags


class WeightedClassifier(SemiSupervisedClassifier):
    """One that takes weights of the records."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from labelled and unlabelled records.

        Parameters
        ----------
        X : (n, d) records.
        y : (n,) labels; -1, None, NaN and "" mean unlabelled.
        sample_weight : (n,) how much each record counts. One of weight 0 takes no part.
        """
        return self._fit(X, y, sample_weight)


def outputs(forward: Callable[[Places], torch.Tensor], count: int) -> Floats:
    """(count, k) what a module says of records, asked for by their places, block by block."""
    with torch.inference_mode():
        parts = [
            forward(np.arange(start, min(start + _BLOCK, count))).double().cpu().numpy()
            for start in range(0, count, _BLOCK)
        ]
    return np.concatenate(parts)


def returned(rounds: Generator[Any, None, T]) -> T:
    """What a generator returns at its end."""
    while True:
        try:
            next(rounds)
        except StopIteration as finished:
            value: T = finished.value
            return value


@contextmanager
def in_their_words(estimator: Any) -> Iterator[None]:
    """Leaven's errors as the ValueError that scikit-learn's tools expect."""
    try:
        yield
    except SettingError as error:
        name = error.parameter.removeprefix("objective.")
        raise ValueError(
            f"The {name!r} parameter of {type(estimator).__name__} must be {error.wanted}. "
            f"Got {error.got!r} instead. {error.fix}".rstrip()
        ) from error
    except LeavenError as error:
        raise ValueError(str(error)) from error


def _threads(jobs: int) -> int:
    """As scikit-learn counts: -1 is all processors, -2 all but one."""
    if jobs == 0:
        raise ValueError("The 'n_jobs' parameter must not be 0. Give None, 1 or more, or -1.")
    return jobs if jobs > 0 else max((os.cpu_count() or 1) + 1 + jobs, 1)


def _weights(sample_weight: Any, X: Any) -> Floats:
    """(n,) as given, or ones."""
    weights: Floats = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    return weights


def _chosen(records: Any, which: npt.NDArray[np.bool_]) -> Any:
    """Some of the records."""
    if isinstance(records, list):
        return [record for record, keep in zip(records, which, strict=True) if keep]
    return records[np.flatnonzero(which)]
