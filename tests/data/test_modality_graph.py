"""Graphs as data: reading, mending, hashing, decoding, viewing and showing nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.arrays import Arrays
from leaven.data.checks import check
from leaven.data.dataset import Column, Dataset
from leaven.data.modality import MODALITIES
from leaven.data.splits import split
from leaven.data.views.graph_ops import kept

GRAPH = MODALITIES["graph"]


def written(folder: Path, nodes: str, edges: str) -> Path:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


NODES = "id,age,city,label\na,1.5,Ulm,x\nb,2.5,Bern,y\nc,3.5,Ulm,\nd,4.5,Graz,\n"


def pairs(dataset: Dataset) -> set[tuple[str, str]]:
    """The edges by ids, each pair sorted."""
    assert dataset.edges is not None
    ends = [dataset.ids[dataset.edges[n].to_numpy()] for n in ("source", "target")]
    return {(min(a, b), max(a, b)) for a, b in zip(*ends, strict=True)}


def test_a_folder_of_nodes_and_edges_is_a_graph(tmp_path: Path):
    folder = written(tmp_path, NODES, "source,target\na,b\nb,c\nd,c\n")
    dataset = Dataset.read(folder)
    assert dataset.modality == "graph"
    assert dataset.ids.tolist() == ["a", "b", "c", "d"]
    assert dataset.labels.to_pylist() == ["x", "y", None, None]
    assert [c.name for c in dataset.columns] == ["age", "city"]
    assert pairs(dataset) == {("a", "b"), ("b", "c"), ("c", "d")}
    assert not dataset.findings


def test_parquet_edges_by_number_and_other_names_do(tmp_path: Path):
    pq.write_table(
        pa.table({"node": [10, 20, 30], "size": [1.0, 2.0, 4.0]}), tmp_path / "nodes.parquet"
    )
    (tmp_path / "edges.jsonl").write_text(
        "\n".join(
            json.dumps({"dst": a, "src": b, "weight": w})
            for a, b, w in [(10, 20, 2), (30, 20, 0.5)]
        )
    )
    dataset = Dataset.read(tmp_path, label=False)
    assert dataset.edges is not None
    assert pairs(dataset) == {("10", "20"), ("20", "30")}
    assert dataset.edges["weight"].to_pylist() == [2.0, 0.5]


def test_bad_edges_are_counted_and_told_and_the_rest_serves(tmp_path: Path):
    edges = (
        "source,target,weight\na,b,1\nb,a,1\na,a,1\na,zzz,1\n,b,1\nc,d,-2\nc,d,many\nb,c,3\na,b,1\n"
    )
    dataset = Dataset.read(written(tmp_path, NODES, edges))
    found = {f.name: f.count for f in dataset.findings}
    assert found == {"edges-unknown": 2, "edges-weight": 2, "edges-loop": 1, "edges-repeated": 2}
    assert pairs(dataset) == {("a", "b"), ("b", "c")}
    told = next(f for f in dataset.findings if f.name == "edges-unknown")
    assert told.severity == "warning"
    assert "a – zzz" in told.examples
    assert {f.name for f in check(dataset)} >= set(found)


def test_a_graph_without_a_usable_edge_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no usable edge.*not there: 1"):
        Dataset.read(written(tmp_path, NODES, "source,target\na,zzz\n"))


def test_nodes_without_ids_are_refused(tmp_path: Path):
    folder = written(tmp_path, "age,label\n1,x\n2,y\n", "source,target\n0,1\n")
    with pytest.raises(DataError, match="column of ids.*--id"):
        Dataset.read(folder)


def test_edges_of_one_column_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="two columns, source and target"):
        Dataset.read(written(tmp_path, NODES, "source\na\n"))


def test_a_table_asked_to_be_a_graph_says_what_it_lacks(tmp_path: Path):
    (tmp_path / "some.csv").write_text(NODES)
    dataset = Dataset.read(tmp_path / "some.csv", modality="graph")
    with pytest.raises(DataError, match="nodes and no edges"):
        GRAPH.decode(dataset, GRAPH.describe(dataset))


def test_texts_and_dates_of_nodes_are_left_aside(tmp_path: Path):
    nodes = "id,age,born,label\n" + "".join(f"n{i},{i},2020-01-0{i + 1},\n" for i in range(5))
    dataset = Dataset.read(written(tmp_path, nodes, "source,target\nn0,n1\n"))
    assert [c.name for c in dataset.columns] == ["age"]
    assert "ignored-columns" in {f.name for f in dataset.findings}


# --- an archive of arrays ------------------------------------------------------------------------


def archive(path: Path, **changed: Any) -> str:
    arrays: dict[str, Any] = {
        "edges": np.array([[0, 1, 2], [1, 2, 3]], np.int32),
        "x_indptr": np.array([0, 1, 2, 3, 5]),
        "x_indices": np.array([0, 1, 2, 0, 2]),
        "x_data": np.ones(5, np.float32),
        "x_shape": np.array([4, 3]),
        "y": np.array([0, 1, 0, 1], np.int16),
        "train_idx": np.array([0, 1]),
        "val_idx": np.array([2]),
        "test_idx": np.array([3]),
    }
    arrays |= changed
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return str(path)


def test_an_archive_is_a_graph_whose_other_labels_are_for_the_audit(tmp_path: Path):
    dataset = Dataset.read(archive(tmp_path / "small.npz"))
    assert dataset.labels.to_pylist() == ["0", "1", None, None]
    assert dataset.audited is not None
    assert dataset.audited.tolist() == [-1, -1, 0, 1]
    assert pairs(dataset) == {("0", "1"), ("1", "2"), ("2", "3")}
    assert dataset.records["features"].to_pylist()[3] == [1.0, 0.0, 1.0]
    assert dataset.name == "small"
    blind = Dataset.read(archive(tmp_path / "small.npz"), label=False)
    assert blind.labels.null_count == 4
    assert blind.audited is None
    assert [c.name for c in blind.columns] == [c.name for c in dataset.columns] == ["features"]
    with pytest.raises(UnknownNameError):
        Dataset.read(archive(tmp_path / "small.npz"), label="subject")


def test_an_archive_serves_a_model_made_with_a_table(tmp_path: Path):
    columns = [Column("words", "vector")]
    dataset = Dataset.read(
        archive(tmp_path / "a.npz"), label=False, modality="graph", columns=columns
    )
    assert dataset.records.column_names == ["words"]
    assert len(dataset) == 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x_indptr": np.array([0, 1, 2, 3])}, "x_indptr"),
        ({"x_indptr": np.array([0, 2, 1, 3, 5])}, "x_indptr"),
        ({"x_indices": np.array([0, 1, 2, 0, 3])}, "x_indices"),
        ({"x_indices": np.array([0, 1, 2, 0, -1])}, "x_indices"),
        ({"x_data": np.ones(4)}, "x_data"),
        ({"x_shape": np.array([4, 0])}, "x_shape"),
        ({"x_shape": np.array([1 << 20, 1 << 20])}, "features"),
        ({"y": np.array([0, 1])}, "'y'"),
        ({"train_idx": np.array([0, 9])}, "train_idx"),
        ({"test_idx": np.array([0])}, "both train_idx and test_idx"),
        ({"edges": np.zeros((3, 2), np.int64)}, "edges"),
        ({"edges": np.zeros((2, 3))}, "edges"),
        ({"edges": None}, "lacks edges"),
        ({"y": np.array([0, 1, None, 1], object)}, "cannot be read"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, Any], said: str
):
    with pytest.raises(DataError, match=said):
        Dataset.read(archive(tmp_path / "bad.npz", **changed))


def test_what_is_no_archive_is_refused(tmp_path: Path):
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="cannot be read as a graph"):
        Dataset.read(tmp_path / "bad.npz")


# --- a graph as a dataset ------------------------------------------------------------------------


def made(n: int = 12, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    edges = np.stack([np.arange(n), (np.arange(n) + 1) % n])
    return Dataset.from_arrays(features, [i % 2 if i < 6 else -1 for i in range(n)], edges=edges)


@given(st.permutations(list(range(8))), st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_selecting_keeps_the_edges_within(order: list[int], count: int):
    dataset = made(8)
    chosen = dataset.select(np.array(order[:count]))
    left = {str(i) for i in order[:count]}
    assert pairs(chosen) == {p for p in pairs(dataset) if set(p) <= left}


def test_the_hash_covers_edges_and_not_their_order():
    x, edges = np.eye(4, dtype=np.float32), np.array([[0, 1, 2], [1, 2, 3]])
    one = Dataset.from_arrays(x, [0, 1, -1, -1], edges=edges)
    turned = Dataset.from_arrays(x, [0, 1, -1, -1], edges=edges[::-1, ::-1].copy())
    other = Dataset.from_arrays(x, [0, 1, -1, -1], edges=np.array([[0, 1, 0], [1, 2, 3]]))
    assert one.hash == turned.hash != other.hash
    assert one.select(np.array([3, 1, 0, 2])).hash == one.hash


def test_equal_features_at_two_nodes_are_two_records():
    x = np.full((40, 2), 1.5, np.float32)
    labels = [i % 2 if i < 20 else -1 for i in range(40)]
    dataset = Dataset.from_arrays(x, labels, edges=np.stack([np.arange(39), np.arange(1, 40)]))
    assert len(np.unique(dataset.content)) == 40
    assert len(split(dataset).folds) == 4
    assert not {"duplicates", "conflicting-labels", "check-failed"} & {
        f.name for f in check(dataset)
    }


def test_edges_that_do_not_fit_are_a_setting_error():
    x = np.eye(3, dtype=np.float32)
    with pytest.raises(SettingError, match="edges"):
        Dataset.from_arrays(x, edges=np.zeros((3, 2), np.int64))
    with pytest.raises(SettingError, match="modality"):
        Dataset.from_arrays(x, edges=np.array([[0], [1]]), modality="tabular")


def test_a_node_without_any_value_goes_and_its_edges_are_told(tmp_path: Path):
    nodes = "id,age,city,label\na,1.5,Ulm,x\nb,,,y\nc,3.5,Ulm,\nd,1,Ulm,\n"
    dataset = Dataset.read(written(tmp_path, nodes, "source,target\na,b\nc,d\n"))
    assert dataset.ids.tolist() == ["a", "c", "d"]
    assert dataset.quarantine["reason"].to_pylist() == ["empty record"]
    assert pairs(dataset) == {("c", "d")}
    assert [f.count for f in dataset.findings if f.name == "edges-unknown"] == [1]


# --- decoded -------------------------------------------------------------------------------------


def test_decoding_gives_the_graph_once_and_both_ways(tmp_path: Path):
    folder = written(tmp_path, NODES, "source,target\na,b\nb,c\n")
    dataset = Dataset.read(folder)
    spec = GRAPH.describe(dataset)
    arrays, rejected = GRAPH.decode(dataset, spec)
    assert not rejected
    assert arrays["node"].tolist() == [0, 1, 2, 3]
    dense = np.zeros((4, 4))
    dense[tuple(arrays["@edges"])] = arrays["@strength"]
    expected = np.eye(4)
    for a, b in [(0, 1), (1, 2)]:
        expected[a, b] = expected[b, a] = 1
    np.testing.assert_array_equal(dense, expected)
    assert spec["width"] == 4  # one number and three cities
    assert json.loads(json.dumps(spec)) == spec


def test_numbers_are_standardised_and_missing_ones_usual(tmp_path: Path):
    nodes = "id,a,b\n" + "".join(f"n{i},{i if i != 2 else ''},{10 * i - 20}\n" for i in range(6))
    dataset = Dataset.read(written(tmp_path, nodes, "source,target\nn0,n1\n"), label=False)
    spec = GRAPH.describe(dataset)
    x = dense_features(GRAPH.decode(dataset, spec)[0], 2)
    a = np.array([0.0, 1, 3, 4, 5])
    np.testing.assert_allclose(np.delete(x[:, 0], 2), (a - a.mean()) / a.std(), atol=1e-6)
    assert x[2, 0] == 0
    b = 10.0 * np.arange(6) - 20
    np.testing.assert_allclose(x[:, 1], (b - b.mean()) / b.std(), atol=1e-6)


def test_counts_become_shares_of_their_node(tmp_path: Path):
    x = np.zeros((5, 6), np.float32)
    x[0, [0, 3]], x[1, 5], x[3, 1] = [1, 3], 2, 1
    dataset = Dataset.from_arrays(x, edges=np.array([[0, 1], [1, 2]]))
    spec = GRAPH.describe(dataset)
    assert spec["counts"]
    found = dense_features(GRAPH.decode(dataset, spec)[0], 6)
    np.testing.assert_allclose(found, x / np.maximum(x.sum(1, keepdims=True), 1e-12), atol=1e-7)


def dense_features(arrays: Arrays, width: int) -> np.ndarray[Any, Any]:
    starts = np.append(arrays["@offsets"], len(arrays["@values"]))
    x = np.zeros((len(arrays), width))
    for i in range(len(arrays)):
        own = slice(int(starts[i]), int(starts[i + 1]))
        x[i, arrays["@columns"][own]] = arrays["@values"][own]
    return x


def test_what_records_share_comes_whole_and_is_kept(tmp_path: Path):
    dataset = made()
    arrays, _ = GRAPH.decode(dataset, GRAPH.describe(dataset))
    taken = arrays.take(np.array([4, 2]))
    assert len(taken) == 2
    assert taken["node"].tolist() == [4, 2]
    assert taken["@edges"].shape == arrays["@edges"].shape
    arrays.save(tmp_path / "arrays")
    opened = Arrays.open(tmp_path / "arrays")
    assert opened is not None
    assert opened.shared
    batch = opened.batch(np.array([3]))
    assert batch["node"].tolist() == [3]
    for name in arrays.names:
        np.testing.assert_array_equal(opened[name], arrays[name])
    assert batch["@strength"].data_ptr() == opened.batch(np.array([1]))["@strength"].data_ptr()


def test_a_column_that_is_missing_in_new_nodes_is_told(tmp_path: Path):
    (tmp_path / "one").mkdir()
    dataset = Dataset.read(written(tmp_path / "one", NODES, "source,target\na,b\n"))
    spec = GRAPH.describe(dataset)
    spec["columns"].append({"name": "height", "kind": "numeric", "width": 1})
    with pytest.raises(DataError, match="'height' of the nodes is missing"):
        GRAPH.decode(dataset, spec)


# --- views ---------------------------------------------------------------------------------------


def test_dropped_nodes_have_their_rate_and_keep_the_mean():
    factors = kept(5, 0.3, 20_000, torch.device("cpu"))
    assert factors is not None
    assert set(np.round(factors.unique().tolist(), 5)) == {0.0, round(1 / 0.7, 5)}
    assert abs(float(factors.mean()) - 1) < 0.02
    again = kept(5, 0.3, 20_000, torch.device("cpu"))
    other = kept(6, 0.3, 20_000, torch.device("cpu"))
    assert again is not None
    assert other is not None
    assert torch.equal(factors, again)
    assert not torch.equal(factors, other)
    assert kept(0, 0.3, 5, torch.device("cpu")) is None


# --- shown ---------------------------------------------------------------------------------------


def test_a_node_is_shown_by_neighbours_their_labels_and_features(tmp_path: Path):
    dataset = Dataset.read(written(tmp_path, NODES, "source,target\na,b\nb,c\nd,b\n"))
    shown = GRAPH.show(dataset, 1)
    cells = {cell["name"]: cell["value"] for cell in shown["cells"]}
    assert cells == {"neighbours": "3 (x 1)", "age": "2.5", "city=Bern": "1"}
