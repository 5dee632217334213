"""What the fits are given: few labels, many records, and test records that nobody chose by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.grid import choose_peers
from benchmarks.peers import fit_peer
from benchmarks.sets import find_set, load


@pytest.mark.parametrize("name", ["points", "notes", "squares"])
def test_labels_are_few_and_drawn_by_the_seed(sets: Path, name: str) -> None:
    task = load(sets, name, per=4, seed=0)
    assert Counter(task.labels)[None] == 112
    assert {n for label, n in Counter(task.labels).items() if label is not None} == {4}
    assert task.labels == load(sets, name, per=4, seed=0).labels
    assert task.labels != load(sets, name, per=4, seed=1).labels
    assert len(task.test) == len(task.truth) == 40


def test_each_class_has_its_labels_where_records_are_cut(sets: Path) -> None:
    task = load(sets, "squares", per=3, seed=0, most=10)
    assert len(task.train) == 10
    assert Counter(task.labels) == {"0": 3, "1": 3, None: 4}
    bright = task.train[:, :4].mean((1, 2)) > task.train[:, 4:].mean((1, 2))
    for label, above in zip(task.labels, bright, strict=True):
        assert label is None or (label == "0") == above


def test_columns_that_tell_the_label_are_no_features(sets: Path) -> None:
    assert load(sets, "points", per=4, seed=0).train.column_names == [
        "x0", "x1", "x2", "x3", "colour",
    ]  # fmt: skip
    assert load(sets, "notes", per=4, seed=0).train.column_names == ["text"]


def test_a_set_that_cannot_be_read_is_named_with_those_that_can(sets: Path) -> None:
    with pytest.raises(ValueError, match="'songs' to use. There are: points, notes, squares"):
        find_set(sets, "songs")
    with pytest.raises(ValueError, match="no index.json"):
        find_set(sets / "points", "points")


@pytest.mark.parametrize("peer", choose_peers(["all"]))
@pytest.mark.parametrize("name", ["points", "notes", "squares"])
def test_every_peer_learns_every_modality(sets: Path, name: str, peer: str) -> None:
    task = load(sets, name, per=25, seed=0)
    answers = fit_peer(peer, task, seed=0)()["shipped"]
    assert np.mean(np.array(answers) == np.array(task.truth)) > 0.9
