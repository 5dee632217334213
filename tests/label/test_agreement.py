"""Agreement against published examples and slow loops."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from leaven.core.errors import SettingError, UnknownNameError
from leaven.label.trust.agreement import (
    adjudicated,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    over_time,
)

# Krippendorff 2011, section C: four observers, twelve units, values 1 to 5.
KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""

# Fleiss 1971, table 1: thirty patients, six psychiatrists each, five diagnoses.
FLEISS = """
0 0 0 6 0
0 3 0 0 3
0 1 4 0 1
0 0 0 0 6
0 3 0 3 0
2 0 4 0 0
0 0 4 0 2
2 0 3 1 0
2 0 0 4 0
0 0 0 0 6
1 0 0 5 0
1 1 0 4 0
0 3 3 0 0
1 0 0 5 0
0 2 0 3 1
0 0 5 0 1
3 0 0 1 2
5 1 0 0 0
0 2 0 4 0
1 0 2 0 3
0 0 0 0 6
0 1 0 5 0
0 2 0 1 3
2 0 0 4 0
1 0 0 4 1
0 5 0 1 0
4 0 0 0 2
0 2 0 4 0
1 0 5 0 0
0 0 0 0 6
"""


def krippendorff_table() -> np.ndarray:
    lines = [line.split() for line in KRIPPENDORFF.strip().splitlines()]
    return np.array([[-1 if v == "." else int(v) - 1 for v in line] for line in lines]).T


def answers_of(counts: np.ndarray) -> np.ndarray:
    """Answers of which so many name each class."""
    return np.array([np.repeat(np.arange(len(row)), row) for row in counts])


def test_krippendorffs_own_example():
    found = krippendorff_alpha(krippendorff_table())
    assert round(found.value, 3) == 0.743
    assert found.n == 11
    assert found.low < 0.743 < found.high


def test_fleiss_own_example():
    counts = np.array([[int(v) for v in line.split()] for line in FLEISS.strip().splitlines()])
    found = fleiss_kappa(answers_of(counts))
    assert round(found.value, 3) == 0.430
    assert (found.n, found.low < 0.43 < found.high) == (30, True)


def test_fleiss_of_fourteen_raters():
    """The ten subjects that textbooks and encyclopaedias reckon through."""
    counts = """0 0 0 0 14
    0 2 6 4 2
    0 0 3 5 6
    0 3 9 2 0
    2 2 8 1 1
    7 7 0 0 0
    3 2 6 3 0
    2 5 3 2 2
    6 5 2 1 0
    0 2 2 3 7"""
    rows = np.array([[int(v) for v in line.split()] for line in counts.splitlines()])
    assert round(fleiss_kappa(answers_of(rows)).value, 3) == 0.210


@st.composite
def tables(draw: st.DrawFn, least: int = -1) -> np.ndarray:
    n, m = draw(st.integers(1, 10)), draw(st.integers(2, 4))
    row = st.lists(st.integers(least, 2), min_size=m, max_size=m)
    return np.array(draw(st.lists(row, min_size=n, max_size=n)))


def slow_alpha(answers: np.ndarray) -> float:
    """By the matrix of coincidences, pair by pair."""
    met: dict[tuple[int, int], float] = {}
    for row in answers:
        said = [int(v) for v in row if v >= 0]
        for a, b in permutations(range(len(said)), 2):
            cell = said[a], said[b]
            met[cell] = met.get(cell, 0) + 1 / (len(said) - 1)
    total = {c: sum(v for (a, _), v in met.items() if a == c) for c in range(3)}
    n = sum(total.values())
    apart = sum(v for (a, b), v in met.items() if a != b)
    expected = sum(total[a] * total[b] for a in total for b in total if a != b)
    return 1 - (n - 1) * apart / expected if expected > 1e-9 else math.nan


@settings(max_examples=60)
@given(tables())
def test_alpha_is_the_slow_one(answers: np.ndarray):
    found = krippendorff_alpha(answers, resamples=20)
    np.testing.assert_allclose(found.value, slow_alpha(answers), atol=1e-9)
    assert found.n == ((answers >= 0).sum(1) > 1).sum()


@settings(max_examples=60)
@given(tables(least=0))
def test_fleiss_is_the_slow_one(answers: np.ndarray):
    m = answers.shape[1]
    agree = [
        sum(row[a] == row[b] for a, b in permutations(range(m), 2)) / (m * (m - 1))
        for row in answers
    ]
    expected = sum((answers == c).mean() ** 2 for c in range(3))
    slow = (np.mean(agree) - expected) / (1 - expected) if expected < 1 - 1e-9 else math.nan
    np.testing.assert_allclose(fleiss_kappa(answers, resamples=20).value, slow, atol=1e-9)


@settings(max_examples=60)
@given(tables())
def test_cohen_is_scikit_learns(answers: np.ndarray):
    first, second = answers[:, 0], answers[:, 1]
    both = (first >= 0) & (second >= 0)
    found = cohen_kappa(first, second, resamples=20)
    assert found.n == both.sum()
    if len({*first[both], *second[both]}) < 2:
        assert math.isnan(found.value)
        assert (found.low, found.high) == (-1, 1)
    else:
        np.testing.assert_allclose(found.value, cohen_kappa_score(first[both], second[both]))
        assert found.low <= found.value <= found.high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Two who are right with 0.8 each, of two even classes: agreement 0.68, kappa 0.36."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        y = rng.integers(0, 2, 120)
        first, second = (np.where(rng.random(120) < 0.8, y, 1 - y) for _ in range(2))
        found = cohen_kappa(first, second, resamples=300)
        held += found.low <= 0.36 <= found.high
    assert 0.91 <= held / 300 <= 0.98


def test_resamples_are_those_of_records():
    """The spread is that of a plain bootstrap, record by record."""
    rng = np.random.default_rng(1)
    answers = rng.integers(0, 3, (60, 3))
    answers[:40] = answers[:40, :1]
    plain = []
    for _ in range(1000):
        again = answers[rng.integers(60, size=60)]
        plain.append(slow_alpha(again))
    found = krippendorff_alpha(answers, resamples=4000)
    ends = np.quantile(plain, [0.025, 0.975])
    np.testing.assert_allclose([found.low, found.high], ends, atol=0.03)


def test_perfect_agreement_of_few_is_no_proof():
    for few, many in ((5, 500),):
        for figure in (
            lambda n: cohen_kappa([0, 1] * n, [0, 1] * n),
            lambda n: fleiss_kappa([[0, 0, 0], [1, 1, 1]] * n),
            lambda n: krippendorff_alpha([[0, 0, -1], [1, 1, 1]] * n),
        ):
            assert figure(few).value == figure(many).value == 1
            assert figure(few).high == 1
            assert figure(few).low < 0.5
            assert 0.98 < figure(many).low < 1


def test_one_class_says_nothing():
    for found in (
        cohen_kappa([1] * 9, [1] * 9), fleiss_kappa([[0, 0]] * 9), krippendorff_alpha([[2, 2]] * 9),
        cohen_kappa([], []), krippendorff_alpha([[0, -1], [-1, 1]]),
        krippendorff_alpha(np.zeros((0, 3), int)),
    ):  # fmt: skip
        assert math.isnan(found.value)
        assert (found.low, found.high) == (-1, 1)


def test_what_cannot_be_compared_is_refused():
    for wrong in (
        lambda: cohen_kappa([0, 1], [0]), lambda: fleiss_kappa([[0, -1]]),
        lambda: fleiss_kappa([[0], [1]]), lambda: krippendorff_alpha([0, 1]),
        lambda: krippendorff_alpha([[0.2, 1.0]]), lambda: adjudicated([[0, 1]], sure=0),
        lambda: adjudicated([[0, 1]], at_least=0), lambda: over_time(["a"], [0, 1], [0, 1]),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
    with pytest.raises(UnknownNameError, match="Did you mean 'majority'"):
        adjudicated([[0, 1]], by="majorty")


def test_periods_are_told_apart():
    first = np.array([0, 1, 0, 1, 0, 1, 0, 1, -1])
    second = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0])
    rows = over_time(["may"] * 4 + ["june"] * 5, first, second)
    assert [row.period for row in rows] == ["may", "june"]
    assert [row.n for row in rows] == [4, 4]
    assert [row.agreed for row in rows] == [1.0, 0.5]
    assert [row.kappa.value for row in rows] == [1.0, 0.0]
    assert over_time([], [], []) == []


def test_who_needs_a_third_opinion():
    answers = [[0, 0, 0], [0, 0, 1], [0, 1, -1], [0, 1, 2], [1, -1, -1], [-1, -1, -1]]
    found = adjudicated(answers)
    assert found.classes.tolist() == [0, 0, -1, -1, 1, -1]
    np.testing.assert_allclose(found.confidence, [1, 2 / 3, 1 / 2, 1 / 3, 1, math.nan])
    assert found.third.tolist() == [3, 2, 4]
    assert found.unasked.tolist() == [5]
    assert adjudicated(answers, at_least=1).third.tolist() == [3, 2]
    assert adjudicated(answers, sure=0.9).third.tolist() == [3, 2, 1, 4]


def test_the_consensus_of_unequal_people():
    """One who is nearly always right outweighs two who guess, where they are known by agreement."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 3000)
    accuracies = np.array([0.97, 0.9, 0.6, 0.55, 0.55])
    answers = np.where(rng.random((3000, 5)) < accuracies, y[:, None], 1 - y[:, None])
    plain, weighed = adjudicated(answers), adjudicated(answers, by="dawid-skene")
    assert (weighed.classes == y).mean() > 0.95 > (plain.classes == y).mean() + 0.02
    np.testing.assert_allclose(weighed.accuracies, accuracies, atol=0.04)
    # A fresh opinion is asked for where errors are.
    wrong = np.flatnonzero(weighed.classes != y)
    assert np.isin(wrong, weighed.third).mean() > 0.5
    assert len(weighed.third) < 600


def test_nobody_and_nothing():
    found = adjudicated(np.zeros((0, 2), int))
    assert (len(found.classes), len(found.third), len(found.unasked)) == (0, 0, 0)
    assert adjudicated(np.full((2, 0), -1)).unasked.tolist() == [0, 1]
