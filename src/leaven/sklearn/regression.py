"""Regression where most targets are missing."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from leaven.learn.wrapping_regression import co_train_regressors
from leaven.sklearn.estimator import in_their_words, returned

__all__ = ["CoTrainingRegressor"]

Floats = npt.NDArray[np.float64]


class CoTrainingRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Two regressors of nearest neighbours, by different distances, teach each other.

    COREG, Zhou & Li 2005. NaN in y is an unlabelled record; -1 is a number like others.

    Parameters
    ----------
    neighbours : k of both.
    orders : of the two Minkowski metrics, 1 at least.
    rounds : at most; a round teaches each of the two one record.
    pool : of how many unlabelled records, drawn and refilled, either chooses; 0 for all.
    random_state : None, a seed or a RandomState.

    Attributes
    ----------
    estimators_ : the two fitted regressors.
    transduction_ : (n,) a number for each record of `fit`: the given one where there is one.
    n_iter_ : rounds.
    n_features_in_, feature_names_in_ : as for every estimator here.

    >>> import numpy as np
    >>> X = np.linspace(0, 1, 9)[:, None]
    >>> y = [0.0, np.nan, np.nan, np.nan, 0.5, np.nan, np.nan, np.nan, 1.0]
    >>> CoTrainingRegressor(neighbours=1).fit(X, y).predict([[0.05], [0.95]])
    array([0., 1.])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "neighbours": [Interval(Integral, 1, 10_000, closed="both")],
        "orders": ["array-like"],
        "rounds": [Interval(Integral, 1, 1_000_000, closed="both")],
        "pool": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        neighbours: int = 3,
        orders: Sequence[float] = (2.0, 5.0),
        rounds: int = 100,
        pool: int = 100,
        random_state: Any = None,
    ) -> None:
        self.neighbours = neighbours
        self.orders = orders
        self.rounds = rounds
        self.pool = pool
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from records with and without a target.

        Parameters
        ----------
        X : (n, d) numbers.
        y : (n,) numbers, NaN where unlabelled.
        """
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = validate_data(self, X, reset=True, dtype=np.float64)
        targets = np.asarray(column_or_1d(y, warn=True), np.float64)
        check_consistent_length(X, targets)
        if np.isinf(targets).any():
            raise ValueError("Input y contains infinity or a value too large for dtype('float64').")
        if np.isnan(targets).all():
            raise ValueError("y has no target: every value is NaN, which means unlabelled.")
        fit = co_train_regressors(
            X,
            targets,
            neighbours=self.neighbours,
            orders=tuple(self.orders),  # type: ignore[arg-type]
            rounds=self.rounds,
            pool=self.pool,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        with in_their_words(self):
            self._found = returned(fit)
        self.estimators_ = list(self._found.members)
        self.n_iter_ = max(self._found.rounds, 1)
        self.transduction_ = np.where(np.isnan(targets), self._found.predict(X), targets)
        return self

    def predict(self, X: Any) -> Floats:
        """(n,) the mean of the two regressors."""
        check_is_fitted(self)
        return self._found.predict(validate_data(self, X, reset=False, dtype=np.float64))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² over the records that have a target; ValueError where none has."""
        targets = np.asarray(y, np.float64)
        known = np.flatnonzero(~np.isnan(targets))
        if not len(known):
            raise ValueError("No record to score on: every value of y is NaN.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(r2_score(targets[known], self.predict(X)[known], sample_weight=weights))
