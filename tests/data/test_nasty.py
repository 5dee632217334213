"""What people and broken programs hand in: no crash, nothing lost unseen, a clear word on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.model_selection import cross_val_predict

from leaven.core.errors import DataError
from leaven.data import lines, revealing
from leaven.data.arrays import Arrays
from leaven.data.dataset import Column, Dataset
from leaven.data.readers.delimited import LONGEST_FIELD

TEXTS = [f"the quick fox number {i} jumps over the lazy dog" for i in range(12)]


def finding(dataset: Dataset, name: str):
    """The one finding of that name."""
    (found,) = [f for f in dataset.findings if f.name == name]
    return found


def split(path: Path, content: bytes) -> list[bytes]:
    """The lines of a file with this content."""
    path.write_bytes(content)
    return [line.encode() for line in lines.Lines(str(path))]


def test_old_mac_lines_end_at_carriage_returns_even_where_the_file_has_a_quote(tmp_path):
    path = tmp_path / "mac.csv"
    rows = [f'{i},"{text}, he said",a\r' for i, text in enumerate(TEXTS)]
    path.write_bytes(("id,text,label\r" + "".join(rows)).encode())
    dataset = Dataset.read(path)
    assert dataset.records["text"].to_pylist() == [f"{text}, he said" for text in TEXTS]


def test_carriage_return_inside_a_quoted_field_stays_in_it(tmp_path):
    path = tmp_path / "quoted.csv"
    path.write_bytes(b'text,label\n"one two three\rfour five",a\n"six seven eight nine",b\n')
    dataset = Dataset.read(path, modality="text")
    assert dataset.records["text"][0].as_py() == "one two three\rfour five"


def test_old_mac_file_longer_than_the_longest_line_loses_no_line(monkeypatch, tmp_path):
    monkeypatch.setattr(lines, "LONGEST_LINE", 64)
    content = b"".join(b"%d,abc\r" % i for i in range(1000))
    assert split(tmp_path / "mac.txt", content) == content.splitlines(keepends=True)


def test_line_that_is_too_long_is_cut_and_the_next_one_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(lines, "LONGEST_LINE", 8)
    assert split(
        tmp_path / "long.txt", b"abc\n" + b"x" * 50 + b"\ndef\n" + b"y" * 50 + b"\rghi"
    ) == [
        b"abc\n",
        b"x" * 8,
        b"def\n",
        b"y" * 8,
        b"ghi",
    ]


@pytest.mark.parametrize(
    "content",
    [
        np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes(),
        b"PK\3\4\x14\0\6\0" + b"[Content_Types].xml" * 20,
    ],
    ids=["noise", "spreadsheet"],
)
def test_bytes_that_are_no_table_are_refused_whatever_the_name(tmp_path, content):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no table that can be read"):
        Dataset.read(path, label=False)


def test_where_all_are_refused_the_first_is_shown(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text('text,label\n"never closed,a\n')
    with pytest.raises(DataError, match=r"1 refused, quotes\.csv row 1: unclosed quote \("):
        Dataset.read(path)


def test_a_line_that_no_rule_can_read_is_refused_alone(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text('text,label\na b c,x\n"p"q,' + "y" * (LONGEST_FIELD + 1) + "\nd e f,z\n")
    dataset = Dataset.read(path, modality="text")
    assert dataset.records["text"].to_pylist() == ["a b c", "d e f"]
    assert dataset.quarantine["row"].to_pylist() == [2]


@pytest.mark.parametrize("path", ["", ["", "a.csv"]])
def test_an_empty_name_does_not_mean_the_working_folder(path):
    with pytest.raises(DataError, match="is empty"):
        Dataset.read(path)


def test_an_empty_folder_is_called_empty(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        Dataset.read(tmp_path)


def test_links_to_nothing_are_quarantined_by_their_names(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "one.png")
        (tmp_path / name / "gone.png").symlink_to("nowhere.png")
    dataset = Dataset.read(tmp_path)
    assert sorted(dataset.quarantine["id"].to_pylist()) == ["a/gone.png", "b/gone.png"]
    assert len(dataset) == 2


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), grey).save(path)


def test_class_folders_that_are_links_are_read_and_loops_of_links_end(tmp_path):
    home = tmp_path / "data"
    picture(tmp_path / "elsewhere" / "one.png", 10)
    picture(home / "dog" / "two.png", 90)
    (home / "cat").symlink_to(tmp_path / "elsewhere")
    (home / "dog" / "loop").symlink_to(home)
    dataset = Dataset.read(home)
    assert sorted(dataset.labels.to_pylist()) == ["cat", "dog"]
    assert not dataset.quarantine.num_rows


def test_without_labels_every_file_of_a_folder_is_a_record(tmp_path):
    picture(tmp_path / "one.png", 10)
    picture(tmp_path / "more" / "two.png", 90)
    dataset = Dataset.read(tmp_path, label=False)
    assert len(dataset) == 2
    assert dataset.labels.null_count == 2


def test_a_few_dates_that_no_calendar_has_cost_themselves_alone():
    days = [f"2024-01-{i:02}" for i in range(1, 29)] + ["0000-00-00", "2024-02-30"]
    dataset = Dataset.from_frame(pd.DataFrame({"day": days, "x": range(30)}), label=False)
    assert dataset.columns[0] == Column("day", "datetime")
    assert dataset.records["day"].null_count == 2
    assert finding(dataset, "unreadable-cells").count == 2


def test_mostly_impossible_dates_are_categories():
    days = ["2024-02-30"] * 10 + ["2024-01-01"] * 10
    dataset = Dataset.from_frame(pd.DataFrame({"day": days, "x": range(20)}), label=False)
    assert dataset.columns[0] == Column("day", "categorical")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("datetime", "2024-01-02", "2024-02-30"), ("vector", "[1, 2, 3]", "[1, 2]")],
)
def test_one_bad_cell_of_new_data_costs_no_other_cell(kind, good, bad):
    table = pa.table({"v": [good] * 5 + [bad] + [good] * 5, "other": ["x"] * 11})
    dataset = Dataset.from_frame(
        table, label=False, columns=[Column("v", kind), Column("other", "categorical")]
    )
    assert dataset.records["v"].is_valid().to_pylist() == [True] * 5 + [False] + [True] * 5
    assert finding(dataset, "unreadable-cells").examples == (bad,)


def test_numbers_beyond_float32_are_said_to_be_missing():
    frame = pd.DataFrame({"x": [1.0, 1e300, -1e39, float("inf"), 3e38, None], "z": range(6)})
    dataset = Dataset.from_frame(frame, label=False)
    assert dataset.records["x"].to_pylist() == [1.0, None, None, None, 3e38, None]
    assert finding(dataset, "unreadable-cells").count == 3


def test_columns_that_new_data_lack_are_named():
    columns = [Column("x", "numeric"), Column("gone", "numeric"), Column("lost", "categorical")]
    dataset = Dataset.from_frame(pd.DataFrame({"x": [1.0, 2.0]}), label=False, columns=columns)
    found = finding(dataset, "missing-columns")
    assert found.examples == ("gone", "lost")
    assert "2 of the 3 columns" in found.message


def test_nothing_is_said_where_all_columns_are_there():
    columns = [Column("x", "numeric")]
    dataset = Dataset.from_frame(pd.DataFrame({"x": [1.0, 2.0]}), label=False, columns=columns)
    assert not dataset.findings


def test_labels_that_read_none_are_unlabelled_and_said_to_be():
    labels = ["spam", "None", "ham", "null", "None ", ""]
    dataset = Dataset.from_frame(pd.DataFrame({"text": TEXTS[:6], "label": labels}))
    assert dataset.classes == ("ham", "spam")
    assert finding(dataset, "words-for-none").count == 3


def test_missing_labels_are_no_words():
    frame = pd.DataFrame({"text": TEXTS[:3], "label": ["a", "b", None]})
    assert not Dataset.from_frame(frame).findings


def test_honest_columns_are_not_folded_and_the_revealing_one_is_found(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    frame = pd.DataFrame(rng.normal(size=(120, 50)), columns=[f"x{i}" for i in range(50)])
    frame["tells"], frame["label"] = y * 2 + rng.normal(0, 0.01, 120), y
    folded = []

    def counted(tree, column, targets, cv):
        folded.append(column)
        return cross_val_predict(tree, column, targets, cv=cv)

    monkeypatch.setattr(revealing, "cross_val_predict", counted)
    found = revealing.revealing_columns(Dataset.from_frame(frame))
    assert [f.examples for f in found] == [("tells",)]
    assert len(folded) == 1


def test_quarantine_and_records_are_all_that_came_in(tmp_path):
    path: Path = tmp_path / "mixed.jsonl"
    good = ['{"text": "a b c d", "label": "x"}', '{"text": "e f g h"}', '{"text": 1e999}']
    path.write_text("\n".join([*good, "nope", "[1]", '{"label": "y"}', '{"text": "  "}']))
    dataset = Dataset.read(path, modality="text")
    assert len(dataset) + dataset.quarantine.num_rows == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file on a full disk")
def test_a_full_disk_is_called_one(tmp_path):
    (tmp_path / "numeric.npy.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="is the disk full"):
        Arrays({"numeric": np.zeros((2000, 50), np.float32)}).save(tmp_path)
    assert Arrays.open(tmp_path) is None
