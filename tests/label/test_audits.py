"""Samples of pseudo-labels and what they say: chances, strata, exact intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from leaven.core.errors import SettingError
from leaven.label.trust.audits import clopper_pearson, draw, precision


@st.composite
def pseudo(draw_: st.DrawFn) -> tuple[list[int], list[int]]:
    n = draw_(st.integers(1, 60))
    classes = draw_(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    return classes, draw_(st.lists(st.integers(0, 2), min_size=n, max_size=n))


@given(pseudo(), st.integers(0, 3), st.sampled_from([0.05, 0.1, 0.5, 1.0]))
def test_a_share_is_that_of_each_stratum(
    given_: tuple[list[int], list[int]], seed: int, share: float
):
    classes, batches = given_
    drawn = draw(classes, batches, share=share, seed=seed)
    assert len(set(drawn.index.tolist())) == len(drawn.index)
    strata = list(zip(classes, batches, strict=True))
    for stratum in set(strata):
        members = [i for i, s in enumerate(strata) if s == stratum]
        mine = [i for i in drawn.index.tolist() if strata[i] == stratum]
        if stratum[0] < 0:
            assert not mine
            continue
        assert len(mine) == math.ceil(round(share * len(members), 9))
        chances = drawn.inclusion[np.isin(drawn.index, mine)]
        np.testing.assert_allclose(chances, len(mine) / len(members))


@given(pseudo(), st.integers(0, 70))
def test_a_size_is_kept_and_every_stratum_seen(given_: tuple[list[int], list[int]], size: int):
    classes, batches = given_
    strata = [(c, b) for c, b in zip(classes, batches, strict=True) if c >= 0]
    if size < len(set(strata)):
        with pytest.raises(SettingError, match="one for each class and batch"):
            draw(classes, batches, size=size)
        return
    drawn = draw(classes, batches, size=size)
    assert len(drawn.index) == min(size, len(strata))
    seen = {(classes[i], batches[i]) for i in drawn.index.tolist()}
    assert seen == set(strata)
    if len(drawn.index):  # each drawn stands for one over its chance: together for all
        np.testing.assert_allclose((1 / drawn.inclusion).sum(), len(strata))


def test_the_size_is_in_proportion():
    drawn = draw([0] * 700 + [1] * 200 + [2] * 98 + [3] * 2, size=100)
    given_ = np.repeat([0, 1, 2, 3], [700, 200, 98, 2])[drawn.index]
    assert np.bincount(given_).tolist() == [69, 20, 10, 1]


def test_every_record_has_the_chance_that_is_told():
    classes, batches = [0] * 10 + [1] * 4, [0] * 5 + [1] * 9
    times = np.zeros(14)
    for seed in range(2000):
        drawn = draw(classes, batches, size=7, seed=seed)
        times[drawn.index] += 1
    told = np.zeros(14)
    told[drawn.index] = drawn.inclusion
    for lot in (range(5), range(5, 10), range(10, 14)):
        chance = max(told[i] for i in lot)
        np.testing.assert_allclose(times[list(lot)] / 2000, chance, atol=0.04)


def test_a_seed_gives_one_sample_and_another_one_another():
    same = [draw([0] * 100, size=10, seed=seed).index.tolist() for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
    assert same[0] != sorted(same[0])


def test_draws_of_nothing():
    for classes in ([], [-1, -1]):
        assert len(draw(classes, share=0.5).index) == 0
        assert len(draw(classes, size=0).index) == 0
    for wrong in (
        lambda: draw([0]), lambda: draw([0], share=0.1, size=1), lambda: draw([0], share=0),
        lambda: draw([0], share=1.1), lambda: draw([0, 0], [0], share=0.5),
        lambda: draw([[0]], share=0.5), lambda: draw([0.5], share=0.5), lambda: draw([0], size=0),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()


@given(st.integers(1, 200), st.data())
def test_clopper_pearson_is_scipys(n: int, data: st.DataObject):
    won = data.draw(st.integers(0, n))
    low, high = clopper_pearson(won, n, 0.1)
    exact = binomtest(won, n).proportion_ci(0.9, method="exact")
    np.testing.assert_allclose([low, high], [exact.low, exact.high], atol=1e-9)


def test_clopper_pearson_holds_what_it_says():
    """The exact chance of holding the truth, over all outcomes."""
    for n in (5, 30):
        ends = np.array([clopper_pearson(won, n) for won in range(n + 1)])
        for p in np.linspace(0.01, 0.99, 99):
            held = (ends[:, 0] <= p) & (p <= ends[:, 1])
            assert binom.pmf(np.arange(n + 1), n, p)[held].sum() >= 0.95 - 1e-9


def test_precision_of_each_class_and_of_all():
    classes, right = [0] * 20 + [2] * 10, [1] * 18 + [0] * 2 + [1] * 10
    first, second, together = precision(classes, right)
    assert (first.of, second.of, together.of) == (0, 2, None)
    assert (first.value.value, first.value.n) == (0.9, 20)
    exact = binomtest(18, 20).proportion_ci(method="exact")
    np.testing.assert_allclose([first.value.low, first.value.high], [exact.low, exact.high])
    assert second.value.high == 1.0
    assert (together.value.value, together.value.n) == (28 / 30, 30)


def test_unequal_chances_are_weighed():
    """A small bad class that was audited in full says little of all."""
    rng = np.random.default_rng(0)
    held = 0
    truth = np.concatenate([rng.random(5000) < 0.95, rng.random(100) < 0.3])
    classes = np.repeat([0, 1], [5000, 100])
    for seed in range(300):
        drawn = draw(classes, share=0.02, seed=seed)
        small = draw(np.where(classes == 1, 1, -1), share=0.6, seed=seed)
        index = np.concatenate([drawn.index[classes[drawn.index] == 0], small.index])
        chance = np.where(classes[index] == 0, 0.02, 0.6)
        found = precision(classes[index], truth[index], chance)[-1].value
        held += found.low <= truth.mean() <= found.high
    assert held / 300 >= 0.94
    unweighed = precision(classes[index], truth[index])[-1].value
    assert unweighed.high < truth.mean() - 0.05


def test_nothing_audited_is_not_known():
    (together,) = precision([], [])
    assert (together.of, together.value.low, together.value.high) == (None, 0.0, 1.0)
    assert math.isnan(together.value.value)
    for wrong in (
        lambda: precision([0], [2]), lambda: precision([0], [0.5]), lambda: precision([0, 1], [1]),
        lambda: precision([-1], [1]), lambda: precision([0], [1], [0.0]),
        lambda: precision([0], [1], [math.nan]), lambda: clopper_pearson(3, 2),
        lambda: clopper_pearson(1, 2, 0),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
