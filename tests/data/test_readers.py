"""Tables, folders and memory: what comes in, what is refused, and that nothing is lost."""

from __future__ import annotations

import gzip
import io
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
from PIL import Image

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.data.dataset import Column, Dataset
from leaven.data.raw import ROW, SOURCE, Spool
from leaven.data.readers.delimited import read_delimited

SENTENCES = [f"the quick fox number {i} jumps over the lazy dog" for i in range(12)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def png(value: int, size: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def names(dataset: Dataset) -> set[str]:
    return {finding.name for finding in dataset.findings}


def reasons(dataset: Dataset) -> list[str]:
    return sorted(dataset.quarantine["reason"].to_pylist())


def texts(dataset: Dataset) -> list[str]:
    return dataset.records.column(0).to_pylist()


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, 40),
            "height": rng.normal(170, 10, 40).round(2),
            "city": rng.choice(["Bern", "Basel", None], 40),
            "member": rng.choice([True, False], 40),
            "since": pd.date_range("2020-01-01", periods=40, freq="37h"),
            "label": rng.choice(["a", "b", None], 40),
        }
    )


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
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert pa.total_allocated_bytes() - before < 100_000
    assert table.num_rows == 1001
    assert table["x"].to_pylist()[::1000] == ["0", "word"]
    assert table["y"].null_count == 1000


# Folders ------------------------------------------------------------------------------------------


def test_class_folders_of_images(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "cat" / f"{i}.png", png(i))
        write(tmp_path / "dog" / f"{i}.PNG", png(50 + i))
        write(tmp_path / "unlabeled" / "deep" / f"{i}.png", png(100 + i))
    write(tmp_path / "cat" / "notes.txt", "not an image")
    write(tmp_path / "README.md", "about")
    write(tmp_path / "cat" / ".DS_Store", "hidden")
    dataset = Dataset.read(tmp_path)
    assert dataset.modality == "image"
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.labelled), len(dataset.unlabelled)) == (6, 3)
    assert dataset.columns == (Column("image", "image"),)
    assert dataset.root == tmp_path
    assert reasons(dataset) == ["not an image", "outside the class folders"]
    (tmp_path / "cat").rename(tmp_path / "zebra")
    again = Dataset.read(tmp_path, label=False)
    assert sorted(again.ids) == sorted(dataset.ids), "ids are by the bytes, not by the path"
    assert not len(again.labelled)


def test_class_folders_of_texts(tmp_path: Path) -> None:
    for i, sentence in enumerate(SENTENCES):
        write(tmp_path / "ab"[i % 2] / f"{i}.txt", f"{sentence}\r\n")
    write(tmp_path / "unlabelled" / "0.txt", "")
    write(tmp_path / "unlabelled" / "1.txt", "w" * 2_000_000)
    dataset = Dataset.read(tmp_path)
    assert (dataset.modality, dataset.classes) == ("text", ("a", "b"))
    assert reasons(dataset) == ["empty record", "text too long"]
    table = Dataset.from_arrays(SENTENCES, ["a", "b"] * 6)
    assert dataset.hash == table.hash


def test_a_flat_folder_and_its_table(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / f"{i}.png", png(i))
    rows = "file,label,patient\n0.png,a,p\n./1.png,b,q\n9.png,a,p\n0.png,b,r\n"
    write(tmp_path / "labels.csv", rows)
    dataset = Dataset.read(tmp_path, group="patient")
    by_file = dict(zip(texts(dataset), dataset.labels.to_pylist(), strict=True))
    assert by_file == {"0.png": "b", "1.png": "b", "2.png": None, "3.png": None, "4.png": None}
    assert reasons(dataset) == ["file named again", "missing file"]
    assert dataset.meta is not None
    assert dataset.meta["group"].to_pylist() == ["r", "q", None, None, None]
    (tmp_path / "labels.csv").rename(tmp_path.parent / f"{tmp_path.name}.csv")
    other = Dataset.read(tmp_path, labels=tmp_path.parent / f"{tmp_path.name}.csv")
    assert other.hash == dataset.hash
    with pytest.raises(DataError, match="labels.csv"):
        Dataset.read(tmp_path)
    assert len(Dataset.read(tmp_path, label=False)) == 5


def test_a_table_of_paths_stays_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "secret.png", png(9))
    home = tmp_path / "home"
    write(home / "pics" / "a.png", png(1))
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "odd").mkdir()
    outside = ["../secret.png", str(tmp_path / "secret.png"), "link.png"]
    rows = ["pics/a.png", *outside, "gone.png"]
    write(home / "d.csv", "image,label\n" + "".join(f"{r},x\n" for r in rows))
    dataset = Dataset.read(home / "d.csv")
    assert texts(dataset) == ["pics/a.png"]
    assert reasons(dataset) == ["missing file", *["path outside the folder"] * 3]


def test_image_bytes_and_structs_are_images(tmp_path: Path) -> None:
    pictures = [png(i) for i in range(4)]
    plain = pa.table({"img": pa.array(pictures, pa.binary()), "label": [0, 1, -1, 1]})
    struct = pa.table(
        {"img": [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(pictures)],
         "label": [0, 1, -1, 1]}
    )  # fmt: skip
    seen = set()
    for name, table in {"a": plain, "b": struct}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
        dataset = Dataset.read(tmp_path / f"{name}.parquet")
        assert (dataset.modality, len(dataset.labelled)) == ("image", 3)
        assert pa.types.is_binary(dataset.records["img"].type)
        seen.add(dataset.hash)
    assert len(seen) == 1


# Labels, ids and roles ----------------------------------------------------------------------------


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


# Kinds and modalities -----------------------------------------------------------------------------


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
    with Spool() as spool:
        refused, _ = read_delimited(str(path), "d.csv", spool)
        table = spool.finish()
    assert not refused
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
