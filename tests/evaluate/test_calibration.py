"""Temperatures that are known, errors computed the slow way, and no peeking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from leaven.core.errors import SettingError
from leaven.evaluate import calibration


def drawn_from(logits, seed=0):
    """Targets drawn from softmax(logits): with these the true temperature is 1."""
    p = softmax(logits, axis=1).cumsum(axis=1)
    return (np.random.default_rng(seed).random((len(p), 1)) > p).sum(axis=1).clip(0, p.shape[1] - 1)


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_is_found(true):
    logits = 2 * np.random.default_rng(1).normal(size=(4000, 5))
    found = calibration.fit_temperature(logits * true, drawn_from(logits))
    assert found == pytest.approx(true, rel=0.08)


def test_scaling_mends_an_overconfident_model():
    logits = 2 * np.random.default_rng(1).normal(size=(3000, 4))
    y, loud = drawn_from(logits), 3 * logits
    fitted = calibration.fit_temperature(loud[:1500], y[:1500])
    before = calibration.ece(calibration.apply(loud[1500:], 1.0), y[1500:])
    after = calibration.ece(calibration.apply(loud[1500:], fitted), y[1500:])
    assert before > 0.1
    assert after < 0.05


def test_few_records_do_not_ask_for_boundless_confidence():
    logits, y = 4 * np.eye(3), np.arange(3)
    few = calibration.fit_temperature(logits, y)
    many = calibration.fit_temperature(np.tile(logits, (300, 1)), np.tile(y, 300))
    assert 0.5 < few <= 1
    assert many < 0.6 * few
    wrong = calibration.fit_temperature(logits, (y + 1) % 3)
    assert 1 < wrong < 4


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (np.empty((0, 3)), np.empty(0, int)),
        (np.ones((4, 1)), [0, 0, 0, 0]),
        (np.zeros((4, 3)), [0, 1, 2, 0]),
    ],
)
def test_nothing_to_learn_leaves_the_scores_alone(logits, targets):
    assert calibration.fit_temperature(logits, targets) == pytest.approx(1, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.floats(0, 1e6), st.integers(0, 999))
def test_any_finite_scores_give_a_bounded_temperature(n, k, size, seed):
    rng = np.random.default_rng(seed)
    logits = size * rng.normal(size=(n, k))
    temperature = calibration.fit_temperature(logits, rng.integers(k, size=n))
    assert 0.05 <= temperature <= 20
    p = calibration.apply(logits, temperature)
    assert np.allclose(p.sum(axis=1), 1)
    assert np.array_equal(p[np.arange(n), logits.argmax(axis=1)], p.max(axis=1))


def test_a_fold_never_sees_its_own_targets():
    rng = np.random.default_rng(0)
    logits, y = 3 * rng.normal(size=(90, 3)), rng.integers(3, size=90)
    fold = np.arange(90) % 3
    p, _ = calibration.cross_fitted(logits, y, fold)
    changed = y.copy()
    changed[fold == 1] = (changed[fold == 1] + 1) % 3
    again, _ = calibration.cross_fitted(logits, changed, fold)
    assert np.array_equal(p[fold == 1], again[fold == 1])
    assert not np.allclose(p[fold == 0], again[fold == 0])
    others = calibration.fit_temperature(logits[fold != 2], y[fold != 2])
    assert np.allclose(p[fold == 2], calibration.apply(logits[fold == 2], others))


def test_a_single_fold_is_left_alone():
    logits, y = np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([0, 0])
    p, temperature = calibration.cross_fitted(logits, y, np.zeros(2, int))
    assert np.allclose(p, softmax(logits, axis=1))
    assert temperature > 1


def test_errors_by_the_definition():
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(3), size=200)
    y = rng.integers(3, size=200)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    slow = 0.0
    for b in range(15):
        held = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if held.any():
            slow += held.mean() * abs(right[held].mean() - confidence[held].mean())
    assert calibration.ece(p, y) == pytest.approx(slow)
    assert calibration.brier(p, y) == pytest.approx(((p - np.eye(3)[y]) ** 2).sum(axis=1).mean())
    gaps = []
    for c in range(3):
        order = np.argsort(p[:, c], kind="stable")
        for chunk in np.split(order, [50, 100, 150]):
            gaps.append(abs((y[chunk] == c).mean() - p[chunk, c].mean()))
    assert calibration.adaptive_ece(p, y, bins=4) == pytest.approx(np.mean(gaps))


def test_reliability_counts_every_record_once():
    rng = np.random.default_rng(2)
    p, y = rng.dirichlet(np.ones(4), size=120), rng.integers(4, size=120)
    rows = calibration.reliability(p, y)
    assert len(rows) == 10
    assert sum(r["n"] for r in rows) == 120
    full = [r for r in rows if r["n"]]
    assert sum(r["n"] * r["accuracy"] for r in full) == pytest.approx((p.argmax(1) == y).sum())
    for r in full:
        assert r["low"] < r["confidence"] <= r["high"]
        assert r["accuracy_low"] <= r["accuracy"] <= r["accuracy_high"]
    assert rows[0]["n"] == 0
    assert rows[0]["accuracy"] is None


def test_no_records_have_no_error():
    assert math.isnan(calibration.ece(np.empty((0, 2)), np.empty(0, int)))


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(SettingError, match="finite"):
        calibration.fit_temperature([[math.inf, 0.0]], [0])
    with pytest.raises(SettingError, match="temperature"):
        calibration.apply([[0.0, 0.0]], 0.0)


def test_a_transferred_temperature_gives_the_confidence_asked_for():
    logits = np.random.default_rng(0).normal(size=(400, 5)) * 4
    for wanted in (0.35, 0.6, 0.9):
        temperature = calibration.transfer_temperature(logits, wanted)
        assert calibration.apply(logits, temperature).max(1).mean() == pytest.approx(
            wanted, abs=1e-4
        )
    # A surer model of the same opinions gets the higher temperature, and says the same.
    one, other = (
        calibration.transfer_temperature(logits, 0.6),
        calibration.transfer_temperature(3 * logits, 0.6),
    )
    assert other == pytest.approx(3 * one, rel=1e-4)
    assert calibration.transfer_temperature(logits, 1.0) == 0.05
    assert calibration.transfer_temperature(logits, 0.1) == 20.0
