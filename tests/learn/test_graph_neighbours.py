"""Neighbours in cells: recall, copies by the thousand, files, and how far threads matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.learn.graphs import cells as cells_module
from leaven.learn.graphs import neighbours
from leaven.learn.graphs.cells import cells
from leaven.learn.graphs.neighbours import nearest, nearest_in_order, recall
from leaven.learn.graphs.weights import affinity

Floats = npt.NDArray[np.float32]


def clouds(n: int, width: int = 64, inner: int = 8, clusters: int = 20, seed: int = 0) -> Floats:
    """A random image of a mixture in `inner` dimensions, and some noise."""
    rng = np.random.default_rng(seed)
    centre = 3 * rng.normal(size=(clusters, inner))
    within = centre[rng.integers(clusters, size=n)] + rng.normal(size=(n, inner))
    image = within @ rng.normal(size=(inner, width)) / np.sqrt(inner)
    return (image + 0.1 * rng.normal(size=(n, width))).astype(np.float32)


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that some thousands of records are many."""
    monkeypatch.setattr(neighbours, "_CANDIDATES", 600)
    monkeypatch.setattr(neighbours, "_CELL", 40)


def true_neighbours(features: Floats, rows: npt.NDArray[np.int64], k: int) -> list[set[int]]:
    """By all distances in float64."""
    found = []
    for row in rows:
        far = ((features.astype(np.float64) - features[row]) ** 2).sum(1)
        far[row] = np.inf
        found.append(set(np.argsort(far)[:k].tolist()))
    return found


@pytest.mark.usefixtures("few_candidates")
def test_most_of_the_true_neighbours_are_found_in_cells():
    features = clouds(6000, clusters=5)
    position, distance = nearest(features, 10, exact=0)
    assert position.dtype == np.int32
    rows = np.arange(0, 6000, 60)
    true = true_neighbours(features, rows, 10)
    hits = [len(true[i] & set(position[row].tolist())) / 10 for i, row in enumerate(rows)]
    assert 0.9 < np.mean(hits) < 1, "a tenth of the records is compared, and not all are found"
    assert recall(features, position, 6000) == pytest.approx(np.mean(hits), abs=0.03)
    far = ((features[:, None] - features[position]) ** 2).sum(-1)
    np.testing.assert_allclose(distance, far, rtol=1e-4, atol=1e-5)
    assert (np.diff(distance, axis=1) >= 0).all(), "nearest first"


def test_recall_counts_what_is_found():
    features = clouds(300)
    position, _ = nearest(features, 8)
    assert recall(features, position) == 1
    wrong = position.copy()
    wrong[:, 5:] = np.arange(300)[:, None]  # itself is no neighbour
    assert recall(features, wrong) == pytest.approx(5 / 8)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 400),
    k=st.integers(1, 12),
    distinct=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_whatever_the_records_neighbours_are_others(n: int, k: int, distinct: int, seed: int):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(distinct, 3)).astype(np.float32)[rng.integers(distinct, size=n)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CANDIDATES", 60)
        patch.setattr(neighbours, "_CELL", 10)
        order, position, distance = nearest_in_order(features, k, seed, exact=0)
    assert sorted(order.tolist()) == list(range(n))
    assert position.shape == distance.shape == (n, min(k, n - 1))
    assert np.isfinite(distance).all()
    for row, near in enumerate(position):
        assert row not in near
        assert len(set(near.tolist())) == len(near)
    graph, _ = affinity(position, distance)
    assert np.isfinite(graph.data).all()


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize("spoilt", ["all equal", "half equal", "one far away"])
def test_copies_by_the_thousand_are_neighbours_of_each_other(spoilt: str):
    features = clouds(4000, width=8, inner=4)
    if spoilt == "all equal":
        features[:] = 1.5
    if spoilt == "half equal":
        features[::2] = features[0]
    if spoilt == "one far away":
        features[7] = 1e7
    position, distance = nearest(features, 6, exact=0)
    assert np.isfinite(distance).all()
    assert not (position == np.arange(4000)[:, None]).any()
    if spoilt != "one far away":
        copies = np.arange(4000) if spoilt == "all equal" else np.arange(0, 4000, 2)
        assert (distance[copies] == 0).all()
        assert np.isin(position[copies], copies).all()
    else:
        others = np.delete(np.arange(4000), 7)
        assert (position[others] != 7).all()


@pytest.mark.parametrize("copies", [0, 900, 1000])
def test_cells_hold_every_record_once_and_are_small(copies: int):
    features = clouds(1000, width=5, inner=3)
    features[:copies] = features[0]
    found = cells(features, 20, seed=0)
    assert sorted(np.concatenate(found).tolist()) == list(range(1000))
    assert max(len(rows) for rows in found) <= 30


@pytest.mark.usefixtures("few_candidates")
def test_one_seed_one_answer_on_any_number_of_threads():
    features = clouds(3000, seed=1)
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(nearest(features, 7, seed=4, exact=0))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    for position, distance in found[1:]:
        np.testing.assert_array_equal(position, found[0][0])
        np.testing.assert_array_equal(distance, found[0][1])
    other, _ = nearest(features, 7, seed=5, exact=0)
    assert (other != found[0][0]).any(), "the seed draws the cells"


class Watched(np.memmap):  # type: ignore[type-arg]
    """A file that remembers how many records were read at once."""

    most = 0

    def __getitem__(self, index: Any) -> Any:
        read = np.asarray(super().__getitem__(index))
        Watched.most = max(Watched.most, len(read) if read.ndim == 2 else 0)
        return read

    def take(self, index: Any, axis: Any = None, **options: Any) -> Any:
        read = np.asarray(super().take(index, axis, **options))
        Watched.most = max(Watched.most, len(read))
        return read


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize("exact", [0, 10_000])
def test_a_file_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: int):
    monkeypatch.setattr(cells_module, "_BLOCK", 500)
    monkeypatch.setattr(cells_module, "_SAMPLE", 10)
    monkeypatch.setattr(neighbours, "_BLOCK", 500)
    features = clouds(5000, width=16)
    features.tofile(tmp_path / "features")
    mapped = Watched(tmp_path / "features", np.float32, "r", shape=features.shape)
    Watched.most = 0
    position, distance = nearest(mapped, 5, exact=exact)
    assert 400 < Watched.most <= 1024
    inner, apart = nearest(features, 5, exact=exact)
    np.testing.assert_array_equal(position, inner)
    np.testing.assert_array_equal(distance, apart)


@pytest.mark.usefixtures("few_candidates")
def test_the_order_of_the_cells_brings_near_records_together():
    features = clouds(4000)
    order, position, distance = nearest_in_order(features, 5, exact=0)
    plain, far = nearest(features, 5, exact=0)
    np.testing.assert_array_equal(order[position], plain[order])
    np.testing.assert_array_equal(distance, far[order])
    step = np.abs(position - np.arange(4000)[:, None])
    assert np.median(step) < 300 < np.median(np.abs(plain - np.arange(4000)[:, None]))
