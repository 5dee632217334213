"""Series encoders from elsewhere: tiny networks with random weights, and aeon's kernels."""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leaven.data.dataset import Dataset
from leaven.data.portable.model import runtime
from leaven.learn.aeon_rockets import AeonRocket
from leaven.learn.extractors.series import _scaled as scaled_by_torch
from leaven.learn.predictor import Predictor
from leaven.operate.export.aeon_rockets import features
from leaven.operate.export.extractors.series import _scaled
from leaven.operate.export.graph import Graph, Value
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import TOLERANCE, on_made, on_records
from leaven.operate.export.runtime import opened
from tests.learn.test_extractors_series import made
from tests.operate.frozen_encoders import frozen

needs_aeon = pytest.mark.skipif(
    importlib.util.find_spec("aeon") is None, reason="aeon is not installed"
)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def series(channels: int, count: int = 40) -> Dataset:
    """Random walks of several lengths, with gaps and level stretches."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        walk = rng.standard_normal((channels, 20 + number % 30)).cumsum(1)
        walk[:, 4:9] = walk[:, 4:5]
        walk[0, 12 + number % 3] = np.nan
        found.append(walk.tolist())
    return Dataset.from_arrays(found, modality="series")


def answered_alike(predictor: Predictor, dataset: Dataset, most: float = TOLERANCE) -> Any:
    model = opened(graph_of(predictor), described(predictor, dataset.columns))
    real, invented = on_records(predictor, model, dataset), on_made(predictor, model)
    assert (real.records, invented.records) == (len(dataset), 64)
    assert max(real.largest, invented.largest) <= most
    spread = predictor.predict(dataset)[1].std(0).max()
    assert spread > 100 * max(real.largest, invented.largest)
    return model


def asked(build: Callable[[Value], Value], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What a graph makes of an array of any number of rows."""
    graph = Graph()
    made = build(graph.input("values", values.dtype, ["n", *values.shape[1:]]))
    session = runtime().InferenceSession(graph.model(made, "found", ["n"] + ["?"] * 2))
    return session.run(None, {"values": values})[0]


def test_a_network_answers_alike_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    made("patchtst", 1).save_pretrained(tmp_path / "m")
    dataset = series(2)
    model = answered_alike(frozen(str(tmp_path / "m"), dataset), dataset)
    given = [[0.1, 0.2], [[1.0, 2.0, 1.0], [0.0, None, 3.0]]]  # of one channel, of two
    found, why = model.probabilities(given)
    assert list(why) == [0]
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("steps", [1, 7, 33, 96])
def test_series_are_scaled_in_time_as_torch_scales_them(steps: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((6, 33, 2)).astype(np.float32)
    there = np.zeros(values.shape, np.uint8)
    for row, end in enumerate((1, 2, 16, 32, 33, 20)):
        there[row, end - 1, row % 2] = there[row, end // 2] = 1
    pairs = zip(torch.from_numpy(values), torch.from_numpy(there), strict=True)
    wanted = torch.stack([scaled_by_torch(*pair, steps) for pair in pairs])

    def build(given: Value) -> Value:
        return _scaled(given, given.graph.constant(there), steps)

    np.testing.assert_allclose(asked(build, values), wanted, atol=1e-5)


def learnt_by(name: str, channels: int, steps: int, kernels: int) -> AeonRocket:
    """An encoder as aeon would have fitted it, of few kernels that are drawn here."""
    rng = np.random.default_rng(0)
    if name == "rocket":
        lengths, counts = rng.choice([7, 9, 11], kernels), rng.integers(1, channels + 1, kernels)
        dilations = rng.integers(1, 1 + (steps - 1) // (lengths - 1))
        held = {
            "kernels": (
                rng.normal(size=(lengths * counts).sum()), lengths, rng.uniform(-1, 1, kernels),
                dilations, (lengths - 1) * dilations // 2 * rng.integers(0, 2, kernels), counts,
                np.concatenate([rng.permutation(channels)[:count] for count in counts]),
            )
        }  # fmt: skip
        width = 2 * kernels
    else:
        many = {"minirocket": ["parameters"], "multirocket": ["parameter", "parameter1"]}[name]
        dilations, each = np.array([1, 3]), np.array([2, 1])
        counts = rng.integers(1, channels + 1, 84 * len(dilations))
        chosen = np.concatenate([rng.permutation(channels)[:count] for count in counts])
        held = {
            one: (counts, chosen, dilations, each, rng.normal(size=84 * each.sum())) for one in many
        }
        width = 84 * int(each.sum()) * (8 if len(many) == 2 else 1)
    arrays = {f"{key}.{i}": part for key, parts in held.items() for i, part in enumerate(parts)}
    arrays = {
        key: part.astype(np.float32 if part.dtype.kind == "f" else np.int32)
        for key, part in arrays.items()
    }
    more = {"mean": rng.normal(size=width), "scale": rng.uniform(1, 2, width)}
    more["scale"][0] = np.inf  # a feature that did not vary
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays, **more, shape=np.array([channels, steps]))
    told = {"name": f"aeon/{name}", "learnt": base64.b64encode(stream.getvalue()).decode()}
    return AeonRocket({"kind": "AeonRocket", "width": width, "digest": name} | told)


def convolved(rows: npt.NDArray[Any], dilation: int, triple: Any, early: int) -> npt.NDArray[Any]:
    """(steps,) of (channels, steps), a number at a time: nothing lies beyond the ends."""
    steps = rows.shape[1]
    total = np.zeros(steps)
    for at in range(steps):
        for tap in range(9):
            place = at + (tap - 4) * dilation + (early if tap < 4 else 0)
            if 0 <= place < steps:
                total[at] += (2 if tap in triple else -1) * rows[:, place].sum()
    return total


def by_hand(encoder: AeonRocket, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(width,) raw features of one series (channels, steps), as the papers and aeon have them."""
    told = encoder.learnt
    if encoder.kind == "rocket":
        return _random_kernels([told[f"kernels.{i}"] for i in range(7)], rows)
    names = ["parameters"] if encoder.kind == "minirocket" else ["parameter", "parameter1"]
    triples = [(a, b, c) for a in range(9) for b in range(a + 1, 9) for c in range(b + 1, 9)]
    counts, chosen = told[f"{names[0]}.0"], told[f"{names[0]}.1"]
    parts = np.split(chosen, np.cumsum(counts)[:-1])
    found = []
    for name, read in zip(names, (rows, np.diff(rows)), strict=False):
        dilations, each, biases = (told[f"{name}.{i}"] for i in (2, 3, 4))
        rows_of, at = [], 0
        for number, dilation in enumerate(dilations):
            for kernel, triple in enumerate(triples):
                own = read[parts[number * 84 + kernel]]
                values = convolved(own, dilation, triple, int(name == "parameter1"))
                if (number + kernel) % 2:
                    values = values[4 * dilation : -4 * dilation]
                for bias in biases[at : at + each[number]]:
                    rows_of.append(_of_values(values, bias))
                at += each[number]
        many = 1 if encoder.kind == "minirocket" else 4
        found.append(np.array(rows_of)[:, :many].T.ravel())
    return np.concatenate(found)


def _of_values(values: npt.NDArray[Any], bias: float) -> list[float]:
    above, below = np.flatnonzero(values > bias), np.flatnonzero(values < bias)
    ends = np.concatenate([[0], below, [len(values) - 1]])
    some = len(above) > 0
    return [
        len(above) / len(values),
        np.diff(ends).max(),
        (values[above] + bias).mean() if some else 0,
        above.mean() if some else -1,
    ]


def _random_kernels(held: list[npt.NDArray[Any]], rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    weights, lengths, biases, dilations, paddings, counts, channels = held
    rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    found, first, at = [], 0, 0
    for length, bias, dilation, padding, count in zip(
        lengths, biases, dilations, paddings, counts, strict=True
    ):
        own = weights[at : at + length * count].reshape(count, length)
        read = np.pad(rows[channels[first : first + count]], ((0, 0), (padding, padding)))
        places = np.arange(read.shape[1] - (length - 1) * dilation)
        values = bias + sum(
            own[:, [tap]] * read[:, places + tap * dilation] for tap in range(length)
        ).sum(0)
        found += [(values > 0).mean(), values.max()]
        first, at = first + count, at + length * count
    return np.array(found)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["minirocket", "multirocket", "rocket"])
def test_kernels_are_those_of_the_papers(name: str, channels: int) -> None:
    steps = 31
    encoder = learnt_by(name, channels, steps, 40)
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, steps, channels)).astype(np.float32)

    def build(given: Value) -> Value:
        return features(given, encoder).unsqueeze(2)

    raw = np.stack([by_hand(encoder, rows.T.astype(np.float64)) for rows in values])
    wanted = (raw - encoder.learnt["mean"]) / encoder.learnt["scale"]
    np.testing.assert_allclose(asked(build, values)[..., 0], wanted, atol=2e-4)


@needs_aeon
@pytest.mark.parametrize("name", ["aeon/minirocket", "aeon/multirocket", "aeon/rocket"])
def test_aeon_s_kernels_answer_alike(name: str) -> None:
    # A convolution's sums are made in another order: what lies at a bias may fall beside it.
    most = 2e-3 if name == "aeon/rocket" else TOLERANCE
    for channels in (1, 3):
        dataset = series(channels)
        answered_alike(frozen(name, dataset), dataset, most)
