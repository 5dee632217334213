"""Label models against slow transcriptions, known accuracies and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import SettingError
from leaven.learn.label_models import SoftLabels, data_programming, dawid_skene, majority, weighted

MODELS = [majority, dawid_skene, data_programming]


def made(
    seed: int, n: int, accuracies: list[float], k: int, coverage: float = 1.0,
    priors: list[float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """True classes, and votes of independent voters whose errors fall on the others alike."""
    rng = np.random.default_rng(seed)
    y = rng.choice(k, size=n, p=priors)
    a = np.array(accuracies)
    wrong = (y[:, None] + rng.integers(1, k, (n, len(a)))) % k
    votes = np.where(rng.random((n, len(a))) < a, y[:, None], wrong)
    return y, np.where(rng.random(votes.shape) < coverage, votes, -1)


@st.composite
def tables(draw: st.DrawFn, classes: int = 3) -> list[list[int]]:
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    row = st.lists(st.integers(-1, classes - 1), min_size=m, max_size=m)
    return draw(st.lists(row, min_size=n, max_size=n))


def slow_em(
    votes: list[list[int]], k: int, known: list[int], rounds: int, abstaining: bool,
    added: list[list[list[float]]],
) -> tuple[list[list[float]], list[float]]:  # fmt: skip
    """Dawid and Skene's EM by loops; `added` answers of each voter, true class and answer."""
    n, m = len(votes), len(votes[0])
    said = [[k if v < 0 and abstaining else v for v in row] for row in votes]
    answers = k + abstaining
    counted = [i for i in range(n) if known[i] >= 0 or any(v >= 0 for v in said[i])]
    p = [[1 / k] * k for _ in range(n)]
    for i in counted:
        tally = [sum(v == c for v in votes[i]) for c in range(k)]
        p[i] = [t / sum(tally) for t in tally] if sum(tally) else [1 / k] * k
        if known[i] >= 0:
            p[i] = [float(c == known[i]) for c in range(k)]
    trace = []
    prior = [1 / k] * k
    for _ in range(rounds):
        theta = [[[0.0] * answers for _ in range(k)] for _ in range(m)]  # voter, class, answer
        density = 0.0
        for j in range(m):
            for c in range(k):
                cell = [
                    sum(p[i][c] for i in counted if said[i][j] == v) + added[j][c][v]
                    for v in range(answers)
                ]
                theta[j][c] = [value / sum(cell) for value in cell]
                density += sum(added[j][c][v] * math.log(theta[j][c][v]) for v in range(answers))
        if counted:
            prior = [sum(p[i][c] for i in counted) / len(counted) for c in range(k)]
        likelihood = 0.0
        for i in counted:
            joint = []
            for c in range(k):
                value = prior[c] if known[i] in (-1, c) else 0.0
                for j in range(m):
                    if said[i][j] >= 0:
                        value *= theta[j][c][said[i][j]]
                joint.append(value)
            likelihood += math.log(sum(joint))
            p[i] = [value / sum(joint) for value in joint]
        trace.append(likelihood + density)
    for i in range(n):
        if i not in counted:
            p[i] = list(prior)
    return p, trace


def usual(votes: list[list[int]], k: int, strength: float) -> list[list[list[float]]]:
    """Answers of rules that are right in 0.7 of their votes, in so many records of each class."""
    table = []
    for j in range(len(votes[0])):
        often = [sum(row[j] == v for row in votes) / len(votes) for v in range(k)]
        rows = []
        for c in range(k):
            row = [often[v] * (0.7 * k if v == c else 0.3 / (1 - 1 / k)) for v in range(k)]
            row = [value / max(1, sum(row)) for value in row]
            rows.append([strength * value + 0.01 for value in [*row, 1 - sum(row)]])
        table.append(rows)
    return table


@settings(max_examples=60)
@given(tables(), st.data())
def test_em_is_the_slow_one(votes: list[list[int]], data: st.DataObject):
    n, m = len(votes), len(votes[0])
    known = data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    few, more = ([[[0.1] * a] * 3] * m for a in (3, 4))
    for found, slow in (
        (
            dawid_skene(votes, 3, targets=known, most=4, tolerance=-math.inf),
            slow_em(votes, 3, known, 4, False, few),
        ),
        (
            dawid_skene(
                votes, 3, targets=known, most=4, tolerance=-math.inf, abstaining_tells=True
            ),
            slow_em(votes, 3, known, 4, True, more),
        ),
        (
            data_programming(votes, 3, targets=known, most=4, tolerance=-math.inf, strength=5),
            slow_em(votes, 3, known, 4, True, usual(votes, 3, 5)),
        ),
    ):
        np.testing.assert_allclose(found.probabilities, slow[0], atol=1e-9)
        np.testing.assert_allclose(found.trace, slow[1], atol=1e-8)


@settings(max_examples=40)
@given(tables(), st.sampled_from([0.0, 0.1, 1.0]), st.booleans())
def test_what_is_maximised_never_falls(votes: list[list[int]], smoothing: float, tells: bool):
    found = [
        dawid_skene(votes, 3, smoothing=smoothing, abstaining_tells=tells),
        data_programming(votes, 3, strength=10 * smoothing),
    ]
    for soft in found:
        assert np.all(np.isfinite(soft.trace))
        assert np.all(np.diff(soft.trace) >= -1e-9)
        np.testing.assert_allclose(soft.probabilities.sum(axis=1), 1)


@settings(max_examples=20)
@given(tables(), st.permutations(range(3)), st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter(votes: list[list[int]], order: list[int], random):  # type: ignore[no-untyped-def]
    codes = np.array(votes)
    renamed = np.array([*order, -1])[codes]
    shuffled = list(range(len(codes)))
    random.shuffle(shuffled)
    for model in MODELS:
        plain = model(codes, 3).probabilities
        np.testing.assert_allclose(model(renamed, 3).probabilities[:, order], plain, atol=1e-6)
        np.testing.assert_allclose(
            model(codes[shuffled], 3).probabilities, plain[shuffled], atol=1e-6
        )


def test_known_accuracies_are_recovered():
    accuracies = [0.9, 0.8, 0.7, 0.6, 0.55]
    y, votes = made(0, 20_000, accuracies, 4, coverage=0.6)
    for found in (dawid_skene(votes), data_programming(votes)):
        assert found.converged
        np.testing.assert_allclose(found.accuracies, accuracies, atol=0.02)
        assert np.array_equal(found.voted, (votes >= 0).any(axis=1))
        sure = found.named(0.9)
        right = (sure == y)[sure >= 0]
        # Probabilities mean what they say.
        said = found.probabilities.max(axis=1)[sure >= 0].mean()
        assert right.mean() == pytest.approx(said, abs=0.02)
    best = (dawid_skene(votes).named() == y).mean()
    assert best > (majority(votes).named() == y).mean() + 0.02


def test_frequencies_are_found_by_dawid_skene():
    _, votes = made(1, 20_000, [0.85, 0.8, 0.75, 0.7], 3, priors=[0.6, 0.3, 0.1])
    np.testing.assert_allclose(dawid_skene(votes).priors, [0.6, 0.3, 0.1], atol=0.02)


def test_abstaining_tells_of_rules_that_name_one_class():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 5000)
    votes = np.full((5000, 6), -1)
    for j in range(6):
        label = j % 2
        fires = rng.random(5000) < np.where(y == label, 0.6, 0.1)
        votes[fires, j] = label
    dumb, told = dawid_skene(votes), dawid_skene(votes, abstaining_tells=True)
    # Whatever such a rule says where it votes, it always says: no confusion tells its accuracy.
    assert (told.probabilities.argmax(1) == y).mean() > 0.88
    assert (dumb.probabilities.argmax(1) == y).mean() < (told.probabilities.argmax(1) == y).mean()
    np.testing.assert_allclose(told.accuracies, 6 / 7, atol=0.03)


def test_rules_of_one_class_that_seldom_vote_keep_their_classes():
    """Where the likelihood alone lets a class vanish."""
    rng = np.random.default_rng(0)
    y = rng.choice(5, 3000, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    votes = np.full((3000, 15), -1)
    for j in range(15):
        often = np.where(y == j % 5, rng.uniform(0.1, 0.4), rng.uniform(0.01, 0.05))
        votes[rng.random(3000) < often, j] = j % 5
    right = {}
    for name, found in {
        "rules": data_programming(votes), "people": dawid_skene(votes, abstaining_tells=True),
        "known": data_programming(votes, priors=[0.4, 0.3, 0.15, 0.1, 0.05]),
    }.items():  # fmt: skip
        hit = (found.probabilities.argmax(axis=1) == y)[found.voted]
        right[name] = hit.mean()
        if name != "people":  # probabilities mean what they say
            assert hit.mean() == pytest.approx(
                found.probabilities.max(1)[found.voted].mean(), abs=0.03
            )
    assert right["people"] + 0.05 < right["rules"] < right["known"]


def test_known_classes_stay():
    votes = [[0, 0], [0, 0], [1, 1], [-1, -1]]
    for model in (dawid_skene, data_programming):
        found = model(votes, 2, targets=[1, -1, -1, 0])
        assert found.probabilities[0].tolist() == [0, 1]
        assert found.probabilities[3].tolist() == [1, 0]
        assert not found.voted[3]


def slow_weighted(votes: np.ndarray, known: np.ndarray, k: int, s: float) -> np.ndarray:
    right = total = 0
    for i, row in enumerate(votes):
        for v in row:
            if v >= 0 and known[i] >= 0:
                total, right = total + 1, right + (v == known[i])
    mean = (right + 1 / k) / (total + 1)
    p = np.ones((len(votes), k))
    for j in range(votes.shape[1]):
        mine = [i for i in range(len(votes)) if votes[i, j] >= 0 and known[i] >= 0]
        a = (sum(votes[i, j] == known[i] for i in mine) + s * mean) / (len(mine) + s)
        for i in range(len(votes)):
            if votes[i, j] >= 0:
                p[i, votes[i, j]] *= a * (k - 1) / (1 - a)
    return p / p.sum(axis=1, keepdims=True)


@given(tables(), st.data())
def test_weighing_is_the_slow_one(votes: list[list[int]], data: st.DataObject):
    codes, n = np.array(votes), len(votes)
    known = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)))
    if not ((codes >= 0) & (known >= 0)[:, None]).any():
        with pytest.raises(SettingError, match="known class"):
            weighted(codes, known, 3)
        return
    found = weighted(codes, known, 3)
    np.testing.assert_allclose(found.probabilities, slow_weighted(codes, known, 3, 2.0), atol=1e-9)


def test_a_voter_worse_than_chance_counts_against_itself():
    y, votes = made(3, 400, [0.9, 0.1], 2)
    found = weighted(votes, np.where(np.arange(400) < 100, y, -1))
    assert (found.named() == y).mean() > 0.85
    assert found.accuracies[1] < 0.2


def test_ties_and_records_without_votes_have_no_name():
    found = majority([[0, 1], [0, 0], [-1, -1], [2, -1]], 3)
    assert found.named().tolist() == [-1, 0, -1, 2]
    assert found.voted.tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.probabilities[2], 1 / 3)
    assert majority([[0, 0, 1]]).named(0.7).tolist() == [-1]
    for model in MODELS:
        assert model([[0, 1], [1, 0], [0, 1], [1, 0]]).named().tolist() == [-1] * 4


@pytest.mark.parametrize("model", MODELS)
def test_odd_tables(model):  # type: ignore[no-untyped-def]
    none = model(np.zeros((0, 3), np.int16))
    assert none.probabilities.shape == (0, 2)
    assert none.named().tolist() == []
    silent: SoftLabels = model(np.full((4, 2), -1), 3)
    assert not silent.voted.any()
    assert np.isnan(silent.accuracies).all()
    np.testing.assert_allclose(silent.probabilities, 1 / 3)
    alone = model([[1], [0]] * 10)
    assert alone.named().tolist() == [1, 0] * 10
    alike = model(np.zeros((5, 3), int))
    assert alike.named().tolist() == [0] * 5
    for wrong in ([0, 1], [[0.5]], [[-2]], [[3]]):
        with pytest.raises(SettingError, match="answers"):
            model(wrong, 3)
    with pytest.raises(SettingError, match="classes"):
        model([[0]], 1)


def test_settings_are_checked():
    votes = [[0, 1]]
    for wrong in (
        lambda: dawid_skene(votes, smoothing=-1), lambda: data_programming(votes, strength=-1),
        lambda: weighted(votes, [0], smoothing=0), lambda: weighted(votes, [0, 1]),
        lambda: dawid_skene(votes, priors=[0.5, 0.6]), lambda: dawid_skene(votes, priors=[1, 0]),
        lambda: dawid_skene(votes, most=0), lambda: dawid_skene(votes, targets=[2]),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()


def test_rounds_that_do_not_suffice_are_told():
    _, votes = made(4, 300, [0.7, 0.6, 0.6], 2)
    found = dawid_skene(votes, most=2)
    assert not found.converged
    assert found.note == "Not yet at rest after 2 rounds."
