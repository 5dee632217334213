"""Committees of a run: components of its blend, or models that were taught draws of its labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import leaven
from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.label.asking import querying
from leaven.label.asking.pool import Pool
from leaven.label.asking.querying import query
from leaven.label.asking.seen import Seen
from leaven.label.asking.strategies import committee
from leaven.label.asking.strategies.committee import bagged, gathered, taught
from leaven.learn.head import LinearHead
from leaven.learn.heads.blend import BlendHead
from leaven.learn.network import Network


def digits(labels: int, n: int = 240) -> Dataset:
    """Digits of four kinds as embeddings, the first so many of them labelled."""
    X, y = load_digits(n_class=4, return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:n]
    y = y[rows].copy()
    y[labels:] = -1
    return Dataset.from_arrays(X[rows], y, ids=[f"d{i}" for i in range(n)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset]:
    """A run of one linear model, and its records."""
    dataset = digits(100)
    out = tmp_path_factory.mktemp("runs")
    return leaven.fit(dataset, method="logistic", budget="20steps", out=out), dataset


def clouds(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    x = 2 * rng.normal(size=(3, 5))[y] + rng.normal(size=(n, 5))
    return x.astype(np.float32), y


def test_members_are_taught_draws_with_replacement():
    x, y = clouds()
    labelled = np.where(np.arange(200) < 60, y, -1)
    said = bagged(x, labelled, 3, members=4, seed=7)
    rng = np.random.default_rng((7, 17))
    known = np.sort(rng.permutation(60))
    for member in said:
        drawn = rng.integers(60, size=60).tolist()
        copies = np.array([i for i in known.tolist() for _ in range(drawn.count(i))])
        scale = np.sqrt((x[np.unique(copies)].astype(float) ** 2).sum(1).mean())
        model = LogisticRegression(C=10.0, max_iter=1000).fit(x[copies] / scale, y[copies])
        assert np.allclose(member, model.predict_proba(x / scale), atol=2e-3)
    assert np.ptp(said, axis=0).max() > 0.05, "they differ"
    assert np.array_equal(said, bagged(x, labelled, 3, members=4, seed=7))


def test_no_member_forgets_a_class():
    x, y = clouds()
    labelled = np.full(200, -1)
    rare = int(np.flatnonzero(y == 2)[0])
    labelled[:40] = np.where(y[:40] == 2, -1, y[:40])
    labelled[rare] = 2
    said = bagged(x, labelled, 4, members=12)
    assert (said[:, :, 2] > 0).all()
    assert (said[:, :, 3] == 0).all(), "of a class without a label nothing is known"
    assert np.allclose(said.sum(-1), 1)
    Pool(labelled, members=said)


def test_one_label_is_a_committee_of_one_mind():
    x, _ = clouds(20)
    labelled = np.full(20, -1)
    labelled[3] = 1
    said = bagged(x, labelled, 3, members=2)
    assert (said == np.array([0.0, 1.0, 0.0])).all()


def test_without_a_label_there_is_no_committee():
    x, _ = clouds(20)
    with pytest.raises(SettingError, match="labelled"):
        bagged(x, np.full(20, -1), 3)
    with pytest.raises(SettingError, match="members"):
        bagged(x, np.zeros(20, np.int64), 3, members=1)


def test_answers_of_many_records_are_laid_on_disk(monkeypatch: pytest.MonkeyPatch):
    x, y = clouds()
    models = [taught(x[:60], y[:60], 3), taught(x[60:120], y[60:120], 3)]
    whole = gathered(models, x, 3)
    monkeypatch.setattr(committee, "_IN_MEMORY", 100)
    monkeypatch.setattr("leaven.label.asking.pool._CELLS", 64)
    mapped = gathered(models, x, 3)
    assert isinstance(mapped, np.memmap)
    assert not isinstance(whole, np.memmap)
    assert np.allclose(mapped, whole)
    assert len(Pool(np.full(200, -1), members=mapped)) == 200


@pytest.mark.parametrize("strategy", ["bald", "vote-entropy"])
def test_a_run_without_a_blend_asks_by_bagging(made: tuple[Run, Dataset], strategy: str):
    run, dataset = made
    found = query(run, dataset, 10, strategy=strategy, explore=0, rehearsed=False)
    assert found.strategy == strategy
    assert len({one.record for one in found.asks}) == 10
    assert all(one.reason.startswith("The models ") for one in found.asks)
    scores = [one.origin["score"] for one in found.asks]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0
    assert {one.record for one in found.asks} <= {f"d{i}" for i in range(100, 240)}


def test_a_blend_is_a_committee_of_its_components(made: tuple[Run, Dataset]):
    run, dataset = made
    front, encoder = run.predictor.front, run.predictor.network.encoder
    seen = Seen(*front.readable(dataset), encoder, front, run.classes, "run")
    torch.manual_seed(0)
    heads = [LinearHead(encoder.width, 4) for _ in range(3)]
    blend = BlendHead.of(heads, [0.5, 0.3, 0.2], [0.4, 1.0, 2.5])
    predictor = replace(run.predictor, network=Network(encoder, blend))
    members = querying._committee(predictor, seen, 0)
    assert members.shape == (3, 240, 4)
    mixed = np.einsum("m,mnk->nk", [0.5, 0.3, 0.2], members)
    with torch.inference_mode():
        whole = blend(torch.from_numpy(np.asarray(seen.embeddings))).softmax(-1).numpy()
    assert np.allclose(mixed, whole, atol=1e-5)
    two = BlendHead.of(heads[:2], [0.5, 0.5], [1.0, 1.0])
    predictor = replace(run.predictor, network=Network(encoder, two))
    assert len(querying._committee(predictor, seen, 0)) == 8, "two cannot split three ways"


def test_a_committee_needs_labels(made: tuple[Run, Dataset]):
    run, _ = made
    with pytest.raises(DataError, match="learns from labelled records"):
        query(run, digits(0, 50), 5, strategy="bald")
    with pytest.raises(UnknownNameError, match="bald"):
        query(run, digits(0, 50), 5, strategy="blad")


def test_a_query_rehearses_its_strategy(made: tuple[Run, Dataset]):
    run, dataset = made
    found = query(run, dataset, 5, strategy="margin")
    assert found.rehearsal is not None
    assert found.rehearsal.strategy == found.strategy == "margin"
    assert "of your 100 labels" in found.rehearsal.sentence
    assert query(run, dataset, 5, strategy="random").rehearsal is None
    assert query(run, dataset, 5, rehearsed=False).rehearsal is None
    few = dataset.select(np.r_[0:59, 100:200])
    assert query(run, few, 5, strategy="margin").rehearsal is None


def test_the_folder_is_named_in_the_questions(made: tuple[Run, Dataset]):
    run, dataset = made
    (one,) = query(run, dataset, 1, rehearsed=False).asks
    assert one.origin["run"] == Path(run.folder).name
    assert len(one.guess) == 4
