"""The methods of the loop as classifiers: each of them, and records of every kind."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import leaven.sklearn
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod
from leaven.sklearn import FixMatchClassifier, LabelledKFold, MeanTeacherClassifier, VATClassifier
from leaven.sklearn.network import NetworkClassifier

NETWORKS = {
    kind.method: kind
    for name in leaven.sklearn.__all__
    if isinstance(kind := getattr(leaven.sklearn, name), type)
    and issubclass(kind, NetworkClassifier)
}


def clouds(n: int = 40, seed: int = 0) -> tuple[Any, Any, Any]:
    """Two clouds in four dimensions: X, true y, and y with four labels."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    X = rng.normal(size=(n, 4)) + 3 * truth[:, None]
    y = np.where(np.arange(n) < 4, truth, -1)
    return X, truth, y


def test_every_method_of_the_loop_has_one_class():
    loops = {n for n, m in METHODS.items() if isinstance(m, LoopMethod) and m.unlabelled}
    assert set(NETWORKS) == loops
    for name, kind in NETWORKS.items():
        assert kind.__name__.removesuffix("Classifier").lower() == name.replace("-", "")
        assert METHODS[name].paper.split(",")[0].split(" 20")[0] in (kind.__doc__ or "")


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_each_fits_predicts_and_repeats(name: str):
    X, _, y = clouds()
    model = NETWORKS[name](steps=2, random_state=3)
    again = clone(model)
    assert again.get_params() == model.get_params()
    before = torch.random.get_rng_state()
    assert model.fit(X, y) is model
    assert torch.equal(before, torch.random.get_rng_state()), "the caller's chance is untouched"
    assert model.n_iter_ == 2
    told = model.predict_proba(X)
    assert told.shape == (len(X), 2)
    np.testing.assert_allclose(told.sum(1), 1)
    assert np.array_equal(model.predict(X), model.classes_[told.argmax(1)])
    assert np.array_equal(model.transduction_[y >= 0], y[y >= 0])
    assert np.array_equal(model.transduction_[y < 0], model.predict(X)[y < 0])
    assert np.array_equal(again.fit(X, y).predict_proba(X), told)


@pytest.mark.parametrize("kind", [FixMatchClassifier, VATClassifier])
def test_it_learns_and_another_seed_is_another_network(kind: Any):
    X, truth, y = clouds()
    model = kind(steps=40, random_state=0).fit(X, y)
    assert (model.predict(X) == truth).mean() > 0.9
    other = kind(steps=40, random_state=1).fit(X, y)
    assert not np.array_equal(model.predict_proba(X), other.predict_proba(X))


def test_unlabelled_records_are_read():
    X, _, y = clouds()
    model = MeanTeacherClassifier(steps=20, random_state=0).fit(X, y)
    moved = np.where((y < 0)[:, None], X + np.arange(4), X)
    other = MeanTeacherClassifier(steps=20, random_state=0).fit(moved, y)
    assert not np.allclose(model.predict_proba(X), other.predict_proba(X), atol=1e-3)


def test_all_labelled_is_the_supervised_network_with_a_warning():
    X, truth, _ = clouds()
    with pytest.warns(UserWarning, match="supervised is fitted instead"):
        one = FixMatchClassifier(steps=10, random_state=0).fit(X, truth)
    with pytest.warns(UserWarning, match="supervised is fitted instead"):
        two = MeanTeacherClassifier(steps=10, random_state=0).fit(X, truth)
    assert np.array_equal(one.predict_proba(X), two.predict_proba(X))


def test_missing_cells_are_allowed_in_tables_and_not_in_embeddings():
    X, truth, y = clouds()
    X[::5, 0] = np.nan
    model = FixMatchClassifier(steps=30, random_state=0).fit(X, y)
    assert (model.predict(X) == truth).mean() > 0.85
    with pytest.raises(ValueError, match="NaN"):
        FixMatchClassifier(steps=1, modality="embedding").fit(X, y)


def test_embeddings():
    X, truth, y = clouds()
    model = FixMatchClassifier(steps=30, modality="embedding", random_state=0).fit(X, y)
    assert model.network_.encoder.name == "mlp"
    assert (model.predict(X) == truth).mean() > 0.9


@pytest.mark.parametrize("shape", [(), (3,)])
def test_pictures(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    truth = np.arange(24) % 2
    X = rng.integers(0, 60, (24, 8, 8, *shape), np.uint8)
    X[truth == 1, :, 4:] += 150
    y = np.where(np.arange(24) < 6, truth, -1)
    model = FixMatchClassifier(steps=12, random_state=0).fit(X, y)
    assert model.network_.encoder.name == "small-convnet"
    assert model.predict_proba(X).shape == (24, 2)
    assert (model.predict(X) == truth).mean() > 0.8
    assert not hasattr(model, "n_features_in_")
    with pytest.raises(ValueError, match="image records, as in fit. Got tabular"):
        model.predict(rng.normal(size=(3, 4)))


def test_texts_and_labels_in_words():
    texts = [f"{'sun' if i % 2 else 'rain'} over town {i % 5}" for i in range(30)]
    words = ["fair" if i % 2 else "foul" for i in range(30)]
    y = [word if i < 8 else None for i, word in enumerate(words)]
    model = FixMatchClassifier(steps=20, random_state=0).fit(texts, y)
    assert model.classes_.tolist() == ["fair", "foul"]
    assert np.mean(model.predict(texts) == np.array(words)) > 0.9
    assert model.predict(["sun"]).shape == (1,)
    before = model.predict_proba(texts)
    model.fit(np.zeros((4, 3)) + np.arange(4)[:, None], [0, 1, -1, -1])
    assert model.n_features_in_ == 3
    model.fit(texts, y)
    assert not hasattr(model, "n_features_in_"), "of the fit before"
    assert np.array_equal(model.predict_proba(texts), before)
    with pytest.raises(ValueError, match="X\\[1\\] is a blank text"):
        model.predict(["sun", "  "])
    with pytest.raises(ValueError, match="X\\[1\\] must be a text"):
        model.predict(["sun", 3])
    with pytest.raises(ValueError, match="cannot be used: empty text"):
        model.predict(["sun", "..."])


def test_settings_of_method_and_loop():
    X, _, y = clouds()
    accept_all = {"settings": {"accept": "All"}, "training": {"rate": 0.01}}
    model = FixMatchClassifier(steps=10, random_state=0, **accept_all).fit(X, y)
    plain = FixMatchClassifier(steps=10, random_state=0).fit(X, y)
    assert not np.allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-3)


def test_a_search_over_settings():
    X, truth, y = clouds()
    y = np.where(np.arange(len(y)) < 12, truth, -1)
    grid = {"settings": [{"accept": "All"}, {"accept": "AtLeast(0.8)"}]}
    model = FixMatchClassifier(steps=20, random_state=0)
    search = GridSearchCV(model, grid, cv=LabelledKFold(2)).fit(X, y)
    assert (search.predict(X) == truth).mean() > 0.8


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": 0}, "'steps' parameter of FixMatchClassifier must be an int in the range"),
        ({"modality": "sound"}, "'modality' parameter of FixMatchClassifier must be"),
        ({"encoder": "mpl"}, "'encoder' parameter of FixMatchClassifier must be one of.*'mlp'?"),
        ({"encoder": "mlp"}, "one of those for tabular records: .*tabular-mlp"),
        ({"settings": {"acept": "All"}}, "Did you mean 'accept'"),
        ({"settings": {"accept": "AtLeast(2)"}}, "must be a number from 0 to 1"),
        ({"training": {"rat": 1.0}}, "Did you mean 'rate'"),
        ({"training": {"rate": -1.0}}, "'training.rate' parameter"),
    ],
)
def test_a_wrong_parameter_is_told_as_scikit_learn_tells_it(
    parameters: dict[str, Any], message: str
):
    X, _, y = clouds()
    with pytest.raises(ValueError, match=message):
        FixMatchClassifier(**parameters).fit(X, y)


def test_there_is_no_sample_weight():
    X, _, y = clouds()
    with pytest.raises(TypeError, match="sample_weight"):
        FixMatchClassifier(steps=1).fit(X, y, sample_weight=np.ones(len(y)))


def test_a_fitted_one_can_be_pickled():
    X, _, y = clouds()
    model = FixMatchClassifier(steps=3, random_state=0).fit(X, y)
    back = pickle.loads(pickle.dumps(model))
    assert np.array_equal(back.predict_proba(X), model.predict_proba(X))
