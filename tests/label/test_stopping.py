"""Money and rules of stopping: by hand, and on curves and models that are known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from leaven.core.errors import SettingError
from leaven.evaluate.forecast import forecast
from leaven.evaluate.intervals import Estimate
from leaven.label.trust.gate import Gate
from leaven.label.trust.stopping import (
    Price,
    audited_precision,
    budget_spent,
    forecast_below_price,
    stability,
    worth,
)


@given(
    st.floats(0.001, 100), st.floats(0, 100), st.integers(1, 10**6), st.integers(1, 1000),
    st.tuples(*[st.floats(0, 0.2)] * 3),
)  # fmt: skip
def test_worth_is_what_a_ledger_says(
    label: float, error: float, decisions: int, ahead: int, ends: tuple[float, float, float]
):
    low, value, high = sorted(ends)
    told = worth(Estimate(value, low, high, 10), ahead, Price(label, error, decisions))
    cost = ahead * label
    assert told.cost == cost
    assert told.saved is not None
    assert told.net is not None
    errors_now, errors_then = decisions * 0.5, decisions * (0.5 - value)
    np.testing.assert_allclose(told.saved.value, (errors_now - errors_then) * error, atol=1e-6)
    np.testing.assert_allclose(told.net.value, told.saved.value - cost, atol=1e-6)
    outcome = {True: "stop", False: "perhaps" if told.saved.value < cost else "go on"}
    assert told.outcome == outcome[told.saved.high < cost]
    assert forecast_below_price(told).stop == (told.outcome == "stop")
    if told.pays_from is not None:
        assert told.pays_from * value * error >= cost * (1 - 1e-6)
        assert (told.pays_from - 1) * value * error < cost * (1 + 1e-6)
    else:
        assert value * error == 0 or cost / (value * error) == np.inf


def test_a_flat_curve_is_not_worth_its_price_and_a_steep_one_is():
    sizes = np.array([10.0, 20, 40, 80])
    steep = forecast(sizes, 0.05 + sizes**-0.5, np.eye(4) * 1e-6, 100, 50, 1000)
    flat = forecast(sizes, np.full(4, 0.1), np.eye(4) * 1e-7, 100, 50, 1000)
    price = Price(label=1, error=1, decisions=5000, currency="EUR")
    good, bad = worth(steep.expected, 50, price), worth(flat.expected, 50, price)
    assert good.outcome == "go on"
    assert not forecast_below_price(good).stop
    dear = worth(flat.expected, 50, Price(label=10, error=1, decisions=5000))
    assert dear.outcome == "stop"
    assert forecast_below_price(dear).stop
    assert "not worth their price" in dear.sentence
    assert bad.net is not None
    assert good.net is not None
    assert bad.net.value < good.net.value
    assert "EUR" in good.sentence


def test_what_cannot_be_forecast_is_no_reason_to_stop():
    for gain in (None, Estimate(math.nan, math.nan, math.nan, 0)):
        told = worth(gain, 1, Price(2))
        assert (told.outcome, told.cost, told.saved) == ("unknown", 2, None)
        assert told.sentence.startswith("The next label costs 2.00")
        assert not forecast_below_price(told).stop


def test_the_budget_is_spent_to_the_last_label():
    price = Price(label=0.1, budget=1.0)
    bought, spent = 0, 0.0
    while not budget_spent(price, spent).stop:
        bought, spent = bought + 1, spent + price.label
    assert bought == 10
    assert budget_spent(price, 5.0).stop
    assert budget_spent(Price(1, budget=0), 0).stop
    assert not budget_spent(Price(1), 1e9).stop
    assert not budget_spent(Price(0, budget=1), 0.5).stop


def test_stability_is_the_mean_of_the_last_kappas():
    rng = np.random.default_rng(0)
    rounds = [rng.integers(0, 3, 400) for _ in range(2)]
    for changed in (40, 4, 2, 0):
        again = rounds[-1].copy()
        at = rng.choice(400, changed, replace=False)
        again[at] = (again[at] + 1) % 3
        rounds.append(again)
    kappas = [cohen_kappa_score(a, b) for a, b in pairwise(rounds)]
    for end in range(4, len(rounds) + 1):
        told = stability(rounds[:end])
        assert told.stop == (np.mean(kappas[end - 4 : end - 1]) >= 0.99)
    assert told.stop
    assert f"{np.mean(kappas[-3:]):.3f}" in told.sentence
    assert not stability(rounds[-3:]).stop
    assert stability(rounds[-3:], window=2).stop


def test_one_class_only_is_not_stable():
    told = stability([np.zeros(50, int)] * 6)
    assert not told.stop
    assert "says nothing" in told.sentence


def test_a_model_of_digits_stops_late_and_well():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order] / 16, y[order]
    rounds, accuracy, stopped = [], [], None
    for labels in range(40, 1000, 120):
        model = LogisticRegression(max_iter=200).fit(x[:labels], y[:labels])
        rounds.append(model.predict(x[1000:]))
        accuracy.append((rounds[-1] == y[1000:]).mean())
        if stopped is None and stability(rounds, at_least=0.97).stop:
            stopped = len(rounds) - 1
    assert stopped is not None
    assert stopped >= 3
    assert accuracy[-1] - accuracy[stopped] < 0.02


def test_audits_of_all_classes_must_hold():
    gate = Gate(0.9)
    good, short = [1] * 60, [1] * 20
    both = gate.judge([0] * 60 + [1] * 60, good + good, names=["ham", "spam"])
    assert audited_precision(both, 0.9).stop
    assert not audited_precision(both, 0.95).stop
    one = gate.judge([0] * 60 + [1] * 20, good + short, names=["ham", "spam"])
    told = audited_precision(one, 0.9)
    assert not told.stop
    assert "'spam'" in told.sentence
    assert "'ham'" not in told.sentence
    assert not audited_precision([], 0.9).stop


def test_settings_are_checked():
    for wrong in (
        lambda: Price(-1), lambda: Price(math.nan), lambda: Price(1, error=-1),
        lambda: Price(1, budget=-1), lambda: Price(1, decisions=-5), lambda: Price("1"),  # type: ignore[arg-type]
        lambda: Price(1, budget=1).affords(-1), lambda: worth(None, 0, Price(1)),
        lambda: stability([], at_least=0), lambda: stability([], window=0),
        lambda: stability([[0, 1]] * 3 + [[0]]), lambda: audited_precision([], 1.0),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
