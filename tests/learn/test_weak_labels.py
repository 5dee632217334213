"""What rules say enters a fit as soft labels: the loss of the paper, no leak, and a gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from leaven.core.errors import DataError, SettingError
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.label.rules.votes import with_rules
from leaven.learn.classic.blend import Blend
from leaven.learn.classic.weak_labels import WeakLabels
from leaven.learn.classic_method import Frozen
from leaven.learn.label_models import data_programming, weighted
from leaven.learn.learners.logistic import Logistic
from leaven.learn.method import METHODS
from leaven.learn.out_of_fold import answers, fitted
from leaven.learn.plan import plan


def known(labelled: int = 12, unlabelled: int = 60, seed: int = 0) -> tuple[Frozen, np.ndarray]:
    """Three clouds, and three rules that err on a fifth of what they vote on."""
    rng = np.random.default_rng(seed)
    n = labelled + unlabelled
    truth = np.arange(n) % 3
    x = np.eye(3)[truth] * 2 + rng.normal(size=(n, 3))
    shape = (n, 3)
    said = np.where(rng.random(shape) < 0.8, truth[:, None], rng.integers(0, 3, shape))
    votes = np.where(rng.random(shape) < 0.5, said, -1).astype(np.int16)
    targets = np.where(np.arange(n) < labelled, truth, -1)
    places = np.arange(unlabelled)
    return Frozen(x.astype(np.float32), targets, 3, seed, places, votes=votes), truth


def expected_loss(problem: Frozen, soft: np.ndarray, weight: float, strength: float) -> np.ndarray:
    """Outputs of the linear model that minimises the loss of the paper, slowly."""
    x, many = problem.features.astype(np.float64), problem.labelled
    counted = np.zeros((len(x), 3))
    counted[np.arange(many), problem.targets[:many]] = 1
    for i in range(many, len(x)):
        if (problem.votes[i] >= 0).any():
            for c in range(3):
                counted[i, c] = weight * soft[i, c] if soft[i, c] > 0.02 else 0
    rows = np.repeat(np.arange(len(x)), (counted > 0).sum(1))
    scale = np.sqrt((x[rows] ** 2).sum(1).mean())
    z = x / scale

    def loss(flat: np.ndarray) -> float:
        w, b = flat[:9].reshape(3, 3), flat[9:]
        out = z @ w.T + b
        log_p = out - np.log(np.exp(out).sum(1, keepdims=True))
        return float(-(counted * log_p).sum() + (w**2).sum() / (2 * strength))

    flat = minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-8}).x
    return z @ flat[:9].reshape(3, 3).T + flat[9:]


def logs(outputs: np.ndarray) -> np.ndarray:
    return outputs - np.log(np.exp(outputs).sum(1, keepdims=True))


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_it_minimises_the_expected_loss(weight):
    problem, _ = known()
    soft = weighted(problem.votes, problem.targets, 3).probabilities
    told = answers(fitted(WeakLabels(weight=weight), problem), problem.features)
    slow = expected_loss(problem, soft, weight, Logistic.strength)
    np.testing.assert_allclose(logs(told), logs(slow), atol=5e-3)


def test_weight_zero_is_the_supervised_learner():
    problem, _ = known()
    told = answers(fitted(WeakLabels(weight=0.0), problem), problem.features)
    alone = answers(fitted(METHODS["logistic"], problem), problem.features)
    np.testing.assert_array_equal(told, alone)


def test_without_a_labelled_vote_rules_are_weighed_by_how_they_agree():
    problem, _ = known()
    votes = problem.votes.copy()
    votes[: problem.labelled] = -1
    problem = replace(problem, votes=votes)
    soft = data_programming(votes, 3).probabilities
    told = answers(fitted(WeakLabels(), problem), problem.features)
    slow = expected_loss(problem, soft, 1.0, Logistic.strength)
    np.testing.assert_allclose(logs(told), logs(slow), atol=5e-3)


def test_what_rules_say_of_a_record_left_out_teaches_nobody():
    problem, _ = known()
    held = np.array([0, 4, 5])
    part = problem.without(held)
    at = slice(problem.labelled - 3, problem.labelled)
    assert (part.votes[at] == -1).all()
    assert (problem.votes[held] >= 0).any()
    np.testing.assert_array_equal(part.votes[problem.labelled :], problem.votes[problem.labelled :])


def test_a_blend_asks_those_who_read_votes_only_where_there_are_some():
    problem, _ = known()
    asked = Blend().contenders(problem)
    without = Blend().contenders(replace(problem, votes=None))
    assert set(asked) - set(without) == {"weak-labels"}
    assert asked["weak-labels"] == pytest.approx(1 / len(asked))
    assert sum(asked.values()) == pytest.approx(1.0)
    assert "weak-labels" not in METHODS["supervised-blend"].contenders(problem)
    named = replace(Blend(), members="logistic,weak-labels").contenders(problem)
    assert set(named) == {"logistic", "weak-labels"}


def digits_with_rules(per: int) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Real digits; rules as a person may write them: right on most of what they name."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    rng = np.random.default_rng(0)
    drawn = rng.permutation(len(y))
    first = np.concatenate([drawn[y[drawn] == c][:per] for c in range(10)])
    rest = np.setdiff1d(drawn, first, assume_unique=False)
    pool, held = rest[:900], rest[900:]
    rows = np.r_[first, pool]
    truth = y[rows]
    shape = (len(rows), 10)
    named = np.where(rng.random(shape) < 0.8, truth[:, None], rng.integers(0, 10, shape))
    votes = np.where((named == np.arange(10)) & (rng.random(shape) < 0.4), np.arange(10), -1)
    targets = np.r_[y[first], np.full(len(pool), -1)]
    frozen = Frozen(
        X[rows], targets, 10, 0, np.arange(len(pool)), modality="tabular",
        votes=votes.astype(np.int16),
    )  # fmt: skip
    return frozen, X[held], y[held]


def test_rules_gain_on_real_digits_and_the_blend_knows_it():
    problem, X, y = digits_with_rules(3)

    def right(method) -> float:
        return float((answers(fitted(method, problem), X).argmax(1) == y).mean())

    alone = right(METHODS["logistic"])
    assert right(WeakLabels()) > alone + 0.05
    assert right(replace(Blend(), members="logistic,weak-labels")) > alone + 0.04


def rows() -> Dataset:
    text = ["win a prize now", "see you at noon", "cash prize", "lunch at noon", "hello", "prize"]
    labels = ["spam", "ham", None, None, None, None]
    table = pa.table({"text": text, "kind": labels})
    return Dataset.from_frame(table, label="kind", modality="text")


def test_a_dataset_carries_what_rules_say_and_loses_it_with_its_records(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nkind = "keyword"\nwords = ["prize"]\nlabel = "spam"\n')
    told = with_rules(rows(), file)
    assert rows().votes is None
    assert told.votes.tolist() == [[1], [-1], [1], [-1], [-1], [1]]
    assert told.select(np.array([5, 1])).votes.tolist() == [[1], [-1]]
    assert told.labels.to_pylist() == rows().labels.to_pylist()  # none is taken for given
    (found,) = [one for one in told.findings if one.name == "rules"]
    assert found.count == 2
    assert "right in 100.0" in found.examples[0]


def test_rules_that_vote_on_nothing_are_told(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nkind = "keyword"\nwords = ["zebra"]\nlabel = "spam"\n')
    with pytest.raises(DataError, match="No rule of .* votes on an unlabelled record"):
        with_rules(rows(), file)


def test_a_method_that_cannot_read_rules_is_refused(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nkind = "keyword"\nwords = ["prize"]\nlabel = "spam"\n')
    told = with_rules(rows(), file)
    with pytest.raises(SettingError, match=r"reads what rules say: blend, weak-labels"):
        plan(Recipe(method="poisson-learning"), told, False)
    assert plan(Recipe(), told, False).recipe.method == "blend"


def test_a_weight_below_zero_is_refused():
    with pytest.raises(SettingError, match="'weight' must be a number, at least 0"):
        WeakLabels(weight=-1.0)
