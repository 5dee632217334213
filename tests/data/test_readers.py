"""Tables in files and memory: what comes in, what is refused, and that nothing is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.raw import ROW, SOURCE, Spool
from leaven.data.readers.delimited import read_delimited
from tests.data.reading_parts import SENTENCES, names, reasons, texts, write


def save(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, date_format="iso", double_precision=15)
    elif path.suffix == ".json":
        frame.to_json(path, orient="records", date_format="iso", double_precision=15)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.tsv", "d.parquet", "d.jsonl", "d.json"])
def test_every_format_and_memory_give_the_same_hash(
    frame: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    memory = Dataset.from_frame(frame)
    assert [c.kind for c in memory.columns] == [
        "numeric", "numeric", "categorical", "boolean", "datetime",
    ]  # fmt: skip
    shuffled = frame.sample(frac=1, random_state=1)[frame.columns[::-1]]
    read = Dataset.read(save(shuffled, tmp_path / name))
    assert read.hash == memory.hash
    assert sorted(read.ids) == sorted(memory.ids)
    assert read.columns[::-1] == memory.columns
    assert len(read.unlabelled) == frame["label"].isna().sum()


def test_float32_counts_by_its_own_digits(tmp_path: Path) -> None:
    table = pa.table(
        {"x": pa.array([0.1, 0.7, None], pa.float32()), "label": [1, 0, 1], "z": [1, 2, 3]}
    )
    pq.write_table(table, tmp_path / "d.parquet")
    path = write(tmp_path / "d.csv", "x,label,z\n0.1,1.0,1\n0.70,0,2.0\n,1,3\n")
    assert Dataset.read(tmp_path / "d.parquet").hash == Dataset.read(path).hash


def test_frames_of_every_make_agree(frame: pd.DataFrame) -> None:
    hashes = {
        Dataset.from_frame(kind).hash
        for kind in (frame, pl.from_pandas(frame), pl.from_pandas(frame).lazy(),
                     pa.Table.from_pandas(frame), frame.astype({"city": "category"}))
    }  # fmt: skip
    assert len(hashes) == 1
    with pytest.raises(SettingError, match="frame"):
        Dataset.from_frame([1, 2])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["text", "label"],
        *([f'"{s}, a; b | c"', "ab"[i % 2]] for i, s in enumerate(SENTENCES)),
    ]
    path = write(tmp_path / "d.csv", "\n".join(delimiter.join(row) for row in rows))
    assert texts(Dataset.read(path))[0] == f"{SENTENCES[0]}, a; b | c"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ending: str) -> None:
    lines = ["text,label", *(f"{s} – été,x" for s in SENTENCES)]
    dataset = Dataset.read(write(tmp_path / "d.csv", ending.join(lines).encode(encoding)))
    assert texts(dataset) == [f"{s} – été" for s in SENTENCES]
    assert not names(dataset)


def test_lines_in_another_encoding_are_mended_one_by_one(tmp_path: Path) -> None:
    lines = [
        b"text,label",
        "Zürich is a fine old town,a".encode(),
        "Café “Römer” in Köln,b".encode("cp1252"),
        b"odd \x81 byte in here,b",
    ]
    dataset = Dataset.read(write(tmp_path / "d.csv", b"\n".join(lines)))
    assert texts(dataset)[:2] == ["Zürich is a fine old town", "Café “Römer” in Köln"]
    found = next(f for f in dataset.findings if f.name == "encoding")
    assert found.count == 2
    assert found.examples[0] == "d.csv line 3"


def test_ragged_rows_are_refused_with_their_numbers(tmp_path: Path) -> None:
    good = [f"{s},x" for s in SENTENCES]
    lines = ["text,label", good[0], "only one", "", good[1], "a,b,c", *good[2:]]
    dataset = Dataset.read(write(tmp_path / "d.csv", "\n".join(lines)))
    assert texts(dataset) == SENTENCES
    rows = dataset.quarantine.to_pylist()
    assert [(r["row"], r["reason"]) for r in rows] == [
        (2, "wrong number of fields"), (4, "wrong number of fields"),
    ]  # fmt: skip
    assert "wanted 2, got 1" in rows[0]["detail"]
    assert dataset.meta is not None
    assert dataset.meta["row"].to_pylist() == [1, 3, *range(5, 15)]


def test_an_unclosed_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    good = [f'"{s}",x' for s in SENTENCES]
    lines = ["text,label", *good[:4], '"never closed,x', *good[4:]]
    dataset = Dataset.read(write(tmp_path / "d.csv", "\n".join(lines)))
    assert texts(dataset) == SENTENCES
    assert dataset.quarantine.select(["row", "reason"]).to_pylist() == [
        {"row": 5, "reason": "unclosed quote"}
    ]


def test_an_unclosed_quote_at_the_end(tmp_path: Path) -> None:
    lines = ["text,label", *(f"{s},x" for s in SENTENCES), '"never closed,x', "last one here,x"]
    dataset = Dataset.read(write(tmp_path / "d.csv", "\n".join(lines)))
    assert texts(dataset) == [*SENTENCES, "last one here"]
    assert reasons(dataset) == ["unclosed quote"]


def test_quoted_line_breaks_nul_and_sloppy_quotes(tmp_path: Path) -> None:
    content = (
        'text,label\n"two\nlines ""here"" and more",x\n'
        'nul\0here in the text,y\n"a" b c d,y\nz,q,q\n'
    )
    dataset = Dataset.read(write(tmp_path / "d.csv", content), modality="text")
    assert texts(dataset) == ['two\nlines "here" and more', "nulhere in the text", "a b c d"]
    assert names(dataset) == {"nul-characters"}
    assert reasons(dataset) == ["wrong number of fields"]


def test_too_long_fields_and_lines(tmp_path: Path) -> None:
    huge, endless = "x" * 1_100_000, "y" * 9_000_000
    lines = ["text,label", f"{SENTENCES[0]},a", f"{huge},a", f"{endless},b", f"{SENTENCES[1]},b"]
    dataset = Dataset.read(write(tmp_path / "d.csv", "\n".join(lines)))
    assert texts(dataset) == SENTENCES[:2]
    assert reasons(dataset) == ["field too long"] * 2
    assert dataset.quarantine["row"].to_pylist() == [2, 3]


def test_repeated_and_blank_headers(tmp_path: Path) -> None:
    dataset = Dataset.read(write(tmp_path / "d.csv", "x,x,,label\n1,2,3,a\n3,4,3,b\n"))
    assert [c.name for c in dataset.columns] == ["x", "x_2", "unnamed_3"]
    assert "repeated-columns" in names(dataset)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\r\n\n", "is empty"),
        (b"text,label\n", "no usable records"),
        (b"text,label\na\nb\n", "no usable records.*wrong number"),
        (b"a,b\n1,2\n", "--label"),
        (b"label,y\n1,2\n", "Several could be"),
        (b"label\nx\ny\n", "no feature columns"),
    ],
)
def test_unusable_tables_say_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.read(write(tmp_path / "d.csv", content))


def test_broken_files_say_so(tmp_path: Path) -> None:
    cases = {
        "d.parquet": b"PAR1 not really",
        "d.csv.gz": gzip.compress(b"text,label\n" * 1000)[:60],
        "e.csv.gz": b"plain text,label\n",
        "d.json": b"[{]",
        "d.xlsx": b"PK\x03\x04\x00\x00",
    }
    for name, content in cases.items():
        with pytest.raises(DataError):
            Dataset.read(write(tmp_path / name, content))
    with pytest.raises(DataError, match="no file"):
        Dataset.read(tmp_path / "none.csv")


def test_json_lines_refuse_broken_lines_and_fill_gaps(tmp_path: Path) -> None:
    lines = [json.dumps({"text": s, "label": "x"}) for s in SENTENCES]
    broken = ['{"text": "cut', "[1, 2]", '{"text": null, "label": "y"}', "[" * 100_000]
    late = json.dumps({"text": "a record with a new key", "label": None, "more": {"a": [1]}})
    path = write(tmp_path / "d.jsonl", "\n".join([*lines, *broken, late]))
    dataset = Dataset.read(path, modality="text")
    assert texts(dataset) == [*SENTENCES, "a record with a new key"]
    assert len(dataset.unlabelled) == 1
    assert reasons(dataset) == ["broken JSON"] * 3 + ["empty record"] or len(reasons(dataset)) == 4
    assert set(dataset.quarantine["row"].to_pylist()) == {13, 14, 15, 16}


def test_a_list_and_a_folder_of_tables(tmp_path: Path, frame: pd.DataFrame) -> None:
    whole = Dataset.from_frame(frame)
    (tmp_path / "parts").mkdir()
    paths = [
        save(frame[:20], tmp_path / "parts" / "a.csv"),
        save(frame[20:], tmp_path / "parts" / "b.parquet"),
    ]
    listed = Dataset.read(paths)
    assert listed.hash == whole.hash
    assert listed.meta is not None
    assert set(listed.meta["source"].to_pylist()) == {"a.csv", "b.parquet"}
    folder = Dataset.read(tmp_path / "parts")
    assert folder.hash == listed.hash


def test_a_record_without_a_name_is_found_by_its_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"key,size,label\nk{name}1,1,a\nk{name}2,2,b\n")
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    dataset = Dataset.read(tables)
    found = dataset.places(dataset.ids[[3, 0]])
    assert list(found.values()) == ["one.csv row 1", "two.csv row 2"]
    assert dataset.places(["nobody"]) == {}
    assert Dataset.read(tables, id="key").places(["kone1"]) == {}, "it has a name"
    for name in ("a/x", "a/y", "b/x", "unlabelled/z"):
        file = tmp_path / "texts" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"what {name} says")
    texts = Dataset.read(tmp_path / "texts")
    assert set(texts.places(texts.ids).values()) == {
        "a/x.txt",
        "a/y.txt",
        "b/x.txt",
        "unlabelled/z.txt",
    }


def test_a_url_goes_through_fsspec(frame: pd.DataFrame) -> None:
    import fsspec

    with fsspec.open("memory://bucket/d.csv", "w") as stream:
        frame.to_csv(stream, index=False)
    assert Dataset.read("memory://bucket/d.csv").hash == Dataset.from_frame(frame).hash


def test_large_tables_lie_on_disk_and_leave_nothing_behind(tmp_path: Path) -> None:
    with Spool(tmp_path, memory=1000) as spool:
        for start in range(0, 1000, 100):
            spool.write(pa.record_batch({"x": pa.array(np.arange(start, start + 100))}))
        spool.write(pa.record_batch({"x": pa.array(["word"]), "y": pa.array(["late"])}))
        before = pa.total_allocated_bytes()
        table = spool.finish()
    assert not list(tmp_path.iterdir())
    assert pa.total_allocated_bytes() - before < 100_000
    assert table.num_rows == 1001
    assert table["x"].to_pylist()[::1000] == ["0", "word"]
    assert table["y"].null_count == 1000


# Whatever comes -----------------------------------------------------------------------------------

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(CELLS, CELLS, st.sampled_from("ab")), min_size=1, max_size=8))
def test_what_csv_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    import csv

    path = tmp_path / "d.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("p", "q", "label"), *rows])
    parts = [part for part in read_delimited(str(path), "d.csv") if part.table.num_rows]
    assert not any(part.refused for part in parts)
    table = pa.concat_tables(part.table for part in parts)
    assert list(zip(*(table[c].to_pylist() for c in ("p", "q", "label")), strict=True)) == rows
    assert table[ROW].to_pylist() == list(range(1, len(rows) + 1))
    assert set(table[SOURCE].to_pylist()) == {"d.csv"}


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200), st.sampled_from(["d.csv", "d.jsonl", "d.json", "d.parquet", "d.dat"])
)
def test_any_bytes_are_read_or_refused_in_words(tmp_path: Path, content: bytes, name: str) -> None:
    path = write(tmp_path / name, content)
    try:
        dataset = Dataset.read(path, label=False)
    except DataError:
        return
    assert len(dataset) > 0
    assert all(dataset.quarantine["reason"].to_pylist())
