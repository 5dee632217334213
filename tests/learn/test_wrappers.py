"""What all wrappers keep: cross-fitting as a spy saw it, ends of the range, real records."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from leaven.core.errors import DataError, SettingError
from leaven.learn.choices.accept import AtLeast, FallingLoss, Relative
from leaven.learn.choices.align import ToLabelled
from leaven.learn.choices.filters import NeighboursAgree
from leaven.learn.classic.co_training import CoTraining, co_train
from leaven.learn.classic.iterative_refinement import IterativeRefinement, refine
from leaven.learn.classic.self_training import SelfTraining, self_train
from leaven.learn.classic.tri_training import TriTraining, tri_train
from leaven.learn.heads.committee import CommitteeHead
from leaven.learn.learner import LEARNERS
from leaven.learn.method import METHODS
from leaven.learn.wrapping import Wrapping
from tests.learn.wrapping_parts import Wrap, clouds, finished

WRAPPERS: list[Wrap] = [self_train, refine, co_train, tri_train]


class Spy(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Nearest class mean; notes which records it was fitted on and which it was asked about.

    The first column of X numbers the records.
    """

    def __init__(self, seen: Any = None) -> None:
        self.seen = seen

    def __sklearn_clone__(self) -> Spy:
        return Spy(self.seen)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Spy:
        self.classes_ = np.unique(y)
        self.means_ = np.array([X[y == c, 1:].mean(0) for c in self.classes_])
        self.fitted_ = set(X[:, 0].astype(int).tolist())
        return self

    def predict_proba(self, X: Any) -> Any:
        self.seen.append((self.fitted_, set(X[:, 0].astype(int).tolist())))
        distance = ((X[:, None, 1:] - self.means_) ** 2).sum(-1)
        odds = np.exp(-(distance - distance.min(1, keepdims=True)) / 2)
        return odds / odds.sum(1, keepdims=True)


def spied(wrap: Wrap, **settings: Any) -> tuple[list[tuple[set[int], set[int]]], Any]:
    X, targets, _ = clouds()
    X = np.column_stack([np.arange(len(X)), X])
    notes: list[tuple[set[int], set[int]]] = []
    finished(wrap(Spy(notes), X, targets, 3, **settings))
    return notes, targets


@pytest.mark.parametrize("wrap", [self_train, refine])
def test_no_model_guesses_what_it_was_taught(wrap: Wrap):
    notes, targets = spied(wrap, folds=4)
    unlabelled = set(np.flatnonzero(targets < 0).tolist())
    asked = [(fitted, about) for fitted, about in notes if about <= unlabelled]
    assert any(fitted & unlabelled for fitted, _ in asked), "pseudo-labels are learnt"
    for fitted, about in asked:
        assert not fitted & about
    notes, _ = spied(wrap, folds=0)
    assert any(fitted & about for fitted, about in notes), "without folds a model guesses all"


@pytest.mark.parametrize("rule", [Relative(), FallingLoss(), ToLabelled()])
def test_what_is_said_of_labelled_records_is_out_of_fold(rule: Any):
    part = "align" if isinstance(rule, ToLabelled) else "accept"
    notes, targets = spied(self_train, **{part: rule})
    labelled = set(np.flatnonzero(targets >= 0).tolist())
    asked = [(fitted, about) for fitted, about in notes if about <= labelled]
    assert set.union(*(about for _, about in asked)) == labelled
    for fitted, about in asked:
        assert not fitted & about


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_one_seed_one_result_and_in_parallel_too(wrap: Wrap):
    X, targets, _ = clouds(others=15)
    base = DecisionTreeClassifier(max_features=1)
    one, other, beside = (
        finished(wrap(base, X, targets, 3, rounds=3, seed=7, jobs=jobs))[0] for jobs in (1, 1, 2)
    )
    again, _ = finished(wrap(base, X, targets, 3, rounds=3, seed=8))
    for same in (other, beside):
        np.testing.assert_array_equal(one.probabilities(X), same.probabilities(X))
        np.testing.assert_array_equal(one.labels, same.labels)
    assert not np.array_equal(one.probabilities(X), again.probabilities(X))
    assert base.random_state is None


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_sparse_records_are_as_dense_ones(wrap: Wrap):
    X, targets, _ = clouds(others=15)
    X = np.where(np.abs(X) > 0.5, X, 0.0)
    base = LogisticRegression()
    dense, _ = finished(wrap(base, X, targets, 3, rounds=3))
    for made in (sparse.csr_matrix, sparse.csc_array):
        told, _ = finished(wrap(base, made(X), targets, 3, rounds=3))
        np.testing.assert_allclose(
            told.probabilities(sparse.csr_matrix(X)), dense.probabilities(X), atol=1e-3
        )
    near, _ = finished(
        self_train(base, sparse.csr_matrix(X), targets, 3, accept=NeighboursAgree(), rounds=2)
    )
    assert (near.labels >= 0).any()


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_ends_of_the_range(wrap: Wrap):
    X, targets, truth = clouds(others=15)
    every, rounds = finished(wrap(GaussianNB(), X, truth, 3))
    np.testing.assert_array_equal(every.labels, truth)
    assert len(rounds) >= 1
    assert rounds[0].guess.shape == (0, 3)
    only, _ = finished(wrap(GaussianNB(), X, np.where(targets == 1, 1, -1), 3))
    np.testing.assert_array_equal(only.probabilities(X), np.eye(3)[np.ones(len(X), int)])
    two, _ = finished(wrap(GaussianNB(), X, np.where(targets == 1, -1, targets), 3))
    told = two.probabilities(X)
    assert not told[:, 1].any(), "a class that was never seen"
    np.testing.assert_allclose(told.sum(1), 1)
    with pytest.raises(DataError, match="No record has a label"):
        next(wrap(GaussianNB(), X, np.full(len(X), -1), 3))
    with pytest.raises(DataError, match="below 2"):
        next(wrap(GaussianNB(), X, targets, 2))
    with pytest.raises(DataError, match="targets for records of shape"):
        next(wrap(GaussianNB(), X[1:], targets, 3))
    with pytest.raises(DataError, match="weight zero"):
        next(wrap(GaussianNB(), X, targets, 3, weights=np.zeros(len(X))))
    with pytest.raises(SettingError, match=r"predict_proba.*CalibratedClassifierCV"):
        next(wrap(LinearSVC(), X, targets, 3))


def test_where_all_is_rejected_the_labelled_records_are_left():
    X, targets, _ = clouds()
    known = targets >= 0
    wrapped, _ = finished(
        self_train(LogisticRegression(), X, targets, 3, accept=AtLeast(1.0), align=())
    )
    np.testing.assert_array_equal(wrapped.labels, targets)
    alone = LogisticRegression().fit(X[known], targets[known])
    np.testing.assert_allclose(wrapped.probabilities(X), alone.predict_proba(X))


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_weights_of_labelled_records_count(wrap: Wrap):
    """A record of weight zero is as one that is not there; it stays labelled."""
    X, targets, _ = clouds(others=15)
    odd = np.flatnonzero(targets == 0)[0]
    targets[odd], weights = 2, np.ones(len(X))
    weights[odd] = 0.0
    plain: dict[str, Any] = {} if wrap in (tri_train, co_train) else {"align": ()}
    told, _ = finished(wrap(GaussianNB(), X, targets, 3, weights=weights, rounds=2, **plain))
    assert told.labels[odd] == 2
    assert told.weights[odd] == 0
    if plain:  # the others draw from the labelled records, or divide the columns by them
        kept = np.arange(len(X)) != odd
        less, _ = finished(wrap(GaussianNB(), X[kept], targets[kept], 3, rounds=2, **plain))
        np.testing.assert_allclose(told.probabilities(X), less.probabilities(X), atol=1e-8)


def test_without_sample_weight_records_are_repeated():
    X, targets, _ = clouds()
    base = KNeighborsClassifier(1)
    wrapping = Wrapping(base, X, targets, 3, weights=np.where(targets == 0, 2.0, 1.0))
    assert not wrapping.weighted
    fitted = wrapping.fit(wrapping.targets, wrapping.weights)
    counts = np.bincount(fitted._y)
    # Six of weight two and three of one each: twelve, in units of their mean 4/3.
    assert abs(counts[0] - 4.5) < 1
    assert (abs(counts[1:] - 2.25) < 1).all()
    tiny = np.where(targets == 2, 1e-6, 1.0)
    counts = np.bincount(Wrapping(base, X, targets, 3, tiny).fit(targets, tiny)._y)
    assert counts[2] == 1, "no class is lost"
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    wrapped, _ = finished(self_train(pipe, X, targets, 3))
    assert (wrapped.labels >= 0).any()


def test_methods_and_functions_have_the_same_settings():
    pairs: list[tuple[Any, Wrap]] = [
        (SelfTraining, self_train), (IterativeRefinement, refine), (CoTraining, co_train),
        (TriTraining, tri_train),
    ]  # fmt: skip
    for method, wrap in pairs:
        shared = {"estimator", "X", "targets", "classes", "weights", "views", "seed", "jobs"}
        asked = inspect.signature(wrap).parameters
        wanted = {name: p.default for name, p in asked.items() if name not in shared}
        assert wanted == {f.name: f.default for f in fields(method)}


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("self-training", {"accept": "Steady"}, "repeats"),
        ("self-training", {"folds": 1}, "folds"),
        ("self-training-forest", {"align": "Calibrated"}, "network"),
        ("iterative-refinement", {"memory": 1.0}, "memory"),
        ("co-training", {"split": "thirds"}, "relevance"),
        ("tri-training", {"rounds": 0}, "rounds"),
    ],
)
def test_settings_are_refused_before_any_fit(name: str, setting: dict[str, Any], told: str):
    with pytest.raises(SettingError, match=told):
        METHODS[name].check(setting)


def test_a_committee_is_the_mean_of_its_members():
    X, targets, _ = clouds()
    logistic = LEARNERS["logistic"]
    wrapped, _ = finished(co_train(logistic.estimator(0), X, targets, 3))
    reads = [c for c in wrapped.columns if c is not None]
    heads = [
        logistic.head(member, len(own), 3)
        for member, own in zip(wrapped.members, reads, strict=True)
    ]
    head = CommitteeHead.of(heads, reads, X.shape[1])
    with torch.no_grad():
        found = head(torch.tensor(X, dtype=torch.float32)).exp().numpy()
    np.testing.assert_allclose(found, wrapped.probabilities(X), atol=1e-5)
    again = CommitteeHead(**head.config)
    again.load_state_dict(head.state_dict())
    with torch.no_grad():
        same = again(torch.tensor(X, dtype=torch.float32)).exp().numpy()
    np.testing.assert_array_equal(same, found)
    assert head.outputs == 3


def test_a_constant_stands_for_one_class():
    X, targets, _ = clouds()
    wrapping = Wrapping(LogisticRegression(), X, np.where(targets == 2, 2, -1), 3)
    assert isinstance(wrapping.fit(wrapping.targets, wrapping.weights), DummyClassifier)


REAL = [load_digits, load_wine, load_breast_cancer]


@pytest.mark.parametrize("wrap", [self_train, refine, tri_train])
def test_on_real_records_a_wrapper_is_not_worse_than_what_it_wraps(wrap: Wrap):
    """On average over three sets and three seeds, four labels a class, within half a point.

    Co-training promises nothing where no two views are: see the next test.
    """
    base = LEARNERS["logistic"].estimator(0)
    gained = []
    for source in REAL:
        X, y = source(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(len(y))[:400]
            seen, truth = X[order], y[order]
            half = len(truth) // 2
            targets = np.full(half, -1)
            for label in np.unique(truth):
                targets[np.flatnonzero(truth[:half] == label)[:4]] = label
            known = targets >= 0
            classes = int(y.max()) + 1
            wrapped, _ = finished(wrap(base, seen[:half], targets, classes, seed=seed))
            alone = clone(base).fit(seen[:half][known], targets[known]).predict_proba(seen[half:])
            right = [
                float((said.argmax(1) == truth[half:]).mean())
                for said in (wrapped.probabilities(seen[half:]), alone)
            ]
            gained.append(right[0] - right[1])
    assert np.mean(gained) > -0.005, np.round(gained, 3)
