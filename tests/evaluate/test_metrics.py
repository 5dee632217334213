"""Figures against scikit-learn and against resampling done one at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from leaven.core.errors import SettingError
from leaven.evaluate.intervals import resampled_sums, wilson
from leaven.evaluate.metrics import confusion, measure, per_class


def predictions(n: int, k: int, seed: int = 0, skill: float = 1.0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(k, size=n)
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), targets] += skill
    probabilities = np.exp(scores)
    return probabilities / probabilities.sum(axis=1, keepdims=True), targets


def macro_auroc(p, y):
    return np.mean([oracle.roc_auc_score(y == c, p[:, c]) for c in np.unique(y)])


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 80), st.integers(2, 7), st.integers(0, 10_000))
def test_values_are_those_of_scikit_learn(n, k, seed):
    p, y = predictions(n, k, seed)
    p = np.round(p, 2) + 1e-9  # ties
    p /= p.sum(axis=1, keepdims=True)
    guess = p.argmax(axis=1)
    figures = measure(p, y, resamples=20)
    one_hot = np.eye(k)[y]
    expected = {
        "accuracy": oracle.accuracy_score(y, guess),
        "balanced_accuracy": np.mean([(guess[y == c] == c).mean() for c in np.unique(y)]),
        "macro_f1": oracle.f1_score(y, guess, average="macro"),
        "log_loss": oracle.log_loss(y, p, labels=range(k)),
        "brier": ((p - one_hot) ** 2).sum(axis=1).mean(),
    }
    if len(np.unique(y)) > 1:
        expected["auroc"] = macro_auroc(p, y)
    for name, value in expected.items():
        assert figures[name].value == pytest.approx(value, abs=1e-9), name
    for name, figure in figures.items():
        assert figure.low <= figure.value <= figure.high, name
        assert figure.n == n


def test_intervals_are_those_of_resampling_one_at_a_time():
    p, y = predictions(150, 3)
    figures = measure(p, y, resamples=4000)
    rng = np.random.default_rng(7)
    drawn = {"balanced_accuracy": [], "log_loss": [], "auroc": []}
    for _ in range(400):
        i = rng.integers(150, size=150)
        drawn["balanced_accuracy"].append(oracle.balanced_accuracy_score(y[i], p[i].argmax(1)))
        drawn["log_loss"].append(oracle.log_loss(y[i], p[i], labels=range(3)))
        drawn["auroc"].append(macro_auroc(p[i], y[i]))
    for name, values in drawn.items():
        low, high = np.quantile(values, [0.025, 0.975])
        width = high - low
        assert figures[name].low == pytest.approx(low, abs=0.25 * width), name
        assert figures[name].high == pytest.approx(high, abs=0.25 * width), name


def test_the_interval_of_the_accuracy_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(0)
    for share, n in ((0.9, 40), (0.5, 25), (0.98, 60)):
        low, high = wilson(rng.binomial(n, share, size=4000), n)
        assert np.mean((low <= share) & (share <= high)) > 0.92


def test_all_right_still_has_an_interval():
    figures = measure(np.eye(3)[[0, 1, 2, 0]], [0, 1, 2, 0])
    assert figures["accuracy"].value == figures["accuracy"].high == 1
    assert 0.4 < figures["accuracy"].low < 0.6
    assert figures["log_loss"].value == pytest.approx(0, abs=1e-9)


def test_a_figure_that_is_undefined_is_left_out():
    assert "auroc" not in measure([[0.7, 0.3], [0.6, 0.4]], [0, 0])
    alone = measure([[1.0], [1.0]], [0, 0])
    assert "auroc" not in alone
    assert alone["accuracy"].value == 1
    assert measure(np.empty((0, 3)), np.empty(0, int)) == {}


def test_the_same_seed_gives_the_same_intervals():
    p, y = predictions(60, 4)
    assert measure(p, y, seed=3) == measure(p, y, seed=3)
    assert measure(p, y, seed=3) != measure(p, y, seed=4)


def test_resamples_draw_as_many_records_as_there_are():
    (sums,) = resampled_sums(np.ones((37, 1)), seed=0, resamples=50)
    assert (sums == 37).all()


def test_per_class_is_scikit_learns():
    p, y = predictions(90, 4)
    guess = p.argmax(axis=1)
    rows = per_class(p, y, ["a", "b", "c", "d"])
    precision, recall, f1, n = oracle.precision_recall_fscore_support(y, guess)
    assert [r["class"] for r in rows] == ["a", "b", "c", "d"]
    assert [r["n"] for r in rows] == n.tolist()
    assert np.allclose([r["precision"] for r in rows], precision)
    assert np.allclose([r["recall"] for r in rows], recall)
    assert np.allclose([r["f1"] for r in rows], f1)
    assert all(r["recall_low"] < r["recall"] < r["recall_high"] for r in rows)
    assert np.array_equal(confusion(p, y), oracle.confusion_matrix(y, guess))


def test_a_class_without_records_has_no_recall():
    rows = per_class([[0.9, 0.1, 0.0]], [0], ["a", "b", "c"])
    assert rows[0]["recall"] == 1
    assert rows[1]["recall"] is rows[1]["recall_low"] is rows[1]["f1"] is None


@pytest.mark.parametrize(
    ("probabilities", "targets", "told"),
    [
        ([[0.5, 0.6]], [0], "softmax"),
        ([[math.nan, 1.0]], [0], "NaN"),
        ([[0.5, 0.5]], [-1], "unlabelled"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [0, 1], "targets"),
        ([0.5, 0.5], [0], "shape"),
        ([[0.5, 0.5]], [0.0], "whole"),
    ],
)
def test_what_is_no_prediction_is_refused(probabilities, targets, told):
    with pytest.raises(SettingError, match=told):
        measure(probabilities, targets)
