"""The classic estimators in use: pipelines, searches, frames, weights, sparse records."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import leaven.sklearn
from leaven.learn.choices.accept import AtLeast
from leaven.learn.choices.compose import composed
from leaven.learn.classic.self_training import self_train
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.method import METHODS
from leaven.sklearn import (
    S3VM,
    CoTraining,
    IterativeRefinement,
    LabelledKFold,
    LabelPropagation,
    LabelSpreading,
    LaplaceLearning,
    LapSVM,
    PoissonLearning,
    SelfTraining,
    TriTraining,
)
from leaven.sklearn.network import NetworkClassifier
from leaven.sklearn.wrappers import _said

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

GRAPHS = (LabelPropagation, LabelSpreading, LaplaceLearning, PoissonLearning)
MACHINES = (S3VM, LapSVM)
WRAPPERS = (SelfTraining, IterativeRefinement, CoTraining, TriTraining)
CLASSIC = (*GRAPHS, *MACHINES, *WRAPPERS)
#: Parameters of the door alone.
OURS = {"estimator", "views", "n_jobs", "random_state"}
#: Classic methods that have no class of their own, and why.
WITHOUT = {
    "self-training-forest": "SelfTraining(RandomForestClassifier()) is it",
    "self-training-ridge": "SelfTraining(CalibratedClassifierCV(RidgeClassifierCV())) is near it",
    "blend": "its candidates are there, and StackingClassifier mixes them",
    "correct-smooth": "reads a given graph",
    "weak-labels": "reads what rules say; the door has no place for their votes",
}


def clouds(n: int = 90, width: int = 4, seed: int = 0) -> tuple[Floats, Index, Index]:
    """Three clouds, a record of each in turn: X (n, width), true y, and y with nine labels."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    X = rng.normal(size=(n, width))
    X[np.arange(n), truth] += 4
    return X, truth, np.where(np.arange(n) < 9, truth, -1)


@pytest.fixture(params=CLASSIC, ids=lambda kind: kind.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    """Each classic estimator, with its defaults and a seed."""
    return request.param(random_state=0)


def test_every_classic_method_has_a_class():
    there = {name for name, m in METHODS.items() if isinstance(m, ClassicMethod) and m.unlabelled}
    covered = {kind.method.name for kind in CLASSIC}
    assert covered <= there
    assert not there - covered - set(WITHOUT)
    listed = {
        kind
        for name in leaven.sklearn.__all__
        if isinstance(kind := getattr(leaven.sklearn, name), type)
        and issubclass(kind, ClassifierMixin)
        and not issubclass(kind, NetworkClassifier)
    }
    assert listed == set(CLASSIC)


def test_the_page_names_everything():
    page = Path(__file__).parents[2] / "docs" / "sklearn.md"
    told = page.read_text(encoding="utf-8")
    assert not [name for name in leaven.sklearn.__all__ if name not in told]


def test_parameters_are_the_fields_of_the_method(model: Any):
    taken = {name: p.default for name, p in inspect.signature(type(model)).parameters.items()}
    names = [field.name for field in fields(model.method)]
    assert [name for name in taken if name not in OURS] == names
    assert composed(model.method, {n: _said(n, taken[n]) for n in names}) == model.method


def test_it_learns_and_keeps_the_given_labels(model: Any):
    X, truth, y = clouds()
    y = y.copy()
    y[0] = 1  # a wrong label stays where it was given
    model.fit(X, y)
    assert np.array_equal(model.transduction_[y >= 0], y[y >= 0])
    assert (model.transduction_[9:] == truth[9:]).mean() > 0.7
    new, right, _ = clouds(seed=1)
    told = model.predict_proba(new)
    np.testing.assert_allclose(told.sum(1), 1)
    assert (model.classes_[told.argmax(1)] == right).mean() > 0.7
    assert model.n_iter_ >= 1
    assert model.score(new, right) == (model.predict(new) == right).mean()


def test_labels_in_words_come_back(model: Any):
    X, _, y = clouds()
    names = np.array(["ant", "bee", "cat", None], object)  # -1 is the last
    numbers = clone(model).fit(X, y)
    words = model.fit(X, names[y])
    assert words.classes_.tolist() == ["ant", "bee", "cat"]
    assert words.predict(X).tolist() == names[numbers.predict(X)].tolist()
    assert words.transduction_.tolist() == names[numbers.transduction_].tolist()


def test_unlabelled_records_are_left_out_of_the_score(model: Any):
    X, truth, y = clouds()
    model.fit(X, y)
    assert model.score(X, y) == (model.predict(X[:9]) == truth[:9]).mean()
    weights = np.arange(len(y), dtype=float)
    right = model.predict(X[:9]) == truth[:9]
    assert model.score(X, y, sample_weight=weights) == pytest.approx(
        np.average(right, weights=weights[:9])
    )
    with pytest.raises(ValueError, match="No record to score on"):
        model.score(X[9:], y[9:])


def test_nothing_labelled_or_one_class_is_told(model: Any):
    X, _, y = clouds()
    with pytest.raises(ValueError, match="y has no label"):
        model.fit(X, np.full(len(X), -1))
    with pytest.raises(ValueError, match=r"two classes at least. Got 1 class: \[2\]"):
        model.fit(X, np.where(y == 2, 2, -1))


def test_two_classes_and_everything_labelled(model: Any):
    X, truth, _ = clouds()
    model.fit(X, truth)
    assert np.array_equal(model.transduction_, truth)
    two = truth < 2
    model.fit(X[two], truth[two])
    assert model.predict_proba(X).shape == (len(X), 2)
    assert (model.predict(X[two]) == truth[two]).mean() > 0.9


def test_a_record_of_weight_zero_takes_no_part(model: Any):
    X, _, y = clouds()
    far, odd = np.vstack([X, X[:6] + 40]), np.concatenate([y, [0, 1, 2, 7, -1, -1]])
    weights = np.append(np.ones(len(X)), np.zeros(6))
    alone = clone(model).fit(X, y)
    among = model.fit(far, odd, sample_weight=weights)
    assert np.array_equal(alone.predict_proba(X), among.predict_proba(X))
    assert among.classes_.tolist() == [0, 1, 2], "no record of class 7 counts"
    assert among.transduction_[-6:-2].tolist() == [0, 1, 2, 7], "a given label is kept"


def test_weights_count(model: Any):
    X, _, y = clouds()
    weights = np.where(y == 0, 0.2, 1.0)
    even = clone(model).fit(X, y).predict_proba(X)
    assert not np.allclose(model.fit(X, y, sample_weight=weights).predict_proba(X), even)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        model.fit(X, y, sample_weight=-weights)


@pytest.mark.parametrize("kind", MACHINES)
def test_a_weight_of_two_is_a_label_given_twice(kind: Any):
    X, truth, _ = clouds(30)
    weights = np.where(np.arange(30) % 4 == 0, 2.0, 1.0)
    often = np.repeat(np.arange(30), weights.astype(int))
    # The kernel's width is given, since it would be taken from the records.
    model = kind(kernel="rbf", gamma=0.2)
    weighted = clone(model).fit(X, truth, sample_weight=weights)
    repeated = model.fit(X[often], truth[often])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), atol=1e-5
    )


def test_sparse_records_are_as_dense_ones(model: Any):
    X, _, y = clouds()
    X = np.where(np.abs(X) < 0.8, 0, X)
    if isinstance(model, LapSVM):  # its sparse neighbours are those of largest cosine
        model.set_params(smoothness=0.0)
    dense = clone(model).fit(X, y)
    for form in (sparse.csr_matrix, sparse.coo_array):
        thin = clone(model).fit(form(X), y)
        np.testing.assert_allclose(thin.predict_proba(form(X)), dense.predict_proba(X), atol=2e-4)
        assert (thin.transduction_ == dense.transduction_).mean() > 0.97


def test_a_sparse_matrix_too_large_for_a_graph_is_told():
    wide = sparse.csr_matrix((3, 10**9))
    with pytest.raises(ValueError, match="too large to be made dense.*TruncatedSVD"):
        LabelSpreading().fit(wide, [0, 1, -1])


@pytest.mark.parametrize("kind", [*GRAPHS, *MACHINES])
def test_the_order_of_the_records_does_not_matter(kind: Any):
    X, _, y = clouds()
    order = np.random.default_rng(0).permutation(len(X))
    one, two = kind().fit(X, y), kind().fit(X[order], y[order])
    assert np.array_equal(one.transduction_[order], two.transduction_)
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("kind", GRAPHS)
def test_neither_place_nor_unit_of_the_records_matters(kind: Any):
    X, _, y = clouds(300)
    one, two = kind().fit(X, y), kind().fit(1e-3 * X + 1e4, y)
    assert np.array_equal(one.transduction_, two.transduction_)
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(1e-3 * X + 1e4), atol=1e-3)


def test_a_graph_estimator_is_its_method():
    X, _, y = clouds()
    model = PoissonLearning(neighbours=7, priors="uniform").fit(X, y)
    spread = ((X - X.mean(0)) / X.std(0).max()).astype(np.float32)
    known = Frozen(spread, y, 3, 0, np.arange(len(y) - 9))
    method = composed(METHODS["poisson-learning"], {"neighbours": 7, "priors": "uniform"})
    assert isinstance(method, ClassicMethod)
    step = next(iter(method.learn(known)))
    assert step.taught is not None
    assert np.array_equal(model.transduction_[9:], step.taught.guess.numpy().argmax(1))


def test_a_wrapper_is_its_function():
    X, _, y = clouds()
    model = SelfTraining(
        RandomForestClassifier(20), accept="AtLeast(0.6)", align=None, random_state=3
    )
    model.fit(X, y)
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    rounds = self_train(
        RandomForestClassifier(20), X, y, 3, accept=AtLeast(0.6), align=(), seed=seed
    )
    while True:
        try:
            next(rounds)
        except StopIteration as finished:
            wrapped = finished.value
            break
    assert np.array_equal(wrapped.probabilities(X), model.predict_proba(X))
    assert np.array_equal(wrapped.weights, model.weights_)
    assert wrapped.rounds == model.n_iter_


def test_rules_are_texts_lists_or_choices():
    X, _, y = clouds()
    said = ["AtLeast(0.6)", ["AtLeast(0.6)"], AtLeast(0.6), "AtLeast(0.6) + All"]
    told = [SelfTraining(accept=one, random_state=0).fit(X, y).predict_proba(X) for one in said]
    assert all(np.array_equal(told[0], other) for other in told[1:])
    strict = SelfTraining(accept="AtLeast(0.999)", random_state=0).fit(X, y)
    assert not strict.weights_[y < 0].any()
    assert (strict.weights_[y >= 0] == 1).all()
    plain = LogisticRegression(max_iter=1000).fit(X[:9], y[:9])
    np.testing.assert_allclose(strict.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def test_the_wrapped_estimator_is_not_touched_and_jobs_change_nothing():
    X, _, y = clouds()
    tree = DecisionTreeClassifier()
    one = TriTraining(tree, random_state=0).fit(X, y)
    two = TriTraining(tree, random_state=0, n_jobs=2).fit(X, y)
    assert not hasattr(tree, "classes_")
    assert tree.random_state is None
    assert len(one.estimators_) == 3
    assert np.array_equal(one.predict_proba(X), two.predict_proba(X))


@pytest.mark.parametrize("kind", [SelfTraining, TriTraining, CoTraining, IterativeRefinement])
def test_gaps_are_for_estimators_that_take_them(kind: Any):
    X, truth, y = clouds()
    X[::7, 0] = np.nan
    trees = kind(RandomForestClassifier(20, random_state=0), rounds=2, random_state=0)
    assert (trees.fit(X, y).predict(X) == truth).mean() > 0.8
    with pytest.raises(ValueError, match="contains NaN"):
        kind(LogisticRegression()).fit(X, y)


@pytest.mark.parametrize("kind", [LabelSpreading, S3VM])
def test_jobs_are_threads_and_change_nothing(kind: Any):
    X, _, y = clouds()
    before = torch.get_num_threads()
    one, two = (kind(n_jobs=jobs, random_state=0).fit(X, y).predict_proba(X) for jobs in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-6)
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="n_jobs"):
        kind(n_jobs=0).fit(X, y)


def test_views_of_co_training():
    X, _, y = clouds(width=6)
    model = CoTraining(views=[[0, 3], [1, 2, 4, 5]], random_state=0).fit(X, y)
    assert [columns.tolist() for columns in model.columns_] == [[0, 3], [1, 2, 4, 5]]
    assert [member.n_features_in_ for member in model.estimators_] == [2, 4]
    with pytest.raises(ValueError, match="'views' parameter of CoTraining must be two lists"):
        CoTraining(views=[[0], [9]]).fit(X, y)


@pytest.mark.parametrize("kind", MACHINES)
def test_decisions(kind: Any):
    X, truth, y = clouds()
    model = kind().fit(X, y)
    assert np.array_equal(model.decision_function(X).argmax(1), model.predict(X))
    two = truth < 2
    model.fit(X[two], y[two])
    assert model.decision_function(X).shape == (len(X),)
    assert np.array_equal(model.decision_function(X) > 0, model.predict(X) == 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LabelSpreading(alpha=1.0), "'alpha' parameter of LabelSpreading must be a float in"),
        (LabelSpreading(weights="rbf"), "'weights' parameter of LabelSpreading must be a str"),
        (PoissonLearning(volume=True, priors="none"), "'priors' parameter of PoissonLearning"),
        (SelfTraining(RidgeClassifier()), "'estimator' parameter of SelfTraining must be"),
        (SelfTraining(accept="AtLest(0.9)"), "Did you mean 'AtLeast'"),
        (SelfTraining(folds=1), "'folds' parameter of SelfTraining must be"),
        (S3VM(balance=[0.5, 0.5]), "'balance' parameter of S3VM must be 3 shares"),
        (S3VM(kernel="sigmoid"), "'kernel' parameter of S3VM must be a str among"),
        (LapSVM(penalty=0), "'penalty' parameter of LapSVM must be a float in"),
    ],
)
def test_a_wrong_parameter_is_told_as_scikit_learn_tells_it(model: Any, message: str):
    X, _, y = clouds()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_a_pipeline_with_frames_and_words():
    X, truth, y = clouds()
    names = np.array(["ant", "bee", "cat", ""], object)
    frame = pd.DataFrame(X, columns=["w", "x", "y", "z"])
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), LabelSpreading())
    pipe.fit(frame, pd.Series(names[y]))
    assert pipe[-1].feature_names_in_.tolist() == ["w", "x", "y", "z"]
    assert (pipe.predict(frame) == names[truth]).mean() > 0.9
    with pytest.raises(ValueError, match="feature names"):
        pipe.predict(frame[["x", "w", "y", "z"]])


def test_a_search_over_a_pipeline():
    X, truth, y = clouds(120)
    y = np.where(np.arange(120) < 24, truth, -1)
    pipe = make_pipeline(StandardScaler(), LabelSpreading())
    grid = {"labelspreading__alpha": [0.5, 0.9], "labelspreading__neighbours": np.array([5, 15])}
    search = GridSearchCV(pipe, grid, cv=LabelledKFold(4, shuffle=True, random_state=0))
    search.fit(X, y)
    assert search.best_score_ > 0.8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert (search.predict(X) == truth).mean() > 0.9
    assert search.score(X, y) == (search.predict(X[:24]) == truth[:24]).mean()


def test_a_search_over_the_wrapped_estimator():
    X, truth, y = clouds(60)
    y = np.where(np.arange(60) < 12, truth, -1)
    model = SelfTraining(make_pipeline(StandardScaler(), LogisticRegression()), random_state=0)
    grid = {"estimator__logisticregression__C": [1e-6, 1.0]}
    search = GridSearchCV(model, grid, cv=LabelledKFold(4)).fit(X, y)
    assert search.best_params_ == {"estimator__logisticregression__C": 1.0}
    assert search.best_estimator_.estimators_[0][-1].C == 1.0


def test_cross_validation_judges_labelled_records_alone():
    X, truth, y = clouds(120)
    y = np.where(np.arange(120) < 24, truth, -1)
    scores = cross_val_score(IterativeRefinement(random_state=0), X, y, cv=LabelledKFold(4))
    assert len(scores) == 4
    assert set((scores * 6).round(9)) <= set(range(7)), "six labelled records judge in each fold"
    assert scores.mean() > 0.8


def test_weights_are_routed():
    X, truth, y = clouds(60)
    y = np.where(np.arange(60) < 12, truth, -1)
    weights = np.where(y == 0, 0.05, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = S3VM().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"penalty": [0.01]}, cv=LabelledKFold(4))
        search.fit(X, y, sample_weight=weights)
    alone = S3VM(penalty=0.01).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(search.predict_proba(X), alone.predict_proba(X))
