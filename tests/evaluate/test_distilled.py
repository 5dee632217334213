"""The small model of a run: its figures, its files, and what it is asked by."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import leaven
from leaven import Dataset, Run
from leaven.cli import app
from leaven.core.errors import DataError, RunError, SettingError
from leaven.evaluate import distilled
from leaven.evaluate.distilled import deal
from leaven.learn import distilling

NEW = slice(520, 720)  # records that the run has not read


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """One thread, and fewer mixed pairs and steps than in earnest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "_ENOUGH", 1500)
        patch.setattr(distilling, "_STEPS", (300, 500))
        patch.setattr(distilling, "_HIDDEN", 16)  # the run is small, too
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values, targets = load_digits(n_class=4, return_X_y=True)
    return values, targets


@pytest.fixture(scope="module")
def own(digits: tuple[Any, Any]) -> Dataset:
    """What the run is made of: 520 digits, 100 of them labelled."""
    values, targets = digits
    return Dataset.from_arrays(values[:520], np.where(np.arange(520) < 100, targets[:520], -1))


@pytest.fixture(scope="module")
def made(own: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    """A run that ships a blend, and its small model."""
    run = leaven.fit(
        own,
        method="supervised-blend",
        settings={"members": "random-forest,svm-linear"},
        budget="20steps",
        out=tmp_path_factory.mktemp("runs"),
    )
    return run, leaven.distil(run, own)


@pytest.fixture
def copy(made: tuple[Run, dict[str, Any]], tmp_path: Path) -> Run:
    shutil.copytree(made[0].folder, tmp_path / "run")
    return Run.load(tmp_path / "run")


def model(run: Run) -> bytes:
    return (run.folder / "distilled" / "model.safetensors").read_bytes()


def test_it_is_smaller_and_says_the_same(made: tuple[Run, dict[str, Any]], digits: tuple[Any, Any]):
    run, told = made
    assert run.predictor.network.head.kind == "blend"
    assert told["new"]
    assert told["agreement"]["value"] > 0.9
    assert told["agreement"]["low"] < told["agreement"]["value"] < told["agreement"]["high"]
    assert told["agreement"]["n"] == told["records"]["held"] == 420 // 5
    assert sum(told["records"].values()) == 520
    assert told["bytes"]["student"] < 0.6 * told["bytes"]["teacher"]
    cpu = told["cpu"]
    assert cpu["ratio"] == pytest.approx(cpu["student"] / cpu["teacher"])
    assert told["confidence"]["student"] == pytest.approx(told["confidence"]["teacher"], abs=0.03)
    theirs, ours = (
        one.predict(Dataset.from_arrays(digits[0][NEW]))[1]
        for one in (run.predictor, run.distilled)
    )
    agreeing = (theirs.argmax(1) == ours.argmax(1)).mean()
    assert agreeing > told["agreement"]["low"] - 0.04, "what is told holds for other records"
    assert (run.distilled.taught, run.distilled.shares) == (
        run.predictor.taught,
        run.predictor.shares,
    )


def test_the_loss_is_said_first(made: tuple[Run, dict[str, Any]]):
    told = made[1]
    lost = 100 * (1 - told["agreement"]["value"])
    start = f"It names the same class for {100 - lost:.1f}\u202f%"
    assert told["sentence"].startswith(start)
    assert f"at most {lost:.1f} points of accuracy can be lost" in told["sentence"]


def test_labels_that_taught_the_run_do_not_judge(made: tuple[Run, dict[str, Any]]):
    """The records were given with the labels that taught; no accuracy comes of these."""
    assert made[1]["accuracy"] is None


def test_other_labels_judge_both_models(copy: Run, digits: tuple[Any, Any]):
    values, targets = digits
    told = leaven.distil(copy, Dataset.from_arrays(values[NEW], targets[NEW]), fresh=True)
    accuracy = told["accuracy"]
    assert accuracy["teacher"]["n"] == accuracy["difference"]["n"] == told["records"]["held"]
    difference = accuracy["student"]["value"] - accuracy["teacher"]["value"]
    assert accuracy["difference"]["value"] == pytest.approx(difference)
    assert abs(difference) <= 1 - told["agreement"]["value"] + 1e-9
    assert "By their labels" in told["sentence"]


def test_the_same_seed_gives_the_same_bytes(copy: Run, own: Dataset):
    before = model(copy)
    told = leaven.distil(copy, own.select(np.arange(519, -1, -1)), fresh=True)
    assert told["new"]
    assert model(copy) == before, "nor does the order of the records count"
    leaven.distil(copy, own, seed=1, fresh=True)
    assert model(copy) != before


def test_what_is_there_is_returned(copy: Run, own: Dataset, made: tuple[Run, dict[str, Any]]):
    written = (copy.folder / "distilled.json").read_bytes()
    told = leaven.distil(copy, own, seed=5)
    assert told == made[1] | {"new": False}
    assert (copy.folder / "distilled.json").read_bytes() == written


def test_a_damaged_model_is_told(copy: Run, own: Dataset):
    path = copy.folder / "distilled" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    with pytest.raises(RunError, match=r"is damaged.*--fresh"):
        leaven.distil(copy, own)
    with pytest.raises(RunError, match="No usable model"):
        _ = copy.distilled
    assert leaven.distil(copy, own, fresh=True)["new"]
    (copy.folder / "distilled.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        leaven.distil(copy, own)


@pytest.mark.parametrize("renamed", [0, 1])
def test_a_kill_leaves_the_old_model(copy: Run, own: Dataset, renamed: int, monkeypatch: Any):
    """Before the first renaming, and between the old model's and the new one's."""
    before, real, done = model(copy), os.replace, []

    def killed(source: Any, target: Any) -> None:
        if Path(target).name.startswith("distilled"):
            done.append(target)
            if len(done) > renamed:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(distilled.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        leaven.distil(copy, own, seed=1, fresh=True)
    monkeypatch.undo()
    assert not leaven.distil(copy, own)["new"]
    assert model(copy) == before
    assert leaven.distil(copy, own, seed=1, fresh=True)["new"]
    left = {path.name for path in copy.folder.iterdir() if path.name.startswith("distilled")}
    assert left == {"distilled", "distilled.json"}


def test_two_processes_do_not_make_it_at_once(copy: Run, own: Dataset):
    with distilled._alone(copy.folder), pytest.raises(RunError, match="Another process"):
        leaven.distil(copy, own)


def test_what_cannot_teach_is_told(copy: Run, own: Dataset, digits: tuple[Any, Any]):
    values, _ = digits
    with pytest.raises(DataError, match=r"at least 100 different records.*Got 99"):
        leaven.distil(copy, values[520:619], fresh=True)
    with pytest.raises(DataError, match=r"at least 100 different records.*Got 1\."):
        leaven.distil(copy, np.repeat(values[520:521], 300, 0), fresh=True)
    with pytest.raises(DataError, match="reads tabular records"):
        leaven.distil(copy, Dataset.from_arrays(["a text"] * 200), fresh=True)
    assert copy.distilled, "what was there has stayed"


def test_records_are_dealt_by_content():
    content = np.array([f"c{i % 400}" for i in range(800)])
    taught = np.arange(800) < 40  # their equals at 400 to 439 count as taught, too
    parts = deal(content, taught, 0)
    assert sorted(np.concatenate([parts.teach, parts.choose, parts.held])) == list(range(800))
    named = [set(content[one]) for one in (parts.teach, parts.choose, parts.held)]
    assert not named[2] & (named[0] | named[1])
    assert not named[0] & named[1]
    assert len(named[2]) == 360 // 5
    assert not named[2] & set(content[:40])
    turned = deal(content[::-1], taught[::-1], 0)
    assert set(content[::-1][turned.held]) == named[2]
    assert len(deal(content[:100], taught[400:500], 0).held) == 50
    assert set(content[deal(content, taught, 1).held]) != named[2]


def test_it_is_asked_by_name(
    copy: Run, digits: tuple[Any, Any], tmp_path: Path, made: tuple[Run, dict[str, Any]]
):
    values, targets = digits
    records = Dataset.from_arrays(values[NEW], targets[NEW])
    small = leaven.predict(copy, records, distilled=True)
    whole = leaven.predict(copy, records)
    told = copy.distilled.predict(records)[1]
    assert np.allclose(small.table["confidence"].to_numpy(), told.max(1))
    assert not small.table.equals(whole.table)
    assert small.metrics["accuracy"].value > whole.metrics["accuracy"].value - 0.06
    with pytest.raises(SettingError, match="Choose one model"):
        leaven.predict(copy, records, compared=True, distilled=True)
    shutil.rmtree(copy.folder / "distilled")
    with pytest.raises(RunError, match="no small model"):
        leaven.predict(copy, records, distilled=True)


def test_the_command_makes_and_asks_it(copy: Run, digits: tuple[Any, Any], tmp_path: Path):
    names = [column["name"] for column in copy.story["dataset"]["columns"]]
    rows = [",".join(names), *(",".join(map(str, row)) for row in digits[0][NEW])]
    table = tmp_path / "new.csv"
    table.write_text("\n".join(rows))
    run = str(copy.folder)

    def say(*words: str) -> Any:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.stdout + result.stderr
        return result.stdout

    told = json.loads(say("distil", run, str(table), "--fresh", "--json"))
    assert told["new"]
    assert told["records"]["quarantined"] == 0
    shown = say("distil", run, str(table))
    assert shown.startswith("It names the same class for")
    assert "Made before" in shown
    out = tmp_path / "said.jsonl"
    say("predict", run, str(table), "--distilled", "--out", str(out))
    assert len(out.read_text().splitlines()) == len(digits[0][NEW])


def test_a_graph_is_refused(copy: Run, monkeypatch: Any):
    from dataclasses import replace

    graph = replace(copy.predictor, front=replace(copy.predictor.front, modality="graph"))
    monkeypatch.setitem(copy.__dict__, "predictor", graph)
    points = np.random.default_rng(0).normal(size=(120, 3))
    nodes = Dataset.from_arrays(points, edges=np.array([[0, 1], [1, 2]]))
    with pytest.raises(SettingError, match="stand alone"):
        leaven.distil(copy, nodes, fresh=True)
