"""What a fit tells Prometheus by files: whole, bounded, and of no harm to the fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leaven.cli import app
from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Progress
from leaven.evaluate.run import Run
from leaven.operate.metrics import fitting
from leaven.operate.metrics.catalogue import METRICS
from leaven.operate.metrics.fitting import FitFiles
from tests.store.history import Clock

PROMTOOL = shutil.which("promtool")
ODD = 'a "set"/../of\nmany\\words ü'


def values(text: str) -> dict[str, float]:
    """Each line's number, by what stands before it."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_the_command_leaves_the_figures_of_the_run(wine: Run, tmp_path: Path):
    folder, told = tmp_path / "collector", wine.story["dataset"]
    asked = ["fit", told["source"], "--method", "label-spreading", "--out", wine.folder.parent]
    asked += ["--metrics", folder, "--json"]
    result = CliRunner().invoke(app, [*map(str, asked)])
    assert result.exit_code == 0, result.output
    story = json.loads(result.output)
    assert {file.name for file in folder.iterdir()} == {
        "leaven_fit_wine.prom", "leaven_fit_wine.now.prom",
    }  # fmt: skip
    found = values((folder / "leaven_fit_wine.prom").read_text())
    accuracy = story["metrics"]["accuracy"]
    assert found['leaven_fit_accuracy{data="wine"}'] == accuracy["value"]
    assert found['leaven_fit_accuracy_low{data="wine"}'] == accuracy["low"]
    assert found['leaven_fit_labelled_records{data="wine"}'] == told["labelled"] == 40
    assert found['leaven_fit_records{data="wine"}'] == 178
    (info,) = (name for name in found if name.startswith("leaven_fit_info"))
    assert f'run="{story["run"]["id"]}"' in info
    assert f'outcome="{story["verdict"]["outcome"]}"' in info
    now = values((folder / "leaven_fit_wine.now.prom").read_text())
    assert now['leaven_fit_state{data="wine",state="done"}'] == 1
    assert now['leaven_fit_state{data="wine",state="running"}'] == 0
    assert now['leaven_fit_progress_ratio{data="wine"}'] == 1


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_takes_both_files_of_a_set_of_any_name(wine: Run, tmp_path: Path):
    with FitFiles(tmp_path, ODD) as files:
        files.done(wine.story)
    both = sorted(tmp_path.iterdir())
    assert len(both) == 2
    text = "".join(file.read_text() for file in both)
    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    wanted = {name for name in METRICS if name.startswith("leaven_fit_")}
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")} == wanted
    assert all(r'data="a \"set\"/../of\nmany\\words ü"' in line for line in values(text))


def test_while_it_goes_on_its_progress_is_told_and_how_it_failed(tmp_path: Path):
    clock, heard = Clock(), []
    now = tmp_path / "leaven_fit_iris.now.prom"

    def told() -> dict[str, float]:
        return values(now.read_text())

    with pytest.raises(DataError), FitFiles(tmp_path, "iris", heard.append, clock=clock) as files:
        assert told()['leaven_fit_progress_ratio{data="iris"}'] == 0
        files.tell(Progress("fold 1", 1, 4))
        assert told()['leaven_fit_progress_ratio{data="iris"}'] == 0, "not so often"
        clock.now += 11
        files.tell(Progress("fold 2", 2, 4))
        assert told()['leaven_fit_progress_ratio{data="iris"}'] == 0.5
        assert told()['leaven_fit_updated_timestamp_seconds{data="iris"}'] == clock.now
        raise DataError("one class only")
    assert len(heard) == 2
    assert told()['leaven_fit_state{data="iris",state="failed"}'] == 1
    assert told()['leaven_fit_state{data="iris",state="running"}'] == 0
    assert not (tmp_path / "leaven_fit_iris.prom").exists(), "of a fit that ended well alone"


def test_files_are_of_so_many_sets_and_no_two_names_share_one(
    wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fitting, "_SETS", 3)
    (tmp_path / "other.prom").write_text("up 1\n")
    for i, name in enumerate(["a b", "a/b", "a-b", "c", "d"]):
        with FitFiles(tmp_path, name) as files:
            files.done(wine.story)
        for file in tmp_path.glob("leaven_fit_*"):
            if f'data="{name}"' in file.read_text():
                os.utime(file, (i, i))
    kept = "".join(file.read_text() for file in tmp_path.glob("leaven_fit_*.now.prom"))
    assert [name for name in ("a b", "a/b", "a-b", "c", "d") if f'"{name}"' in kept] == [
        "a-b", "c", "d",
    ]  # fmt: skip
    assert len(list(tmp_path.glob("leaven_fit_*"))) == 6
    assert (tmp_path / "other.prom").exists()


def test_a_folder_that_cannot_be_written_is_told_at_once_and_ends_no_fit_later(
    wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="'metrics' must be a folder that can be written"):
        FitFiles(tmp_path / "file", "iris")
    with FitFiles(tmp_path / "folder", "iris") as files:
        shutil.rmtree(tmp_path / "folder")
        files.done(wine.story)
    assert "were not written" in caplog.text
