"""Which labels taught a run, and which runs a label taught."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.data.dataset import Dataset
from leaven.evaluate.lineage import labels_table, rounds, taught_runs
from leaven.evaluate.run import Run


def records() -> Dataset:
    table = pa.table(
        {
            "id": ["a", "b", "c", "d"],
            "text": ["one thing", "another thing", "a third", "a fourth"],
            "kind": ["x", "y", None, None],
        }
    )
    return Dataset.from_frame(table, label="kind", modality="text", name="things")


def test_each_label_says_who_gave_it():
    given = labels_table(records()).to_pylist()
    assert [(one["id"], one["label"], one["origin"]) for one in given] == [
        ("a", "x", "given"),
        ("b", "y", "given"),
    ]
    said = records().with_meta("by", pa.array(["ann, ben", None, None, None]))
    told = labels_table(said).to_pylist()
    assert [(one["origin"], one["by"]) for one in told] == [
        ("person", "ann, ben"),
        ("given", "things"),
    ]


def test_what_rules_said_is_told_apart_and_a_tie_has_no_class():
    votes = np.array([[0, 0], [0, 1], [1, -1], [0, 1]], np.int16)
    told = labels_table(records().with_votes(votes, "rules.toml 1234")).to_pylist()
    assert [(one["id"], one["label"], one["by"]) for one in told if one["origin"] == "rule"] == [
        ("c", "y", "rules.toml 1234"),
        ("d", None, "rules.toml 1234"),
    ]


def test_a_further_column_replaces_one_of_its_name():
    one = records().with_meta("by", pa.array(["ann"] * 4)).with_meta("by", pa.array(["ben"] * 4))
    assert one.meta.column_names.count("by") == 1
    assert one.meta["by"].to_pylist() == ["ben"] * 4
    assert len(one.select(np.array([2]))) == 1


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs of one set: the first keeps no labels, the last has one of ann's."""
    for number, by in enumerate([None, "ben", "ann, ben"]):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        told = {"id": f"run{number}", "created": f"2026-01-0{number + 1}", "command": "leaven fit"}
        dataset = {"name": "things", "classes": ["x", "y"]}
        (folder / "run.json").write_text(json.dumps({"run": told, "dataset": dataset}))
        if by is not None:
            table = labels_table(records().with_meta("by", pa.array([by, None, None, None])))
            pq.write_table(table, folder / "labels.parquet")
        said = ["x", "x" if number else "y"]
        rows = {"id": ["c", "d"] if number < 2 else ["d", "c"], "prediction": said}
        pq.write_table(pa.table(rows), folder / "predictions.parquet")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


def test_runs_are_found_by_who_gave_their_labels(runs: Path):
    found = taught_runs(runs, by="ann")
    assert [(one.run, one.labels) for one in found] == [("run0", None), ("run2", 1)]
    found = taught_runs(runs, by="ben")
    assert [(one.run, one.labels) for one in found] == [("run0", None), ("run1", 1), ("run2", 1)]
    assert [one.run for one in taught_runs(runs, by="be")] == ["run0"], "a part of a name is none"


def test_runs_are_found_by_their_records(runs: Path):
    found = taught_runs(runs, ids=["b"])
    assert [(one.run, one.labels) for one in found] == [("run0", None), ("run1", 1), ("run2", 1)]
    content = str(records().content[0])
    assert [one.labels for one in taught_runs(runs, contents=[content], by="ann")] == [None, 1]
    assert [one.run for one in taught_runs(runs, ids=["nobody"])] == ["run0"]


def test_rounds_are_what_each_run_says_of_the_same_records(runs: Path):
    story = json.loads((runs / "run2" / "run.json").read_text())
    found = np.array(rounds(Run(runs / "run2", story)))
    assert found.shape == (3, 2)
    by_record = found.T.tolist()
    assert sorted(by_record) == sorted([[0, 0, 0], [1, 0, 0]])
    first = json.loads((runs / "run0" / "run.json").read_text())
    assert len(rounds(Run(runs / "run0", first))) == 1, "later runs are not looked at"
