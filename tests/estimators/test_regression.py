"""The regressor: what its function says, targets that are missing, searches."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from leaven.learn.wrapping_regression import co_train_regressors
from leaven.sklearn import CoTrainingRegressor


def wave(n: int = 80) -> tuple[Any, Any, Any]:
    """A smooth function of two columns: X, its values, and y with every fourth of them."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(n, 2))
    truth = np.sin(X[:, 0]) + 0.5 * X[:, 1]
    return X, truth, np.where(np.arange(n) % 4 == 0, truth, np.nan)


def test_it_is_its_function():
    X, _, y = wave()
    model = CoTrainingRegressor(rounds=20, random_state=3).fit(X, y)
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    fit = co_train_regressors(X, y, rounds=20, seed=seed)
    while True:
        try:
            next(fit)
        except StopIteration as finished:
            found = finished.value
            break
    assert np.array_equal(model.predict(X), found.predict(X))
    assert model.n_iter_ == found.rounds


def test_parameters_are_those_of_the_function():
    own = inspect.signature(CoTrainingRegressor).parameters
    theirs = inspect.signature(co_train_regressors).parameters
    shared = [name for name in theirs if name not in ("X", "targets", "seed")]
    assert list(own) == [*shared, "random_state"]
    assert all(own[name].default == theirs[name].default for name in shared)


def test_given_targets_are_kept_and_minus_one_is_a_number():
    X, truth, y = wave()
    y[0] = -1.0
    model = CoTrainingRegressor(random_state=0).fit(X, y)
    known = ~np.isnan(y)
    assert np.array_equal(model.transduction_[known], y[known])
    assert np.corrcoef(model.transduction_[~known], truth[~known])[0, 1] > 0.9


def test_unlabelled_records_are_left_out_of_the_score():
    X, truth, y = wave()
    known = ~np.isnan(y)
    model = CoTrainingRegressor(random_state=0).fit(X, y)
    assert model.score(X, y) == pytest.approx(model.score(X[known], truth[known]))
    with pytest.raises(ValueError, match="No record to score on"):
        model.score(X[~known], y[~known])
    search = GridSearchCV(model, {"neighbours": [1, 3]}, cv=4).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_nothing_labelled_and_wrong_orders_are_told():
    X, _, y = wave()
    with pytest.raises(ValueError, match="y has no target"):
        CoTrainingRegressor().fit(X, np.full(len(X), np.nan))
    with pytest.raises(ValueError, match="'orders' parameter of CoTrainingRegressor must be two"):
        CoTrainingRegressor(orders=(2.0,)).fit(X, y)
