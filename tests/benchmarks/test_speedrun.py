"""The speedrun reads, trains and tells, on a folder that looks like CIFAR-10."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from benchmarks import cifar_speedrun as speedrun
from benchmarks.results import read
from leaven.data.arrays import Arrays
from leaven.learn.models.wide_resnet import WideResNet

NAMES = ("bird", "cat", "ship")


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _write(folder: Path, part: str, n: int, seed: int) -> None:
    """Each class has a colour of its own."""
    random = np.random.default_rng(seed)
    kinds = np.arange(n) % len(NAMES)
    pixels = random.integers(0, 60, (n, 8, 8, 3), dtype=np.uint8)
    for one, kind in zip(pixels, kinds, strict=True):
        one[..., kind] += 150
    columns = {"image": [_png(one) for one in pixels], "label": [NAMES[kind] for kind in kinds]}
    pq.write_table(pa.table(columns), folder / f"{part}.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("data")
    (home / "cifar10").mkdir()
    _write(home / "cifar10", "train", 60, 0)
    _write(home / "cifar10", "test", 30, 1)
    entry = {"name": "cifar10", "modality": "image", "format": "image-parquet"}
    (home / "index.json").write_text(json.dumps([entry]))
    return home


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _words(data: Path, *more: str) -> list[str]:
    return ["--data", str(data), "--labels", "6", "--batch", "6", *more]


def test_a_line_a_seed_is_written(data: Path, tmp_path: Path):
    out = tmp_path / "rows.jsonl"
    speedrun.main(_words(data, "--seeds", "0,1", "--steps", "2", "--out", str(out)))
    rows = read(out)
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert (row["labels"], row["steps"], row["tested"]) == (6, 2, 30)
        assert row["recipe"]["method"] == "freematch"
        assert row["recipe"]["encoder"] == "wrn-28-2"
        assert row["recipe"]["unlabelled"] == 60
        assert 0 <= row["accuracy"] <= 1
        assert row["seconds"] == pytest.approx(sum(row["parts"].values()), abs=0.05)
        assert {"cpu", "cores"} <= set(row["hardware"])
        assert "torch" in row["versions"]


def test_more_steps_find_the_classes(data: Path, tmp_path: Path):
    out = tmp_path / "rows.jsonl"
    more = ("--steps", "30", "--encoder", "small-convnet", "--method", "fixmatch")
    speedrun.main(_words(data, "--seeds", "0", *more, "--out", str(out)))
    assert read(out)[0]["accuracy"] > 0.9


def test_the_seed_draws_the_labels_and_each_class_has_as_many(data: Path):
    drawn = []
    for seed in (0, 1):
        asked = speedrun._parser().parse_args(_words(data))
        problem, test, truth = speedrun._read(asked, seed, torch.device("cpu"))
        assert np.bincount(problem.targets[problem.train]).tolist() == [2, 2, 2]
        assert (problem.targets[np.setdiff1d(np.arange(60), problem.train)] == -1).all()
        brightest = test["pixels"].mean((2, 3)).argmax(1)
        np.testing.assert_array_equal(brightest, truth)
        drawn.append(problem.train.tolist())
    assert drawn[0] != drawn[1]


def test_labels_that_cannot_be_balanced_are_refused(data: Path):
    with pytest.raises(SystemExit, match="multiple of 3. Got 7"):
        speedrun.main([*_words(data), "--labels", "7", "--steps", "1"])


def test_the_clock_ends_a_training_early(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speedrun, "_CHECKED", 2)
    asked = speedrun._parser().parse_args(_words(data, "--encoder", "small-convnet"))
    problem, _, _ = speedrun._read(asked, 0, torch.device("cpu"))
    assert speedrun._train(problem, "fixmatch", limit=0.0)[1] == 3


def test_the_plan_follows_the_probe(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speedrun, "_PROBED", 2)
    asked = speedrun._parser().parse_args(_words(data, "--encoder", "small-convnet"))
    problem, _, _ = speedrun._read(asked, 0, torch.device("cpu"))
    assert speedrun._probe(speedrun.replace(problem, steps=4), "fixmatch") > 0
    monkeypatch.setattr(speedrun, "_probe", lambda problem, method: 1e5)
    out = tmp_path / "rows.jsonl"
    speedrun.main(_words(data, "--encoder", "small-convnet", "--seeds", "0", "--out", str(out)))
    assert read(out)[0]["steps"] == 1


def test_records_on_the_device_are_the_records():
    arrays = Arrays({"pixels": np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2)})
    index = np.array([5, 0, 0])
    there = speedrun.DeviceArrays(arrays, torch.device("cpu")).batch(index)
    assert torch.equal(there["pixels"], arrays.batch(index)["pixels"])


def test_the_compiled_network_is_the_same(monkeypatch: pytest.MonkeyPatch):
    # Inductor takes a minute; what is asked here is that the pass is traced, and nothing is lost.
    traced = torch.compile(WideResNet.represent, backend="eager", dynamic=False, fullgraph=True)
    monkeypatch.setattr(speedrun, "_compiled", lambda: traced)
    torch.manual_seed(0)
    plain = WideResNet(channels=3, depth=10, widen=1)
    other = speedrun.CompiledWideResNet(**plain.config)
    other.load_state_dict(plain.state_dict())
    pixels = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(other.represent(pixels), plain.represent(pixels))
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor)
    assert float(other.passes) == 1
    torch.testing.assert_close(other.eval().represent(pixels), plain.eval().represent(pixels))
