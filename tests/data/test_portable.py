"""Records become the same arrays with NumPy alone as they do in a Dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.data.conversion import convert, target_type
from leaven.data.modality import MODALITIES
from leaven.data.portable import cells
from leaven.data.portable.decoding import Rejected, decode, encoded_file, record_of
from leaven.data.portable.words import clean, codes_of
from leaven.data.words import clean as clean_all
from leaven.data.words import word_codes
from leaven.learn.contracts.made_records import MADE_RECORDS

_TEXTS = st.text(max_size=60) | st.text("aΣİſß'’.,3!?\0中ก🙂 é-", max_size=30)
_READ = {
    "numeric": cells.number,
    "categorical": cells.named,
    "boolean": cells.truth,
    "datetime": cells.moment,
    "text": cells.text,
}
_CELLS = (
    _TEXTS
    | st.sampled_from(
        ["5.", "+.5", "1e400", "-0", " 7 ", "N/A", "?", "TRUE", "false ", "1e39", "१", "1_0"]
    )
    | st.sampled_from(
        ["2020-02-29", "2021-02-29", "2020-01-01T10:00:00+05:30", "2020-01-01 10:00Z"]
    )
    | st.sampled_from(
        ["0000-01-01", "2020-01-01T10:00:00.1234567-0130", "2020-01-01T24:00", "2020-01-01\n"]
    )
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)


@given(st.lists(_TEXTS, min_size=1, max_size=5))
def test_a_text_has_the_same_words_alone_as_among_others(texts: list[str]) -> None:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    assert [clean(text) for text in texts] == clean_all(column).to_pylist()
    [(_, codes, ends)] = word_codes(column)
    assert [codes_of(text) for text in texts] == [
        part.tolist() for part in np.split(codes, ends[:-1])
    ]


def test_a_long_text_keeps_its_two_ends() -> None:
    text = "first " + "é" * 30_000 + " last"
    assert clean(text) == clean_all(pa.chunked_array([[text]])).to_pylist()[0]


@given(st.sampled_from(sorted(_READ)), st.none() | _CELLS)
def test_a_cell_is_read_alone_as_it_is_in_a_column(kind: str, value: str | None) -> None:
    raw = pa.array([value], pa.string())
    found = convert(raw, kind, target_type(pa.chunked_array([raw]), kind)).values
    wanted = (found.cast(pa.int64()) if kind == "datetime" else found)[0].as_py()
    assert _READ[kind](value) == wanted


@pytest.mark.parametrize("modality", sorted(MADE_RECORDS))
def test_records_become_the_same_arrays(modality: str) -> None:
    dataset, _ = MADE_RECORDS[modality](8, 1)
    spec = MODALITIES[modality].describe(dataset)
    arrays, _ = MODALITIES[modality].decode(dataset, spec)
    if modality == "tabular":
        spec = json.loads(json.dumps(spec))
        told = spec["categorical"]
        spec["categorical"] = {
            name: {level: i for i, level in enumerate(levels, 1)} for name, levels in told.items()
        }
    columns = {column.name: column.kind for column in dataset.columns}
    found, kept, why = decode(modality, spec, columns, dataset.records.to_pylist())
    assert (why, kept) == ({}, list(range(8)))
    assert set(found) == set(arrays.names)
    for name, array in found.items():
        wanted = np.asarray(arrays[name])
        if modality == "text":
            assert not wanted[:, array.shape[1] :].any()
            wanted = wanted[:, : array.shape[1]]
        np.testing.assert_array_equal(array, wanted.astype(array.dtype))


def test_texts_in_tables_dates_and_missing_cells() -> None:
    table = pa.table(
        {
            "when": ["2020-01-03", "2020-01-01T12:00", None, "?"],
            "old": ["true", "false", "", "true"],
            "price": ["1.5", "n/a", "-2e3", "7"],
            "said": ["Good day, good people of the town", "", "Bad weather again today", None],
        }
    )
    from leaven.data.dataset import Column, Dataset

    columns = (
        Column("when", "datetime"), Column("old", "boolean"), Column("price", "numeric"),
        Column("said", "text"),
    )  # fmt: skip
    dataset = Dataset.from_frame(table, label=False, modality="tabular", columns=columns)
    spec = MODALITIES["tabular"].describe(dataset)
    arrays, _ = MODALITIES["tabular"].decode(dataset, spec)
    kinds = {column.name: column.kind for column in columns}
    found, _, why = decode("tabular", spec, kinds, table.to_pylist())
    assert not why
    np.testing.assert_array_equal(found["numeric"], np.asarray(arrays["numeric"]))


@pytest.mark.parametrize(
    ("modality", "spec", "kind", "record", "said"),
    [
        ("text", {"column": "a", "length": 8}, "text", {"a": " "}, "empty record"),
        ("text", {"column": "a", "length": 8}, "text", "...", "empty text"),
        ("text", {"column": "a", "length": 8}, "text", None, "empty record"),
        ("text", {"column": "a", "length": 8}, "text", {"a": {"b": 1}}, "no cell: 'a' needs"),
        ("series", {"column": "a", "length": 4, "channels": 1}, "series", [10**400], "not numbers"),
        ("embedding", {"column": "a", "width": 2}, "vector", [1, 10**400], "not numbers"),
        ("embedding", {"column": "a", "width": 2}, "vector", [1.0], "wrong width"),
        ("embedding", {"column": "a", "width": 2}, "vector", [1.0, 1e300], "not finite"),
        ("embedding", {"column": "a", "width": 2}, "vector", ["x", "y"], "not numbers"),
        ("series", {"column": "a", "length": 4, "channels": 2}, "series", [1, 2], "wrong channels"),
        ("series", {"column": "a", "length": 4, "channels": 1}, "series", [None], "no value"),
        ("image", {"channels": 1, "height": 8, "width": 8}, "image", b"no picture", "not an image"),
        ("image", {"channels": 1, "height": 8, "width": 8}, "image", "§", "no file"),
        ("audio", {"rate": 8000, "seconds": 1, "mels": 8, "frames": 9}, "audio", b"x", "not a s"),
    ],
)
def test_what_cannot_be_read_says_why(
    modality: str, spec: dict[str, object], kind: str, record: object, said: str
) -> None:
    arrays, kept, why = decode(modality, spec, {"a": kind}, [record])
    assert (arrays, kept) == ({}, [])
    assert why[0].startswith(said)


def test_a_lone_column_may_be_called_by_its_modality_and_files_come_in_base64() -> None:
    assert record_of({"text": "hello"}, {"message": "text"}) == {"message": "hello"}
    assert record_of("hello", {"message": "text"}) == {"message": "hello"}
    with pytest.raises(Rejected, match="no record"):
        record_of("hello", {"a": "text", "b": "text"})
    assert encoded_file("data:image/png;base64,AAEC") == b"\0\1\2"
    assert encoded_file("") is None


def test_the_runtime_counts_nothing_for_its_makers(tmp_path: Path) -> None:
    """It would write an identity of this machine, and what it is to send, below the home folder."""
    pytest.importorskip("onnxruntime")
    subprocess.run(
        [sys.executable, "-c", "from leaven.data.portable.model import runtime; runtime()"],
        env=os.environ | {"HOME": str(tmp_path)}, check=True,
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
