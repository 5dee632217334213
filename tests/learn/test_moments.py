"""The method of moments against its closed form and known parameters."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import SettingError
from leaven.learn.label_models import data_programming, majority
from leaven.learn.moments import moments


def population(accuracies: list[int], size: int = 20) -> np.ndarray:
    """Votes of three rules in exactly the shares that they expect: accuracies in twentieths."""
    rows = []
    for y, *right in product((0, 1), (0, 1), (0, 1), (0, 1)):
        times = 1
        for a, hit in zip(accuracies, right, strict=True):
            times *= a if hit else size - a
        rows += [[y if hit else 1 - y for hit in right]] * times
    return np.array(rows)


@pytest.mark.parametrize("accuracies", [[18, 16, 14], [19, 11, 15], [12, 12, 12]])
def test_three_rules_are_the_triplet_of_the_paper(accuracies: list[int]):
    votes = population(accuracies)
    signs = 2 * votes - 1
    met = signs.T @ signs / len(votes)  # E[vote vote'], classes alike
    closed = [
        np.sqrt(abs(met[i, j] * met[i, k] / met[j, k]))
        for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    ]
    for balance in (0.5, None):
        found = moments(votes, balance=balance)
        np.testing.assert_allclose(2 * found.accuracies - 1, closed, atol=1e-6)
        np.testing.assert_allclose(found.accuracies, np.array(accuracies) / 20, atol=1e-6)
        np.testing.assert_allclose(found.priors, 0.5, atol=1e-6)
    a = np.array(accuracies) / 20
    odds = np.prod(np.where(votes == 1, a / (1 - a), (1 - a) / a), axis=1)
    np.testing.assert_allclose(found.probabilities[:, 1], odds / (1 + odds), atol=1e-5)


def rules_of_one_class(seed: int, n: int, p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes, votes of rules that name one class or both, and P(right | votes) of each."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < p).astype(int)
    # P(vote 0 | y), P(vote 1 | y), for y of 0 and of 1
    table = np.array(
        [
            [[0.0, 0.05], [0.0, 0.5]],
            [[0.0, 0.02], [0.0, 0.3]],
            [[0.4, 0.0], [0.1, 0.0]],
            [[0.6, 0.2], [0.1, 0.5]],
            [[0.3, 0.0], [0.02, 0.0]],
        ]
    )
    votes = np.full((n, len(table)), -1)
    for j, given_y in enumerate(table):
        draw = rng.random(n)
        zero, one = given_y[y, 0], given_y[y, 1]
        votes[draw < zero + one, j] = 1
        votes[draw < zero, j] = 0
    right = (1 - p) * table[:, 0, 0] + p * table[:, 1, 1]
    return y, votes, right / ((1 - p) * table[:, 0].sum(1) + p * table[:, 1].sum(1))


@pytest.mark.parametrize("balance", [0.3, None])
def test_rules_that_name_one_class_are_recovered(balance: float | None):
    y, votes, accuracies = rules_of_one_class(0, 60_000, 0.3)
    found = moments(votes, balance=balance)
    assert found.converged
    np.testing.assert_allclose(found.priors[1], 0.3, atol=0.03)
    np.testing.assert_allclose(found.accuracies, accuracies, atol=0.04)
    assert np.array_equal(found.voted, (votes >= 0).any(axis=1))
    named = found.probabilities.argmax(axis=1)
    likeliest = moments(votes, balance=0.3).probabilities.argmax(axis=1)
    assert (named == likeliest).mean() > 0.97
    assert (named == y).mean() > (majority(votes).probabilities.argmax(axis=1) == y).mean() + 0.01
    # Another way to the same model says the same.
    other = data_programming(votes).probabilities.argmax(axis=1)
    assert (named == other).mean() > 0.97
    # Probabilities mean what they say.
    top = found.probabilities.max(axis=1)
    assert (named == y)[top > 0.9].mean() == pytest.approx(top[top > 0.9].mean(), abs=0.02)


@given(st.lists(st.lists(st.integers(-1, 1), min_size=3, max_size=4), min_size=1, max_size=30))
def test_any_votes_give_probabilities(rows: list[list[int]]):
    votes = np.array([row[:3] for row in rows])
    found = moments(votes)
    assert np.isfinite(found.probabilities).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
    order = np.random.default_rng(0).permutation(len(votes))
    np.testing.assert_allclose(
        moments(votes[order]).probabilities, found.probabilities[order], atol=1e-6
    )


def test_swapped_names_swap_the_columns():
    _, votes, _ = rules_of_one_class(1, 5000, 0.4)
    swapped = moments(np.where(votes < 0, -1, 1 - votes)).probabilities[:, ::-1]
    np.testing.assert_allclose(swapped, moments(votes).probabilities, atol=1e-6)


def test_rules_that_never_meet_are_told():
    votes = np.full((30, 3), -1)
    for j in range(3):
        votes[10 * j : 10 * j + 10, j] = j % 2
    silent = moments(np.full((5, 3), -1))
    assert "it takes three" in silent.note
    np.testing.assert_allclose(silent.probabilities, 0.5)
    assert np.isfinite(moments(votes).probabilities).all()


def test_settings_are_checked():
    for wrong in (
        lambda: moments([[0, 1]]), lambda: moments([[0, 1, 2]]),
        lambda: moments(np.zeros((0, 3), int)), lambda: moments([[0, 1, 1]], balance=1.0),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
