"""Blocks of features side by side: raw ones, who reads which, and a blend that uses what helps."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import RunError, SettingError
from leaven.data.arrays import Arrays
from leaven.data.modality import MODALITIES
from leaven.learn.classic.blend import Blend
from leaven.learn.classic.supervised_blend import SupervisedBlend
from leaven.learn.classic_method import Frozen
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.encoder import ENCODERS
from leaven.learn.front import Front
from leaven.learn.heads.blend import BlendHead
from leaven.learn.heads.block import BlockHead
from leaven.learn.method import METHODS, Problem
from leaven.learn.models.steps import spans
from leaven.learn.network import Network
from leaven.learn.out_of_fold import answers, fitted
from leaven.learn.predictor import Predictor
from tests.learn.test_blending import digits

COLUMNS = {"": (0, 64), "raw": (64, 128)}


def side_by_side(telling: str, seed: int = 0) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Digits whose pixels stand in one block, the other holding the same pixels of other digits."""
    known, X, y = digits(3, 200, seed)
    rng = np.random.default_rng(seed)

    def beside(pixels: np.ndarray) -> np.ndarray:
        pair = [pixels, rng.permutation(pixels)]
        return np.hstack(pair if telling == "" else pair[::-1])

    return replace(known, features=beside(known.features), columns=COLUMNS), beside(X), y


@pytest.mark.parametrize("telling", ["", "raw"])
def test_a_blend_finds_the_block_that_tells_the_classes_apart(telling: str) -> None:
    known, X, y = side_by_side(telling)
    members = "logistic,ridge,logistic@raw,ridge@raw"
    head = fitted(replace(SupervisedBlend(), members=members, repeats=1), known)
    assert isinstance(head, BlendHead)
    parts = [
        (weight, (one.first, one.end))
        for one, weight in zip(head.heads, head.weights.tolist(), strict=True)
        if isinstance(one, BlockHead)
    ]
    assert sum(weight for weight, columns in parts if columns == COLUMNS[telling]) > 0.8
    assert (answers(head, X).argmax(1) == y).mean() > 0.7
    again = BlendHead(**head.config)  # as a saved one is rebuilt
    again.load_state_dict(head.state_dict())
    np.testing.assert_array_equal(answers(again.eval(), X), answers(head, X))


def test_members_may_name_the_block() -> None:
    known, X, y = side_by_side("raw")
    blend = replace(Blend(), members="logistic@raw,poisson-learning@raw", repeats=1)
    head = fitted(blend, known)
    assert {one["method"] for one in head.origins} <= {"logistic@raw", "poisson-learning@raw"}
    assert (answers(head, X).argmax(1) == y).mean() > 0.7
    with pytest.raises(SettingError, match="members.*@raw.*Got 'logistic@letters'"):
        Blend().check({"members": "logistic@letters"})
    with pytest.raises(SettingError, match="members.*Got 'logistic@raw'.*leave --encoder out"):
        fitted(blend, replace(known, columns={}))


def test_neighbours_of_a_block_are_those_of_its_columns() -> None:
    known, _, _ = side_by_side("raw")
    noise = np.random.default_rng(1).normal(size=known.features.shape)  # no two as near
    known = replace(known, features=(known.features + noise).astype(np.float32))
    for block, (first, end) in COLUMNS.items():
        own = known.without(np.array([0, 7])).of(block).nearest(5, False)
        fresh = replace(known, features=known.features[:, first:end], columns={}, near={})
        wanted = fresh.without(np.array([0, 7])).nearest(5, False)
        for one, other in zip(own, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    assert {key[0] for key in known.near} == {"", "raw"}


def test_what_no_member_reads_is_not_computed() -> None:
    problem = made("series")
    problem = replace(problem, train=problem.train[:4])  # no folds: all members stay
    encoder = Blend().default_encoder(problem.views)
    fits = {}
    every = "ridge,logistic@raw,ridge@hydra,forest@intervals"
    for members in ("logistic@raw", "ridge", "ridge,logistic@raw", every):
        one = replace(problem, encoder=encoder, settings={"members": members, "repeats": 1})
        fits[members] = _ended(METHODS["blend"].fit(one))
    names = [fit.encoder.name for fit in fits.values()]
    assert names == ["steps", "rocket", "series-blocks", "series-blocks"]
    assert list(fits["ridge,logistic@raw"].encoder.columns) == ["", "raw"]
    assert list(fits[every].encoder.columns) == ["", "raw", "hydra", "intervals"]
    # Alone or beside another, a member says the same of a record.
    for both in (fits["ridge,logistic@raw"], fits[every]):
        for head in both.head.heads[:2]:
            alone = fits["logistic@raw" if head.first else "ridge"]
            whole = Network(both.encoder, head).logits(problem.arrays)
            own = Network(alone.encoder, alone.head.heads[0]).logits(problem.arrays)
            np.testing.assert_allclose(whole, own, atol=1e-5)


@pytest.mark.parametrize("members", ["ridge", "ridge,logistic@raw", "forest@intervals,ridge@hydra"])
def test_a_model_that_reads_some_of_the_blocks_is_saved_and_opened(members: str, tmp_path: Path):
    problem = made("series")
    settings = {"members": members, "repeats": 1}
    encoder = Blend().default_encoder(problem.views)
    four = replace(problem, train=problem.train[:4], encoder=encoder, settings=settings)
    network = _ended(METHODS["blend"].fit(four))
    front = Front("series", problem.spec)
    Predictor(front, network, [str(i) for i in range(problem.classes)]).save(tmp_path)
    again = Predictor.load(tmp_path).network
    torch.testing.assert_close(again.logits(problem.arrays), network.logits(problem.arrays))
    other = Front("series", problem.spec | {"length": problem.spec["length"] + 1})
    Predictor(other, network, [str(i) for i in range(problem.classes)]).save(tmp_path)
    with pytest.raises(RunError, match="does not fit the records described"):
        Predictor.load(tmp_path)


def test_embeddings_have_a_block_of_inner_states_where_their_encoder_gave_them() -> None:
    kind = ENCODERS[MODALITIES["embedding"].blocks]
    rng = np.random.default_rng(0)
    features, inner = rng.normal(size=(50, 6)), rng.normal(3, [1, 100, 0.01, 0], (50, 4))
    arrays = Arrays({"features": features.astype("f4"), "inner": inner.astype("f4")})
    plain = kind(**kind.configure({"width": 6}))
    assert dict(plain.columns) == {"": (0, 6)}
    both = kind(**kind.configure({"width": 6, "inner": 4}))
    both.prepare(arrays, np.arange(50), 0)
    assert dict(both.columns) == {"": (0, 6), "inner": (6, 10)}
    found = both(arrays.batch(np.arange(50))).numpy()[:, 6:]
    wanted = (inner - inner.mean(0)) / inner.std(0).clip(1e-9) / 2
    np.testing.assert_allclose(found[:, :3], wanted[:, :3], atol=1e-3)
    assert not found[:, 3].any()  # what is the same in all records says nothing


def made(modality: str) -> Problem:
    """Made records of a modality, a third of them labelled."""
    dataset, truth = MADE_RECORDS[modality](36, 0)
    views = MODALITIES[modality]
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    truth = np.asarray(truth)
    rows = np.arange(len(truth))
    return Problem(
        arrays=arrays, spec=spec, modality=modality, task="classification",
        classes=int(truth.max()) + 1, targets=np.where(rows < 12, truth, -1), train=rows[:12],
        unlabelled=rows[12:], encoder=views.features, seed=0, steps=0,
    )  # fmt: skip


def _ended(fitting: Generator[object, None, Network]) -> Network:
    while True:
        try:
            next(fitting)
        except StopIteration as done:
            return done.value


@pytest.mark.parametrize("modality", ["series", "image"])
def test_each_part_has_its_own_columns(modality: str) -> None:
    problem = made(modality)
    views = MODALITIES[modality]
    kind = ENCODERS[views.blocks]
    encoder = kind(**kind.configure(problem.spec))
    rows = np.arange(30)
    encoder.prepare(problem.arrays, rows, 0)
    batch = views.plain(problem.arrays.batch(rows))
    whole = encoder.eval()(batch)
    assert whole.shape[1] == encoder.width
    assert list(encoder.columns) == ["", *views.beside]
    for (first, end), name in zip(
        encoder.columns.values(), (views.features, *views.beside.values()), strict=True
    ):
        alone = ENCODERS[name](**ENCODERS[name].configure(problem.spec))
        alone.prepare(problem.arrays, rows, 0)
        torch.testing.assert_close(whole[:, first:end], alone.eval()(batch))


def test_steps_are_means_of_equal_spans_on_one_scale() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 7, 2)) * [3, 0.1] + [100, -5]).astype(np.float32)
    arrays = Arrays({"values": values, "there": np.ones((50, 7, 2), np.uint8)})
    encoder = ENCODERS["steps"](channels=2, length=7, places=7)
    encoder.prepare(arrays, np.arange(50), 0)
    found = encoder(arrays.batch(np.arange(50))).numpy()
    flat = values.transpose(0, 2, 1)
    wanted = (flat - flat.mean((0, 2), keepdims=True)) / flat.std((0, 2), keepdims=True)
    np.testing.assert_allclose(found, wanted.reshape(50, -1), atol=2e-4)
    few = spans(7, 3)
    np.testing.assert_allclose(few.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(few.sum(1), 3 / 7, atol=1e-6)  # each step counts alike
