"""Labels given elsewhere reach the records that they are about, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.joined_labels import join_labels

TEXTS = ["red", "green", "blue", "red"]


@pytest.fixture
def records() -> Dataset:
    return Dataset.from_arrays(TEXTS, ["warm", None, None, None], modality="text")


def table(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_they_are_joined_by_id(records: Dataset, tmp_path: Path):
    path = table(tmp_path, "id,label", f"{records.ids[1]},cold", f"{records.ids[2]},")
    assert join_labels(records, path).labels.to_pylist() == ["warm", "cold", None, None]


def test_they_are_joined_by_content_wherever_the_record_stands(records: Dataset, tmp_path: Path):
    path = table(
        tmp_path, "content,label", f"{records.content[2]},cold", f"{records.content[0]},hot"
    )
    found = join_labels(records.select([3, 2, 1, 0]), path)
    assert found.labels.to_pylist() == ["hot", "cold", None, "hot"]
    (corrected,) = [one for one in found.findings if one.name == "labels-corrected"]
    assert corrected.count == 1
    assert "'warm' became 'hot'" in corrected.message


def test_where_the_content_is_empty_the_id_counts(records: Dataset, tmp_path: Path):
    rows = (f",{records.ids[1]},cold", f"{records.content[2]},gone,cold")
    found = join_labels(records, table(tmp_path, "content,id,label", *rows))
    assert found.labels.to_pylist() == ["warm", "cold", "cold", None]


def test_a_label_of_no_record_is_told(records: Dataset, tmp_path: Path):
    found = join_labels(records, table(tmp_path, "id,label", "nobody,cold"))
    assert found.labels.to_pylist() == records.labels.to_pylist()
    assert [one.name for one in found.findings] == ["labels-unmatched"]


def test_a_label_that_was_guarded_against_spreadsheets_is_itself_again(
    records: Dataset, tmp_path: Path
):
    path = table(tmp_path, "id,label", f"{records.ids[1]},'=cold", f"{records.ids[2]},'s cold")
    assert join_labels(records, path).labels.to_pylist()[1:3] == ["=cold", "'s cold"]


@pytest.mark.parametrize("head", ["id,said", "name,label", "label"])
def test_a_table_without_the_columns_is_refused(records: Dataset, tmp_path: Path, head: str):
    with pytest.raises(DataError, match="content or id"):
        join_labels(records, table(tmp_path, head, *["1,2"[: head.count(",") * 2 + 1]]))


def test_a_table_that_contradicts_itself_is_refused(records: Dataset, tmp_path: Path):
    path = table(tmp_path, "id,label", f"{records.ids[1]},cold", f"{records.ids[1]},warm")
    with pytest.raises(DataError, match="both 'cold' and 'warm'"):
        join_labels(records, path)
