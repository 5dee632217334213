"""A forest as tables against scikit-learn's own answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from leaven.learn.heads.forest import ForestHead
from leaven.learn.learner import LEARNERS


def halved(X: Any) -> Any:
    return (X[:, 0] > 0).astype(int)


def probabilities(head: ForestHead, X: Any) -> Any:
    with torch.no_grad():
        return head(torch.from_numpy(np.asarray(X, np.float32))).exp().numpy()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), kind=st.sampled_from([0, 1]))
def test_a_forest_says_what_scikit_learn_says(seed: int, classes: int, kind: int):
    """Weighted, and on few distinct values: many records lie on a threshold."""
    rng = np.random.default_rng(seed)
    X = (rng.integers(-4, 5, (60, 3)) / 3).astype(np.float32)
    y = np.arange(60) % classes
    forest = (RandomForestClassifier, ExtraTreesClassifier)[kind](7, random_state=seed, max_depth=4)
    forest.fit(X, y, sample_weight=rng.random(60))
    head = ForestHead.of(forest, classes)
    new = np.vstack([X, rng.normal(size=(40, 3)).astype(np.float32)])
    np.testing.assert_allclose(probabilities(head, new), forest.predict_proba(new), atol=1e-6)


def test_a_threshold_between_two_float32_is_rounded_down():
    """The midpoint of neighbours is no float32; rounded up it would send the upper one left."""
    low = np.float32(1.0)
    X = np.array([[low], [np.nextafter(low, np.float32(2))]] * 2, np.float32)
    for start in range(5):
        forest = RandomForestClassifier(1, bootstrap=False, random_state=start).fit(X, [0, 1, 0, 1])
        head = ForestHead.of(forest, 2)
        np.testing.assert_allclose(probabilities(head, X), forest.predict_proba(X), atol=1e-6)


def test_classes_that_were_not_seen_are_improbable():
    X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    y = np.where(X[:, 0] > 0, 4, 1)
    head = ForestHead.of(ExtraTreesClassifier(5, random_state=0).fit(X, y), 6)
    told = probabilities(head, X)
    assert told.shape == (30, 6)
    assert told[:, [0, 2, 3, 5]].max() < 1e-6
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-5)
    assert (told.argmax(1) == y).all()


def test_a_forest_of_leaves_alone():
    forest = ExtraTreesClassifier(3, random_state=0).fit(np.ones((4, 2)), [0, 0, 1, 0])
    head = ForestHead.of(forest, 2)
    np.testing.assert_allclose(probabilities(head, np.zeros((2, 2))), [[0.75, 0.25]] * 2, atol=1e-6)


def test_all_is_in_the_buffers():
    X = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    head = ForestHead.of(ExtraTreesClassifier(9, random_state=0).fit(X, halved(X)), 2)
    again = ForestHead(**head.config)
    again.load_state_dict(head.state_dict())
    np.testing.assert_array_equal(probabilities(again, X), probabilities(head, X))
    assert not list(head.parameters())


def test_the_default_forest_is_bounded():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 5)), rng.integers(0, 3, 3000)  # noise wants a leaf a record
    learner: Any = LEARNERS["forest"]
    estimator = learner.estimator(0).set_params(n_estimators=3)
    head = learner.head(estimator.fit(X, y), 5, 3)
    assert head.probabilities.shape == (3 * learner.leaves, 3)
    assert DecisionTreeClassifier(random_state=0).fit(X, y).get_n_leaves() > 2 * learner.leaves


@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch: int):
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    head = ForestHead.of(ExtraTreesClassifier(4, random_state=0).fit(X, halved(X)), 2)
    assert probabilities(head, X[:batch]).shape == (batch, 2)
