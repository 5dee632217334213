"""What the fits are given: few labels, many records, and test records that nobody chose by."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import ours
from benchmarks.sets import MODALITIES, find_set, list_sets, load

from .conftest import SETS


@pytest.mark.parametrize("name", SETS)
def test_labels_are_few_and_drawn_by_the_seed(sets: Path, name: str) -> None:
    task = load(sets, name, per=4, seed=0)
    assert task.modality == MODALITIES[SETS[name][0]]
    assert {n for label, n in Counter(task.labels).items() if label is not None} == {4}
    assert task.labels == load(sets, name, per=4, seed=0).labels
    assert task.labels != load(sets, name, per=4, seed=1).labels
    whole = name == "papers"  # the judged nodes are among those without a label
    assert len(task.labels) == (160 if whole else 112 if name == "letters" else 120)
    assert len(task.truth) == (48 if name == "letters" else 40)
    assert Counter(task.truth).keys() == {label for label in task.labels if label is not None}


@pytest.mark.parametrize("name", SETS)
def test_leaven_reads_every_set(sets: Path, name: str) -> None:
    task = load(sets, name, per=4, seed=0)
    train = ours.training(task)
    assert train.modality == task.modality
    assert len(train) == len(task.labels)
    assert [train.labels[int(i)].as_py() for i in train.labelled] == [
        label for label in task.labels if label is not None
    ]
    columns = [vars(column) for column in train.columns]
    test = ours.testing(task, columns)
    assert len(test) == (160 if name == "papers" else len(task.truth))
    assert len(test.labelled) == 0


def test_each_class_has_its_labels_where_records_are_cut(sets: Path) -> None:
    task = load(sets, "squares", per=3, seed=0, most=10)
    assert len(task.train) == 10
    assert Counter(task.labels) == {"0": 3, "1": 3, None: 4}
    bright = task.train[:, :4].mean((1, 2)) > task.train[:, 4:].mean((1, 2))
    for label, above in zip(task.labels, bright, strict=True):
        assert label is None or (label == "0") == above


@pytest.mark.parametrize("name", ["points", "squares", "steps"])
def test_of_many_test_records_the_same_ones_are_asked(sets: Path, name: str) -> None:
    whole = load(sets, name, per=4, seed=0)
    one, other = (load(sets, name, per=4, seed=seed, most_test=15) for seed in (0, 1))
    assert len(one.test) == len(one.truth) == 15
    assert one.truth == other.truth
    for record, label in zip(_records(one.test), one.truth, strict=True):
        place = [str(known) for known in _records(whole.test)].index(str(record))
        assert whole.truth[place] == label


def _records(records: object) -> list[object]:
    return records.to_pylist() if isinstance(records, pa.Table) else [*records]


def test_a_graph_is_whole_and_its_judged_nodes_have_no_label(sets: Path) -> None:
    task = load(sets, "papers", per=4, seed=0, most=20, most_test=5)
    assert len(task.train) == len(task.labels) == 160
    assert task.judged is not None
    assert not any(task.labels[i] for i in task.judged)
    words = task.train.argmax(1)
    assert [str(words[i]) for i in task.judged] == task.truth


def test_pictures_of_bits_are_split_evenly_with_all_classes_on_both_sides(sets: Path) -> None:
    task = load(sets, "letters", per=25, seed=0)
    assert Counter(task.truth) == {"0": 24, "1": 24}
    assert set(np.unique(task.train)) == {0, 255}
    bright = np.concatenate([task.test[:, :4].mean((1, 2)) > task.test[:, 4:].mean((1, 2))])
    assert [str(int(not above)) for above in bright] == task.truth


def test_records_without_any_label_join_the_training_records(sets: Path, tmp_path: Path) -> None:
    shutil.copytree(sets / "notes", tmp_path / "notes")
    shutil.copy(sets / "index.json", tmp_path)
    more = pa.table({"text": [f"more {i}" for i in range(30)], "label": [-1] * 30})
    pq.write_table(more, tmp_path / "notes" / "unlabeled.parquet")
    task = load(tmp_path, "notes", per=60, seed=0)
    told = dict(zip(task.train["text"].to_pylist(), task.labels, strict=True))
    assert len(told) == 150
    assert [label for text, label in told.items() if text.startswith("more")] == [None] * 30


def test_columns_that_tell_the_label_are_no_features(sets: Path) -> None:
    assert load(sets, "points", per=4, seed=0).train.column_names == [
        "x0", "x1", "x2", "x3", "colour",
    ]  # fmt: skip
    assert load(sets, "notes", per=4, seed=0).train.column_names == ["text"]


def test_what_is_no_classification_is_left_out_with_a_reason(sets: Path) -> None:
    usable, skipped = list_sets(sets)
    assert [*usable] == [*SETS]
    assert skipped == {
        "moods": "its records have no one label",
        "talks": "its records have no class",
        "boxes": "records of modality 'detection' are not classified here",
    }
    with pytest.raises(ValueError, match="'talks' cannot be used: its records have no class"):
        find_set(sets, "talks")
    with pytest.raises(ValueError, match="no set 'songs' to use. There are: points, notes, sq"):
        find_set(sets, "songs")
    with pytest.raises(ValueError, match="no index.json"):
        find_set(sets / "points", "points")


def test_cheap_sets_come_first(sets: Path, tmp_path: Path) -> None:
    sizes = {"large": (50_000, 10), "wide": (5_000, 100), "small": (80, 3)}
    index = [
        {"name": name, "modality": "image", "format": "npz", "classes": k, "splits": {"train": n}}
        for name, (n, k) in sizes.items()
    ]
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert [*list_sets(tmp_path)[0]] == ["small", "large", "wide"]
