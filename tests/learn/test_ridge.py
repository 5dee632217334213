"""The ridge against scikit-learn's, which leaves records out one by one, and what it is sure of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from leaven.learn.learner import LEARNERS
from leaven.learn.learners.ridge import _PENALTIES


def problem(seed: int, n: int = 40, width: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return 5 * rng.normal(size=(n, width)) + 4 * np.eye(width)[y] + 2, y


@pytest.mark.parametrize("weighted", [False, True])
def test_penalty_and_weights_are_those_of_leaving_each_out(weighted: bool):
    X, y = problem(0)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))
    fitted = LEARNERS["ridge"].estimator(0).fit(X, y, weight)
    share = weight / weight.sum()
    scale = np.sqrt(share @ ((X - share @ X) ** 2).sum(1))
    targets = 2.0 * np.eye(3)[y] - 1
    errors = {}
    for penalty in _PENALTIES:
        total = 0.0
        for out in range(len(y)):
            rest = np.arange(len(y)) != out
            slow = Ridge(alpha=penalty).fit(X[rest] / scale, targets[rest], share[rest])
            said = slow.predict(X[[out]] / scale)[0]
            total += share[out] * ((said - targets[out]) ** 2).sum()
        errors[penalty] = total
    best = min(errors, key=lambda p: errors[p])
    whole = Ridge(alpha=best).fit(X / scale, targets, share)
    if weighted:  # the centre moves when a record leaves, which the short cut knows only unweighted
        assert np.corrcoef(fitted.coef_.ravel(), whole.coef_.ravel())[0, 1] > 0.97
    else:
        assert fitted.coef_ == pytest.approx(whole.coef_ / scale, rel=1e-4, abs=1e-8)
        assert fitted.intercept_ == pytest.approx(whole.intercept_, rel=1e-4, abs=1e-6)


def test_it_is_as_sure_as_it_is_right():
    X, y = problem(1, n=600, width=30)
    asked, truth = problem(2, n=600, width=30)
    fitted = LEARNERS["ridge"].estimator(0).fit(X, y)
    said = fitted.predict_proba(asked)
    assert said.sum(1) == pytest.approx(np.ones(600))
    right = (said.argmax(1) == truth).mean()
    assert said.max(1).mean() == pytest.approx(right, abs=0.05)


def test_the_head_says_what_it_says_of_two_classes_out_of_three():
    import torch

    X, y = problem(3)
    kept = y != 1
    learner = LEARNERS["ridge"]
    fitted = learner.estimator(0).fit(X[kept], y[kept])
    head = learner.head(fitted, X.shape[1], 3)
    with torch.no_grad():
        probabilities = head(torch.from_numpy(X).float()).softmax(1).numpy()
    assert probabilities[:, [0, 2]] == pytest.approx(fitted.predict_proba(X), abs=1e-3)
    assert probabilities[:, 1].max() < 0.01
