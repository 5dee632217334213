"""What a column is: label, id, time, audit or feature, and which kind; and arrays instead."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.dataset import Column, Dataset
from tests.data.reading_parts import SENTENCES, names, reasons, texts, write


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["1", "-1", "2.0", "nan"], ["1", None, "2", None]),
        ([" spam ", "", "None", "-1"], ["spam", None, None, "-1"]),
        (["1.5", "2", "-1", "null"], ["1.5", "2", "-1", None]),
        (["True", "false", "NaN", "x"], ["True", "false", None, "x"]),
        (["True", "false", "", "TRUE"], ["true", "false", None, "true"]),
        (["none", "N/A", "NA", "a"], ["none", "N/A", "NA", "a"]),
    ],
)
def test_labels_are_cleaned(given: list[str], wanted: list[str | None]) -> None:
    assert Dataset.from_arrays(np.eye(4), given).labels.to_pylist() == wanted


def test_label_roles(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "x,Intent,kind\n1,a,k\n2,b,l\n3,a,l\n")
    assert Dataset.read(path).classes == ("a", "b")
    assert Dataset.read(path, label="kind").classes == ("k", "l")
    blind = Dataset.read(path, label=False)
    assert [c.name for c in blind.columns] == ["x", "kind"]
    assert not len(blind.labelled)
    with pytest.raises(UnknownNameError, match="Did you mean 'kind'"):
        Dataset.read(path, label="kidn")
    with pytest.raises(DataError, match="lists"):
        Dataset.from_frame(pl.DataFrame({"x": [1, 2], "label": [["a"], ["b"]]}))


def test_the_label_by_another_name_is_no_feature() -> None:
    table = pa.table({"text": SENTENCES, "label": [0, 1, 2] * 4, "label_name": ["a", "b", "c"] * 4})
    dataset = Dataset.from_frame(table, label="label_name")
    assert dataset.modality == "text"
    assert "label-columns" in names(dataset)


def test_ids() -> None:
    own = Dataset.from_frame(pa.table({"id": [7, 8], "x": [1.0, 2.0], "y": ["a", "b"]}))
    assert own.ids.tolist() == ["7", "8"]
    assert [c.name for c in own.columns] == ["x"]
    odd = Dataset.from_frame(
        pa.table({"key": ["k", "k", None, "k-2"], "x": [1, 2, 3, 4], "y": [1, 1, 2, 2]}), id="key"
    )
    assert len(set(odd.ids)) == 4
    assert {"k", "k-2", "k-3"} < set(odd.ids.tolist())
    assert "ids" in names(odd)
    content = Dataset.from_arrays([[1.0], [1.0], [2.0]], ["b", "a", "a"])
    short = content.content[0][:16]
    assert content.ids.tolist()[:2] == [f"{short}-2", short]
    dropped = Dataset.from_frame(pa.table({"user_id": ["u", "v"], "x": [1, 2], "y": [0, 1]}))
    assert [c.name for c in dropped.columns] == ["x"]
    assert "id-columns" in names(dropped)


def test_time_must_be_a_time() -> None:
    table = pa.table({"x": [1, 2, 3], "when": ["2020-01-02", "2021-05-06T07:08:09Z", None],
                      "word": ["a", "b", "c"], "y": [0, 1, 0]})  # fmt: skip
    meta = Dataset.from_frame(table, time="when").meta
    assert meta is not None
    assert [str(t) for t in meta["time"].to_pylist()] == [
        "2020-01-02 00:00:00",
        "2021-05-06 07:08:09",
        "None",
    ]
    with pytest.raises(SettingError, match="word"):
        Dataset.from_frame(table, time="word")


def test_an_audit_column_is_kept_aside(frame: pd.DataFrame) -> None:
    """True labels of unlabelled records: no feature, no part of content, hash, ids or classes."""
    plain = pd.DataFrame(frame.drop(columns="label")).assign(label=["yes", "no"] * 5 + [None] * 30)
    truth = ["no"] * 10 + [" yes "] * 10 + ["maybe"] * 3 + [None] * 17
    dataset = Dataset.from_frame(plain.assign(truth=truth), audit="truth")
    other = Dataset.from_frame(plain)
    assert dataset.columns == other.columns
    assert dataset.hash == other.hash
    assert dataset.ids.tolist() == other.ids.tolist()
    assert dataset.classes == ("no", "yes")
    assert other.audited is None
    assert dataset.audited is not None
    wanted = [-1] * 10 + [1] * 10 + [2] * 3 + [-1] * 17
    assert dataset.audited.tolist() == wanted
    taken = dataset.select(np.arange(39, -1, -1)).audited
    assert taken is not None
    assert taken.tolist() == wanted[::-1]
    (finding,) = [f for f in dataset.findings if f.name == "audit-unknown-labels"]
    assert finding.message.startswith("3 of 13 audited records")
    assert finding.examples == ("maybe",)
    # A usual name of labels, and one that says what the label says, are no hindrance.
    again = Dataset.from_frame(plain.assign(target=truth), audit="target")
    assert again.columns == other.columns
    assert again.audited is not None
    assert again.audited.tolist() == wanted


def test_an_audit_column_that_is_not_there_or_something_else_is_refused(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'city'"):
        Dataset.from_frame(frame, audit="citty")
    for role in ("label", "id", "group"):
        with pytest.raises(SettingError, match="neither label, id, group nor time"):
            Dataset.from_frame(frame, **{"label": "label", role: "city"}, audit="city")
    empty = Dataset.from_frame(frame.assign(truth=None), audit="truth")
    assert "audit-empty" in names(empty)
    folder = tmp_path / "files"
    for i in range(4):
        write(folder / f"{i}.txt", SENTENCES[i])
    write(folder / "labels.csv", "file,label,truth\n0.txt,a,\n1.txt,b,\n2.txt,,a\n")
    kept = Dataset.read(folder, audit="truth")
    assert kept.audited is not None
    assert kept.audited.tolist() == [-1, -1, 0, -1]
    for role in ("audit", "group"):
        with pytest.raises(UnknownNameError, match="Did you mean 'truth'"):
            Dataset.read(folder, **{role: "trut"})


def test_arrays_bring_their_audit(tmp_path: Path) -> None:
    dataset = Dataset.from_arrays(np.eye(6), [0, 1, -1, -1, -1, -1], audit=[1, 1, 0, 1, 7, -1])
    assert dataset.audited is not None
    assert dataset.audited.tolist() == [-1, -1, 0, 1, 2, -1]
    with pytest.raises(SettingError, match="as long as X, 6"):
        Dataset.from_arrays(np.eye(6), audit=[1])


def test_kinds_and_slips(tmp_path: Path) -> None:
    n = 40
    table = {
        "number": [*map(str, range(n - 4)), "?", "N/A", "oops", "+7"],
        "code": ["a1", "b2"] * (n // 2),
        "flag": ["True", "FALSE"] * (n // 2),
        "day": ["2024-02-29", "2024-01-31 10:20"] * (n // 2),
        "nodate": ["2024-02-31", "2024-01-31"] * (n // 2),
        "words": [f"{SENTENCES[i % 12]} {i}" for i in range(n)],
        "vector": [json.dumps([i, 0.5]) for i in range(n)],
        "label": ["x", "y"] * (n // 2),
    }
    path = tmp_path / "d.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    dataset = Dataset.read(path)
    kinds = {c.name: c.kind for c in dataset.columns}
    assert kinds == {
        "number": "numeric", "code": "categorical", "flag": "boolean", "day": "datetime",
        "nodate": "categorical", "words": "text",
    }  # fmt: skip
    slip = next(f for f in dataset.findings if f.name == "unreadable-cells")
    assert (slip.count, slip.examples) == (1, ("oops",))
    assert dataset.records["number"].null_count == 3
    assert dataset.records["number"][-1].as_py() == 7
    vectors = Dataset.read(path, modality="embedding")
    assert vectors.records["vector"].type == pa.list_(pa.float32(), 2)
    longest = Dataset.read(path, modality="text")
    assert [c.name for c in longest.columns] == ["words"]
    with pytest.raises(SettingError, match="words \\(text\\)"):
        Dataset.read(path, modality="image")


def test_known_columns_are_kept_for_later_data(tmp_path: Path) -> None:
    columns = (Column("age", "numeric"), Column("city", "categorical"))
    path = write(tmp_path / "d.csv", "age,color,user_id\nold,red,1\n7,red,2\n")
    dataset = Dataset.read(path, label=False, columns=columns)
    assert dataset.columns == columns
    assert dataset.records.to_pylist() == [{"age": 7.0, "city": None}]
    assert reasons(dataset) == ["empty record"]


def test_arrays_of_every_shape() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (4, 6, 5), dtype=np.uint8)
    colour = rng.integers(0, 255, (4, 6, 5, 3), dtype=np.uint8)
    hashes = set()
    for images in (colour, np.moveaxis(colour, -1, 1)):
        dataset = Dataset.from_arrays(images, [0, 1, -1, -1])
        assert (dataset.modality, len(dataset.labelled)) == ("image", 2)
        shown = Image.open(io.BytesIO(dataset.records["image"][0].as_py()))
        np.testing.assert_array_equal(np.asarray(shown), colour[0])
        hashes.add(dataset.hash)
    assert len(hashes) == 1
    assert Dataset.from_arrays(grey).hash == Dataset.from_arrays(grey[..., None]).hash
    assert Dataset.from_arrays(rng.normal(size=(4, 3))).columns[2] == Column("x2", "numeric")
    vectors = Dataset.from_arrays(rng.normal(size=(4, 3)), modality="embedding")
    assert vectors.columns == (Column("features", "vector"),)
    text = Dataset.from_arrays(["short", None, "third"], ["a", None, float("nan")])
    assert (text.modality, texts(text), len(text.labelled)) == ("text", ["short", "third"], 1)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.zeros(3), None),
        (np.zeros((2, 3, 4)), None),
        (np.zeros((2, 9, 8, 7), np.uint8), None),
        (np.zeros((0, 3)), None),
        (np.zeros((2, 3)), [1]),
        (np.zeros((2, 3)), [[1], [2]]),
        ([object(), object()], None),
    ],
)
def test_odd_arrays_are_refused(X: object, y: object) -> None:
    with pytest.raises(SettingError):
        Dataset.from_arrays(X, y)
