"""Co-training and tri-training: the papers' tables transcribed, for classes and for numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.learn.classic.co_training import co_train, quotas
from leaven.learn.classic.tri_training import lessons, tri_train
from leaven.learn.wrapping_regression import co_train_regressors, gains
from tests.learn.wrapping_parts import Floats, clouds, finished


def test_quotas_are_the_classes_shares():
    assert quotas(np.array([0, 0, 0, 1]), 3, 8).tolist() == [6, 2, 0]
    assert quotas(np.array([0] * 99 + [1]), 2, 10).tolist() == [10, 1], "one of each at least"


def test_co_training_keeps_its_quotas_and_its_pool():
    X, targets, _ = clouds(others=60)
    base = GaussianNB()
    _, rounds = finished(co_train(base, X, targets, 3, quota=6 / 180, rounds=5))
    before = np.zeros(180)
    for one in rounds:
        assert (one.weight >= before).all(), "no label is taken back"
        new = np.bincount(one.guess[one.weight > before].argmax(1), minlength=3)
        assert (new <= 4).all(), "two of each class, by either model"
        before = one.weight
    _, rounds = finished(co_train(base, X, targets, 3, quota=1.0, rounds=3, pool=9))
    assert [int(one.weight.sum()) <= 9 * one.number for one in rounds] == [True] * 3


def test_co_training_by_hand():
    """Blum & Mitchell's table 1 with one feature a view, record by record."""
    X, targets, _ = clouds(seed=3, width=2, others=20)
    wrapped, rounds = finished(
        co_train(GaussianNB(), X, targets, 3, views=[[0], [1]], rounds=4, quota=0.0)
    )
    labels = targets.copy()
    for one in rounds:
        known = labels >= 0
        said = [GaussianNB().fit(X[known][:, [v]], labels[known]).predict_proba(X[:, [v]])
                for v in (0, 1)]  # fmt: skip
        named: list[dict[int, int]] = [{}, {}]
        for view in (0, 1):
            for label in range(3):
                own = [r for r in np.flatnonzero(~known) if said[view][r].argmax() == label]
                if own:
                    named[view][max(own, key=lambda r: (said[view][r, label], -r))] = label
        for record in named[0].keys() | named[1].keys():
            told = {n[record] for n in named if record in n}
            if len(told) == 1:
                labels[record] = told.pop()
        np.testing.assert_array_equal(one.weight > 0, labels[one.places] >= 0)
    np.testing.assert_array_equal(wrapped.labels, labels)
    assert [columns.tolist() for columns in wrapped.columns if columns is not None] == [[0], [1]]


def test_views_are_two_sets_of_columns():
    X, targets, _ = clouds()
    halves, _ = finished(co_train(GaussianNB(), X, targets, 3, split="halves", rounds=1))
    one, other = (set(c.tolist()) for c in halves.columns if c is not None)
    assert one | other == set(range(6))
    assert not one & other
    assert len(one) == 3
    even, _ = finished(co_train(GaussianNB(), X, targets, 3, rounds=1))
    told = [len({0, 1, 2} & set(c.tolist())) for c in even.columns if c is not None]
    assert sorted(told) == [1, 2], "the three columns that tell are dealt out"
    with pytest.raises(SettingError, match="two lists of columns from 0 to 5"):
        next(co_train(GaussianNB(), X, targets, 3, views=[[0], [9]]))
    with pytest.raises(UnknownNameError, match="Did you mean 'halves'"):
        next(co_train(GaussianNB(), X, targets, 3, split="halfs"))
    with pytest.raises(SettingError, match="two columns at least"):
        next(co_train(GaussianNB(), X[:, :1], targets, 3))


def table_1(error: float, before: float, size: int, agreed: int) -> tuple[int, int]:
    """The inner loop of Zhou & Li's table 1, as it stands there: l' and the size of L, 0 for no
    update."""
    update = False
    taken = 0
    if error < before:
        taken = agreed
        if size == 0:
            size = math.floor(error / (before - error) + 1)
        if size < taken:
            if error * taken < before * size:
                update = True
            elif size > error / (before - error):
                taken = math.ceil(before * size / error - 1)
                update = True
    return size, taken if update else 0


@given(
    error=st.floats(0, 0.6),
    before=st.floats(0, 0.5),
    size=st.integers(0, 50),
    agreed=st.integers(0, 200),
)
def test_lessons_are_table_1_and_keep_the_bound(
    error: float, before: float, size: int, agreed: int
):
    found = lessons(error, before, size, agreed)
    assert found == table_1(error, before, size, agreed)
    size, used = found
    assert 0 <= used <= agreed
    if used:
        assert error * used < before * size + 1e-9, "eq. 9"
        assert used >= size, "eq. 11: no fewer than before"


def test_three_trees_teach_each_other():
    X, targets, truth = clouds(per=10, others=60, far=2.0)
    wrapped, rounds = finished(tri_train(DecisionTreeClassifier(), X, targets, 3))
    assert len(wrapped.members) == 3
    assert len(rounds) > 1
    assert any(one.weight.any() for one in rounds)
    np.testing.assert_array_equal(
        wrapped.probabilities(X), np.mean([m.predict_proba(X) for m in wrapped.members], axis=0)
    )
    taught = wrapped.labels[rounds[0].places] >= 0
    right = (wrapped.labels == truth)[rounds[0].places][taught]
    assert right.mean() > 0.6
    assert set(np.round(3 * np.unique(wrapped.weights[rounds[0].places])).tolist()) <= {0, 1, 2, 3}


def test_two_views_that_are_independent_teach_each_other():
    """What Blum & Mitchell assume: given the class, the views are independent."""
    gained = []
    for seed in range(4):
        X, targets, truth = clouds(seed, per=2, others=100, width=12, far=2.0)
        X[:, 6:] += clouds_at(truth, 6)
        views = [np.arange(6), np.arange(6, 12)]
        wrapped, _ = finished(co_train(LogisticRegression(), X, targets, 3, views=views))
        known = targets >= 0
        halves = [LogisticRegression().fit(X[known][:, v], targets[known]) for v in views]
        alone = np.mean(
            [h.predict_proba(X[:, v]) for h, v in zip(halves, views, strict=True)], axis=0
        )
        said = wrapped.probabilities(X)
        right = [(one.argmax(1) == truth)[~known].mean() for one in (said, alone)]
        gained.append(right[0] - right[1])
    assert np.mean(gained) > 0.02, gained


def clouds_at(truth: Any, width: int) -> Floats:
    """(n, width) the class's centre in a second view."""
    return 2.0 * np.eye(width)[truth]


def delta(asked: Floats, X: Floats, y: Floats, k: int, order: float) -> tuple[float, float]:
    """COREG's Δ of one record, by fitting twice."""
    before = KNeighborsRegressor(k, p=order).fit(X, y)
    guess = before.predict(asked[None])[0]
    after = KNeighborsRegressor(k, p=order).fit(np.vstack([X, asked]), np.append(y, guess))
    near = before.kneighbors(asked[None])[1][0]
    errors = [(y[near] - model.predict(X[near])) ** 2 for model in (before, after)]
    return float((errors[0] - errors[1]).sum()), float(guess)


@given(seed=st.integers(0, 1000), k=st.integers(1, 4), order=st.sampled_from([1.0, 2.0, 5.0]))
def test_gains_are_coregs(seed: int, k: int, order: float):
    rng = np.random.default_rng(seed)
    X, y, asked = rng.normal(size=(9, 2)), rng.normal(size=9), rng.normal(size=(5, 2))
    found, guess = gains(asked, X, y, k, order)
    wanted = [delta(one, X, y, k, order) for one in asked]
    np.testing.assert_allclose(found, [w[0] for w in wanted], atol=1e-9)
    np.testing.assert_allclose(guess, [w[1] for w in wanted])


def smooth(seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (520, 2))
    y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2
    targets = np.where(np.arange(320) < 20, y[:320], np.nan)
    return X[:320], targets, X[320:], y[320:]


def last(lessons_: Any) -> Any:
    return finished(lessons_)[0]


def test_regressors_gain_from_each_other():
    errors = []
    for seed in range(6):
        X, targets, new, truth = smooth(seed)
        known = ~np.isnan(targets)
        alone = np.mean(
            [
                KNeighborsRegressor(3, p=p).fit(X[known], targets[known]).predict(new)
                for p in (2, 5)
            ],
            axis=0,
        )
        said = last(co_train_regressors(X, targets)).predict(new)
        errors.append([np.sqrt(((told - truth) ** 2).mean()) for told in (said, alone)])
    mean = np.mean(errors, axis=0)
    assert mean[0] < 0.97 * mean[1], errors


def test_regressors_teach_each_other_and_not_themselves():
    X, targets, _, _ = smooth(0)
    wrapped, rounds = finished(co_train_regressors(X, targets, rounds=10, pool=30))
    known = ~np.isnan(targets)
    np.testing.assert_array_equal(wrapped.targets[known], targets[known])
    told = np.concatenate([one.rows for one in rounds])
    told = told[told >= 0]
    assert len(set(told.tolist())) == len(told)
    assert not known[told].any()
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(wrapped.targets) & ~known), sorted(told))
    first = rounds[0]
    for pupil, order in ((1, 2.0), (0, 5.0)):
        teacher = KNeighborsRegressor(3, p=order).fit(X[known], targets[known])
        wanted = teacher.predict(X[first.rows[pupil]][None])[0]
        assert first.values[pupil] == pytest.approx(wanted)


def test_regressors_refuse_what_they_cannot_use():
    X, targets, _, _ = smooth(0)
    with pytest.raises(DataError, match="No record has a target"):
        next(co_train_regressors(X, np.full(len(X), np.nan)))
    with pytest.raises(DataError, match="dense"):
        next(co_train_regressors(sparse.csr_matrix(X), targets))
    with pytest.raises(SettingError, match="orders"):
        next(co_train_regressors(X, targets, orders=(0.5, 2.0)))
    one = np.where(np.arange(len(X)) == 0, 1.0, np.nan)
    assert (last(co_train_regressors(X, one)).predict(X) == 1).all()
    full = last(co_train_regressors(X[:20], targets[:20]))
    assert full.rounds == 0
