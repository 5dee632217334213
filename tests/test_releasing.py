"""Runs go live, are tried and go back, by the commands that a person types."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from leaven.cli import app
from leaven.core.errors import RunError
from leaven.operate.registry import Registry
from leaven.store.store import Store


def command(*words: Any, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one table, of unlike methods."""
    home = tmp_path_factory.mktemp("home")
    X, y = load_wine(return_X_y=True)
    shown = np.random.default_rng(0).permutation(len(y))[:40]
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    given = np.where(np.isin(np.arange(len(y)), shown), names, "")
    table = {f"x{i}": X[:, i] for i in range(X.shape[1])} | {"label": given}
    pa_csv.write_csv(pa.table(table), home / "wine.csv")
    made = []
    for method in ("laplace-learning", "label-spreading"):
        words = ("--method", method, "--out", home / "runs")
        told = command("fit", home / "wine.csv", *words)
        made.append(Path(told["run"]["folder"]))
    return made


def test_a_release_from_first_to_rollback(runs: list[Path], tmp_path: Path):
    store = ("--store", tmp_path / "store.db")
    first, second = runs
    told = command("release", first, *store, "--override", "the first of all", "--by", "ann")
    assert told["live"]["run"] == first.name
    command("release", second, *store, "--canary", 10, code=2)  # not shown to be better
    why = ("--override", "trying it")
    told = command("release", second, *store, "--canary", 10, *why, "--by", "ben")
    assert told["canary"] == {
        "run": second.name, "digest": told["canary"]["digest"], "share": 0.1
    }  # fmt: skip
    told = command("promote", "wine", *store, "--reason", "two quiet days", "--by", "ben")
    assert (told["live"]["run"], told["canary"]) == (second.name, None)
    told = command("rollback", *store, "--by", "night")
    assert told["live"]["run"] == first.name
    (service,) = command("releases", *store)["services"]
    events = [(one["kind"], one["run"], one["person"]) for one in service["history"]]
    assert events == [
        ("live", first.name, "ann"),
        ("canary", second.name, "ben"),
        ("live", second.name, "ben"),
        ("live", first.name, "night"),
        ("retired", second.name, "night"),
    ]
    known = {one["run"]: one for one in service["runs"]}
    kept = known[first.name]
    assert kept["labels"] == {"given": 40}
    assert kept["dataset"]["hash"]
    assert kept["recipe"]["method"] == "laplace-learning"
    assert kept["verdict"]["outcome"]
    assert kept["environment"]["packages"]["torch"]
    assert Path(kept["report"]).is_file()
    plain = CliRunner().invoke(app, ["releases", *map(str, store)])
    assert f"wine: {first.name} is live." in plain.stdout


def test_a_run_whose_files_changed_is_not_loaded(runs: list[Path], tmp_path: Path):
    address = tmp_path / "store.db"
    told = command("release", runs[0], "--store", address, "--override", "the first")
    live = told["live"]
    registry = Registry(Store(address))
    assert registry.load(live["run"], live["digest"]).classes
    file = runs[0] / "model" / "predictor.json"
    before = file.read_text()
    try:
        file.write_text(before + " ")
        with pytest.raises(RunError, match=r"'predictor.json' was changed"):
            registry.load(live["run"], live["digest"])
    finally:
        file.write_text(before)


def test_what_is_not_there_is_told(runs: list[Path], tmp_path: Path):
    none = ("--store", tmp_path / "none.db")
    assert "Nothing was released yet" in json.dumps(command("releases", *none, code=2))
    store = ("--store", tmp_path / "store.db")
    command("release", runs[0], *store, "--override", "x")
    told = command("promote", "wien", *store, code=2)
    assert "Did you mean 'wine'?" in json.dumps(told)
    command("release", runs[1], *store, "--override", "x", "--service", "other")
    assert "Name the service" in json.dumps(command("rollback", *store, code=2))


def test_a_new_pair_of_keys_signs(runs: list[Path], tmp_path: Path, monkeypatch):
    pair = command("key")
    monkeypatch.setenv("LEAVEN_SIGNING_KEY", pair["private"])
    monkeypatch.setenv("LEAVEN_PUBLIC_KEY", pair["public"])
    store = tmp_path / "store.db"
    told = command("release", runs[1], "--store", store, "--override", "x")
    (service,) = command("releases", "--store", store)["services"]
    assert service["runs"][0]["signed"]
    Registry(Store(store)).load(told["live"]["run"], told["live"]["digest"])
    monkeypatch.setenv("LEAVEN_PUBLIC_KEY", command("key")["public"])
    with pytest.raises(RunError, match="of another key"):
        Registry(Store(store)).load(told["live"]["run"], told["live"]["digest"])


def test_who_rolls_back_at_night_does_not_wait_for_torch(tmp_path: Path):
    said = (
        "import sys\n"
        "from leaven import releasing\n"
        "from leaven.core.errors import DataError\n"
        f"for verb in (lambda: releasing.rollback(by='night', store='sqlite:///{tmp_path}/a.db'),\n"
        f"             lambda: releasing.releases('sqlite:///{tmp_path}/a.db')):\n"
        "    try:\n"
        "        verb()\n"
        "    except DataError:\n"
        "        pass\n"
        "print('torch' in sys.modules, 'leaven.operate.registry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
