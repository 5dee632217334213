"""Vectors: widths, holes, and views at their told strength."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import torch

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES

Make = Callable[..., Dataset]
embedding = MODALITIES["embedding"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), 3),
        pa.list_(pa.float64()),
        pa.large_list(pa.float64()),
        pa.list_(pa.int32(), 3),
    ],
    ids=str,
)
def test_any_storage_of_vectors(make_dataset: Make, kind: pa.DataType) -> None:
    rows = [[1, 2, 3], [4, 5, 6], None, [7, 8, 9]]
    chunks = pa.chunked_array([pa.array(rows[:1], kind), pa.array(rows[1:], kind)])
    data = make_dataset("embedding", v=("vector", chunks))
    spec = embedding.describe(data)
    assert spec == {"column": "v", "width": 3}
    arrays, rejected = embedding.decode(data, spec)
    assert arrays["features"].dtype == np.float32
    assert arrays["features"].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0], [7, 8, 9]]
    assert [(i, reason) for i, reason, _ in rejected] == [(2, "missing vector")]


def test_unusable_vectors_are_rejected_with_their_reason(make_dataset: Make) -> None:
    rows = [[1, 2], [1], [1, float("nan")], [float("-inf"), 1], [None, 1], [], [1e300, 0], [3, 4]]
    data = make_dataset("embedding", v=("vector", pa.array(rows, pa.list_(pa.float64()))))
    arrays, rejected = embedding.decode(data, embedding.describe(data))
    assert {i: reason for i, reason, _ in rejected} == {
        1: "wrong width",
        2: "not finite",
        3: "not finite",
        4: "not finite",
        5: "wrong width",
        6: "not finite",
    }
    assert np.isfinite(arrays["features"]).all()
    assert arrays["features"][[0, 7]].tolist() == [[1, 2], [3, 4]]


def test_a_sliced_dataset_keeps_its_rows(make_dataset: Make) -> None:
    values = pa.array([[i, i] for i in range(6)], pa.list_(pa.float32(), 2))
    data = make_dataset("embedding", v=("vector", values.slice(2)))
    arrays, _ = embedding.decode(data, embedding.describe(data))
    assert arrays["features"][:, 0].tolist() == [2, 3, 4, 5]


def test_views(make_dataset: Make) -> None:
    values = np.random.default_rng(0).normal(3, [1, 10] * 20, (2000, 40)).astype(np.float32)
    kind = pa.list_(pa.float32(), 40)
    data = make_dataset("embedding", v=("vector", pa.array(list(values), kind)))
    spec = embedding.describe(data)
    batch = embedding.decode(data, spec)[0].batch(np.arange(2000))
    features = batch["features"]
    assert torch.equal(embedding.plain(batch)["features"], features)
    spread = (embedding.weak(batch, spec, rng())["features"] - features).std(0) / features.std(0)
    assert (spread - 0.1).abs().max() < 0.01
    strong = embedding.strong(batch, spec, rng())["features"]
    repeated = torch.stack([(strong[:, j] == strong[:, j].mode().values) for j in range(40)], 1)
    assert abs(repeated.float().mean().item() - 0.35) < 0.02


def test_show(make_dataset: Make) -> None:
    data = make_dataset("embedding", v=("vector", [[0.123456] * 20, None]))
    value = embedding.show(data, 0)["cells"][0]["value"]
    assert value.startswith("0.1235, 0.1235")
    assert value.endswith("… (20 numbers)")
    assert embedding.show(data, 1)["cells"] == [{"name": "v", "value": "—"}]


def test_errors_say_what_to_do(make_dataset: Make) -> None:
    with pytest.raises(DataError, match=r"The columns are: a \(numeric\)"):
        embedding.describe(make_dataset("embedding", a=("numeric", [1])))
    with pytest.raises(DataError, match="holds no vectors"):
        nothing = pa.array([None, None], pa.list_(pa.float32()))
        embedding.describe(make_dataset("embedding", v=("vector", nothing)))
    with pytest.raises(DataError, match="lists of numbers. Got string"):
        embedding.describe(make_dataset("embedding", v=("vector", ["1 2"])))
    with pytest.raises(DataError, match="lists of numbers"):
        words = make_dataset("embedding", v=("vector", [["a", "b"]]))
        embedding.decode(words, {"column": "v", "width": 2})
    with pytest.raises(DataError, match="'w' is missing. The columns are: v"):
        found = make_dataset("embedding", v=("vector", [[1.0]]))
        embedding.decode(found, {"column": "w", "width": 1})
