"""Series come in by many ways, and are the same records by all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import DataError, LeavenError, SettingError
from leaven.data.dataset import Column, Dataset
from leaven.data.series import packed, parsed, read_series, tidied, unpacked

LABELS = ["1", "2", "1", "2", "1", "2"]


def some_series(channels: int = 1) -> np.ndarray:
    """(6, channels, 5) float32, one value missing."""
    values = np.random.default_rng(0).normal(size=(6, channels, 5)).astype(np.float32)
    values[0, 0, 1] = np.nan
    return values


def as_lists(record: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(v) else float(v) for v in channel] for channel in record]


def as_text(value: float, missing: str = "") -> str:
    return missing if np.isnan(value) else repr(float(value))


def _jsonl(folder: Path, series: np.ndarray) -> Dataset:
    lines = [
        json.dumps({"values": as_lists(one), "label": y})
        for one, y in zip(series, LABELS, strict=True)
    ]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return Dataset.read(folder / "a.jsonl")


def _flat_jsonl(folder: Path, series: np.ndarray) -> Dataset:
    lines = [
        json.dumps({"values": as_lists(one)[0], "label": y})
        for one, y in zip(series, LABELS, strict=True)
    ]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return Dataset.read(folder / "a.jsonl", modality="series")


def _parquet(folder: Path, series: np.ndarray) -> Dataset:
    table = pa.table({"values": [as_lists(one) for one in series], "label": LABELS})
    pq.write_table(table, folder / "a.parquet")
    return Dataset.read(folder / "a.parquet")


def _wide(folder: Path, series: np.ndarray) -> Dataset:
    lines = ["label," + ",".join(f"step{i}" for i in range(5))]
    lines += [",".join([y, *map(as_text, one[0])]) for one, y in zip(series, LABELS, strict=True)]
    (folder / "a.csv").write_text("\n".join(lines))
    return Dataset.read(folder / "a.csv", modality="series")


def _long(folder: Path, series: np.ndarray) -> Dataset:
    names = [f"c{i}" for i in range(series.shape[1])]
    lines = [
        ",".join([f"s{place}", str(step), *map(as_text, one[:, step]), y])
        for place, (one, y) in enumerate(zip(series, LABELS, strict=True))
        for step in range(5)
    ]
    np.random.default_rng(1).shuffle(lines)
    (folder / "a.csv").write_text("\n".join([",".join(["sid", "t", *names, "label"]), *lines]))
    return Dataset.read(folder / "a.csv", modality="series", id="sid", time="t")


def _headless(folder: Path, series: np.ndarray) -> Dataset:
    lines = [
        "\t".join([y, *(as_text(v, "NaN") for v in one[0])])
        for one, y in zip(series, LABELS, strict=True)
    ]
    (folder / "a.tsv").write_text("\n".join(lines))
    return Dataset.read(folder / "a.tsv", modality="series")


def _ts(folder: Path, series: np.ndarray) -> Dataset:
    head = "# notes\n@problemName made\n@timeStamps false\n@classLabel true 1 2\n@data\n"
    lines = [
        ":".join([*(",".join(as_text(v, "?") for v in c) for c in one), y])
        for one, y in zip(series, LABELS, strict=True)
    ]
    (folder / "a.ts").write_text(head + "\n".join(lines))
    return Dataset.read(folder / "a.ts")


@pytest.mark.parametrize(
    ("way", "channels"),
    [
        (_jsonl, 1), (_jsonl, 3), (_flat_jsonl, 1), (_parquet, 1), (_parquet, 3), (_wide, 1),
        (_long, 1), (_long, 3), (_headless, 1), (_ts, 1), (_ts, 3),
    ],
)  # fmt: skip
def test_same_series_by_every_way(
    tmp_path: Path, way: Callable[[Path, np.ndarray], Dataset], channels: int
):
    series = some_series(channels)
    wanted = Dataset.from_arrays(series, LABELS, modality="series")
    found = way(tmp_path, series)
    assert found.modality == "series"
    assert [c.kind for c in found.columns] == ["series"]
    assert dict(zip(found.content, found.labels.to_pylist(), strict=True)) == dict(
        zip(wanted.content, LABELS, strict=True)
    )
    assert found.hash == wanted.hash


def test_arrays_of_three_forms_are_the_same_records():
    series = some_series()
    whole = Dataset.from_arrays(series, modality="series")
    for same in (series[:, 0], list(series), [one.tolist() for one in series.astype(float)]):
        assert Dataset.from_arrays(same, modality="series").hash == whole.hash


def test_padding_with_missing_values_is_no_part_of_a_series():
    short = [np.arange(3.0), np.arange(5.0)]
    padded = np.array([[0, 1, 2, np.nan, np.nan], [0, 1, 2, 3, 4]])
    one, other = (Dataset.from_arrays(x, modality="series") for x in (short, padded))
    assert one.hash == other.hash


def test_lists_of_one_length_stay_vectors_unless_asked(tmp_path: Path):
    lines = [json.dumps({"v": [i, i + 1, 2.5], "label": y}) for i, y in enumerate(LABELS)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert Dataset.read(tmp_path / "a.jsonl").modality == "embedding"
    assert Dataset.read(tmp_path / "a.jsonl", modality="series").modality == "series"
    lines[0] = json.dumps({"v": [1, 2], "label": "1"})
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert Dataset.read(tmp_path / "a.jsonl").modality == "series"


def test_parquet_lists_of_several_lengths_are_series(tmp_path: Path):
    table = pa.table({"v": [[1.0, 2.0], [1.0], [3.0, None, 4.0]], "label": ["a", "b", "a"]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = Dataset.read(tmp_path / "a.parquet")
    assert found.modality == "series"
    assert found.records["v"].to_pylist() == [[[1.0, 2.0]], [[1.0]], [[3.0, None, 4.0]]]


def test_bad_records_are_refused_with_reasons(tmp_path: Path):
    good = [json.dumps({"v": [1.5] * (2 + i), "label": "a"}) for i in range(40)]
    bad = [[1, "x"], [None, None], None, [[1, [2]]]]
    lines = good + [json.dumps({"v": value, "label": "a"}) for value in bad]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    for modality in (None, "series"):
        found = Dataset.read(tmp_path / "a.jsonl", modality=modality)
        assert len(found) == 40
        told = [(r["row"], r["reason"]) for r in found.quarantine.to_pylist()]
        assert told == [
            (41, "not numbers"), (42, "no value"), (43, "missing series"), (44, "not numbers"),
        ]  # fmt: skip


def test_wide_tables_refuse_text_and_leave_columns_of_words(tmp_path: Path):
    lines = ["label,place,a,b,c"] + [f"x,here,{i},{i},{i}" for i in range(20)]
    lines += ["x,here,1,oops,2", "x,there,,,"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = Dataset.read(tmp_path / "a.csv", modality="series")
    assert len(found) == 20
    reasons = found.quarantine.to_pylist()
    assert [(r["row"], r["reason"]) for r in reasons] == [(21, "not numbers"), (22, "no value")]
    assert "'oops'" in reasons[0]["detail"]
    left = next(f for f in found.findings if f.name == "ignored-columns")
    assert left.examples == ("place",)


def test_long_tables_refuse_several_labels_and_steps_without_an_id(tmp_path: Path):
    lines = ["sid,v,label", "a,1,x", "a,2,x", "b,1,x", "b,2,y", ",3,x", "c,4,", "c,5,"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = Dataset.read(tmp_path / "a.csv", modality="series", id="sid")
    assert found.records["series"].to_pylist() == [[[1.0, 2.0]], [[4.0, 5.0]]]
    assert found.ids.tolist() == ["a", "c"]
    assert found.labels.to_pylist() == ["x", None]
    assert {r["reason"] for r in found.quarantine.to_pylist()} == {"several labels", "missing id"}


def test_long_tables_are_ordered_by_dates(tmp_path: Path):
    lines = ["sid,day,v,label", "a,2024-01-10,2,x", "a,2024-01-09,1,x", "a,2024-02-01,3,x"]
    lines += ["b,2024-01-01,7,y"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = Dataset.read(tmp_path / "a.csv", modality="series", id="sid", time="day")
    assert found.records["series"].to_pylist() == [[[1.0, 2.0, 3.0]], [[7.0]]]


def test_time_that_is_no_time_is_told(tmp_path: Path):
    (tmp_path / "a.csv").write_text("sid,day,v,label\na,soon,2,x\na,late,1,x\nb,now,1,y\n")
    with pytest.raises(SettingError, match="time"):
        Dataset.read(tmp_path / "a.csv", modality="series", id="sid", time="day")


def test_new_tables_are_read_as_the_first_was(tmp_path: Path):
    series = some_series()
    (tmp_path / "a.csv").write_text(
        "p,q,r,s,t\n" + "\n".join(",".join(map(as_text, one[0])) for one in series)
    )
    found = Dataset.read(
        tmp_path / "a.csv", label=False, modality="series", columns=[Column("curve", "series")]
    )
    assert found.content.tolist() == Dataset.from_arrays(series, modality="series").content.tolist()
    assert found.columns == (Column("curve", "series"),)


@pytest.mark.parametrize(
    ("content", "match"),
    [("1,2,3:a\n", "@data"), ("@timestamps true\n@data\n(0,1):a\n", "time stamps")],
)
def test_broken_ts_is_told(tmp_path: Path, content: str, match: str):
    (tmp_path / "a.ts").write_text(content)
    with pytest.raises(DataError, match=match):
        Dataset.read(tmp_path / "a.ts")


def test_ts_refuses_lines_and_reads_uneven_channels(tmp_path: Path):
    lines = "@classLabel true a b\n@data\n1,2,3:4,5:a\n1,x:3,4:b\n?,?:?:b\n7:8:?\n"
    (tmp_path / "a.ts").write_text(lines)
    found = Dataset.read(tmp_path / "a.ts")
    assert found.records["series"].to_pylist() == [
        [[1.0, 2.0, 3.0], [4.0, 5.0, None]],
        [[7.0], [8.0]],
    ]
    assert found.labels.to_pylist() == ["a", None]
    told = [(r["row"], r["reason"]) for r in found.quarantine.to_pylist()]
    assert told == [(4, "not numbers"), (5, "no value")]


def test_table_without_numbers_is_told(tmp_path: Path):
    (tmp_path / "a.csv").write_text("label,word\nx,yes\ny,no\n")
    with pytest.raises(DataError, match="No column holds numbers"):
        Dataset.read(tmp_path / "a.csv", modality="series")


def test_arrays_that_are_no_series_are_told():
    for wrong in (np.zeros((2, 1, 3, 4)), [["a", "b"]], []):
        with pytest.raises(LeavenError):
            Dataset.from_arrays(wrong, modality="series")


_VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-9, 9))
_RECORDS = st.lists(st.lists(st.lists(_VALUES, max_size=5), min_size=1, max_size=3), max_size=6)


@given(_RECORDS)
def test_what_is_packed_is_unpacked(records: list[list[list[float | None]]]):
    tidy = [parsed(record) for record in records]
    again = list(unpacked(packed(tidy)))
    for one, other in zip(tidy, again, strict=True):
        assert other is not None
        np.testing.assert_array_equal(one, other)


@given(_RECORDS)
def test_json_and_arrow_lists_are_read_alike(records: list[list[list[float | None]]]):
    text = pa.array([json.dumps(record) for record in records], pa.string())
    lists = pa.array(records, pa.large_list(pa.list_(pa.float64())))
    one, why = read_series(text)
    other, again = read_series(lists)
    assert one.equals(other)
    assert why.keys() == again.keys()


def test_tidied_is_idempotent_and_knows_no_infinity():
    once = tidied([[np.inf, 1.0, -0.0, np.nan]])
    np.testing.assert_array_equal(once, [[np.nan, 1.0, 0.0]])
    np.testing.assert_array_equal(tidied(once), once)
