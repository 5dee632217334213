"""Features of fixed encoders: made once, the same to the bit whatever was asked for before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven import Dataset
from leaven.data.arrays import Arrays
from leaven.data.modality import MODALITIES
from leaven.learn import encoder as module
from leaven.learn.encoder import ENCODERS, Encoder, encode
from leaven.learn.front import Front
from leaven.learn.head import LinearHead
from leaven.learn.network import Network
from leaven.learn.remembered import fixed

PLAIN = MODALITIES["series"].plain


@pytest.fixture(scope="module")
def series() -> tuple[Dataset, Front]:
    rng = np.random.default_rng(0)
    dataset = Dataset.from_arrays(rng.normal(size=(700, 40, 1)), modality="series")
    return dataset, Front.describe(dataset, None)


def rocket(arrays: Arrays, front: Front, seed: int = 0) -> Encoder:
    kind = ENCODERS["rocket"]
    encoder = kind(**kind.configure(front.arrays_spec))
    encoder.prepare(arrays, np.arange(200), seed)
    return encoder.eval()


@pytest.fixture
def arrays(series: tuple[Dataset, Front]) -> Arrays:
    dataset, front = series
    found, _ = front.decode(dataset)
    found.remembered = {}
    return found


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many records were computed, each time."""
    counts: list[int] = []
    inner = module._encode

    def counting(*told):
        counts.append(len(told[2]))
        return inner(*told)

    monkeypatch.setattr(module, "_encode", counting)
    return counts


def test_features_are_made_once(series, arrays: Arrays, computed: list[int]):
    encoder, every = rocket(arrays, series[1]), np.arange(700)
    first = encode(encoder, arrays, every, PLAIN)
    assert sum(computed) == 700
    np.testing.assert_array_equal(encode(encoder, arrays, every[::-1], PLAIN), first[::-1])
    np.testing.assert_array_equal(encode(encoder, arrays, every[300:600], PLAIN), first[300:600])
    assert sum(computed) == 700, "nothing anew"
    arrays.remembered = None
    np.testing.assert_allclose(encode(encoder, arrays, every, PLAIN), first, atol=1e-6)
    assert sum(computed) == 1400


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 699), min_size=1, max_size=400), min_size=1, max_size=4))
def test_what_was_asked_before_changes_nothing(asked: list[list[int]]):
    rng = np.random.default_rng(0)
    arrays = Arrays({"x": rng.normal(size=(700, 30)).astype(np.float32)})
    encoder = _Projected(30)
    arrays.remembered = {}
    last = [encode(encoder, arrays, np.array(index), dict) for index in asked][-1]
    arrays.remembered = {}
    alone = encode(encoder, arrays, np.array(asked[-1]), dict)
    assert last.tobytes() == alone.tobytes()


class _Projected(Encoder):
    """Products of matrices, whose last bits follow from the size of the batch."""

    name, modality, summary, ready = "projected", "embedding", "for a test", True
    weight: torch.Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs=inputs)
        self.width = 64
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(inputs, 64, generator=generator))

    @classmethod
    def configure(cls, spec):
        return {"inputs": 30}

    def prepare(self, arrays, index, seed):
        pass

    def enter(self, batch):
        return batch["x"] @ self.weight


def test_each_encoder_has_its_own(series, arrays: Arrays):
    first, second = (rocket(arrays, series[1], seed) for seed in (0, 1))
    every = np.arange(700)
    apart = [encode(one, arrays, every, PLAIN) for one in (first, second, first)]
    assert not np.allclose(apart[0], apart[1])
    np.testing.assert_array_equal(apart[0], apart[2])
    for seed in range(2, 8):
        encode(rocket(arrays, series[1], seed), arrays, every, PLAIN)
    assert len(arrays.remembered) == 5, "memory is bounded"


def test_parts_side_by_side_are_remembered_one_by_one(series, arrays: Arrays):
    kind = ENCODERS["series-blocks"]
    blocks = kind(**kind.configure(series[1].arrays_spec))
    every = np.arange(700)
    blocks.prepare(arrays, every, 0)
    whole = encode(blocks, arrays, every, PLAIN)
    assert len(arrays.remembered) == len(blocks.columns)
    for block, (first, end) in blocks.columns.items():
        alone = encode(blocks.only([block]), arrays, every, PLAIN)
        np.testing.assert_array_equal(alone, whole[:, first:end])
    assert len(arrays.remembered) == len(blocks.columns), "nothing was computed twice"


def test_answers_are_those_of_records_that_are_not_remembered(series, arrays: Arrays):
    head = LinearHead(512, 3)
    with torch.no_grad():
        head.weight.normal_(generator=torch.Generator().manual_seed(0))
    network = Network(rocket(arrays, series[1]), head).eval()
    remembered = network.logits(arrays), network.logits(arrays, np.array([5, 600]))
    assert network.logits(arrays, np.zeros(0, np.int64)).shape == (0, 0)
    arrays.remembered = None
    plain = network.logits(arrays), network.logits(arrays, np.array([5, 600]))
    for ours, theirs in zip(remembered, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_nothing_is_kept_of_few_scattered_records_or_of_what_learns(
    series, arrays: Arrays, computed: list[int]
):
    scattered = np.array([3, 300, 650])
    for _ in range(2):
        encode(rocket(arrays, series[1]), arrays, scattered, PLAIN)
    assert computed == [3, 3]
    assert arrays.remembered == {}
    kind = ENCODERS["tcn"]
    learning = kind(**kind.configure(series[1].arrays_spec))
    assert not fixed(learning)
    before = encode(learning, arrays, np.arange(700), PLAIN)
    with torch.no_grad():
        for weight in learning.parameters():
            weight.add_(0.1)
    assert not np.allclose(encode(learning, arrays, np.arange(700), PLAIN), before)
    assert arrays.remembered == {}
