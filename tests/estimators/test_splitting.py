"""Folds that judge labelled records alone, and scores that leave the others out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_score

from leaven.sklearn import LabelledKFold, labelled_scorer


@given(
    labels=st.lists(st.integers(-1, 2), max_size=30).map(lambda more: [0, 0, 1, 1, 2, 2, *more]),
    folds=st.integers(2, 4),
    shuffle=st.booleans(),
)
def test_labelled_records_judge_once_and_unlabelled_ones_always_teach(
    labels: list[int], folds: int, shuffle: bool
):
    y = np.array(labels)
    if np.bincount(y[y >= 0]).max() < folds:
        folds = 2
    kfold = LabelledKFold(folds, shuffle=shuffle, random_state=0 if shuffle else None)
    judged = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer labels than folds
        parts = list(kfold.split(y[:, None], y))
    assert len(parts) == folds == kfold.get_n_splits()
    for train, test in parts:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
        assert (y[test] >= 0).all()
        judged += test.tolist()
    assert sorted(judged) == np.flatnonzero(y >= 0).tolist()


def test_words_and_none_can_be_split():
    y = ["a", "a", "b", "b", None, None]
    for train, test in LabelledKFold(2).split(y, y):
        assert {4, 5} <= set(train.tolist())
        assert not {4, 5} & set(test.tolist())


def test_too_many_folds_are_told():
    with pytest.raises(ValueError, match="n_splits=3"):
        list(LabelledKFold(3).split(np.zeros((5, 1)), [0, 0, 1, 1, -1]))


@pytest.mark.parametrize("missing", [-1, None])
def test_the_scorer_counts_labelled_records(missing: int | None):
    X = np.zeros((6, 1))
    y = np.array([0, 0, 0, 1, missing, missing], object if missing is None else int)
    dummy = DummyClassifier(strategy="constant", constant=0).fit(X[:4], y[:4].astype(int))
    assert labelled_scorer("accuracy")(dummy, X, y) == 0.75
    scorer = labelled_scorer("balanced_accuracy")
    assert scorer(dummy, X, y) == balanced_accuracy_score([0, 0, 0, 1], [0] * 4)
    assert repr(scorer) == "labelled_scorer('balanced_accuracy')"
    with pytest.raises(ValueError, match="No record to score on"):
        scorer(dummy, X[:2], y[4:])


def test_the_scorer_serves_cross_validation():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = np.where(X[:, 0] > 0, 1, 0)
    y[::3] = -1
    dummy = DummyClassifier(strategy="constant", constant=1)
    # The dummy is told of a class -1 and never says it: only labelled records may count.
    scores = cross_val_score(dummy, X, y, cv=3, scoring=labelled_scorer("accuracy"))
    assert np.mean(scores) == pytest.approx((y == 1).sum() / (y >= 0).sum(), abs=0.03)
