"""Predictions and rejected records as files that other programs read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from leaven.core.errors import SettingError
from leaven.core.files import reading, writing
from leaven.data.dataset import Dataset
from leaven.data.formulas import defused_table

__all__ = [
    "predictions_table",
    "read_parquet",
    "write_parquet",
    "write_quarantine",
    "write_table",
]


def predictions_table(
    ids: npt.NDArray[np.str_], probabilities: npt.NDArray[np.float64], classes: tuple[str, ...]
) -> pa.Table:
    """`id`, `prediction`, `confidence`, and one `p_<class>` column a class."""
    said = probabilities.argmax(1) if len(probabilities) else np.zeros(0, np.int64)
    columns = {
        "id": pa.array([str(i) for i in ids], pa.string()),
        "prediction": pa.array(classes).take(pa.array(said)),
        "confidence": pa.array(probabilities.max(1) if len(said) else np.zeros(0)),
    }
    for i, name in enumerate(classes):
        columns[f"p_{name}"] = pa.array(probabilities[:, i])
    return pa.table(columns)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table of a run's folder, see `leaven.core.files.writing`."""
    with writing(path) as target:
        pq.write_table(table, target)


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A table that `write_parquet` wrote, or some of its columns; raises as `reading`."""
    with reading(path) as plain:
        return pq.read_table(plain, columns=columns)


def write_table(table: pa.Table | None, path: Path, *, head: bool = True) -> None:
    """Write by the ending: .csv, .parquet or .jsonl. With None, only check that it could be.

    Without `head` a CSV has no line of names: it goes on with another.
    It is for other programs, and so never encrypted.
    In CSV a text that a spreadsheet would run as a formula is written with a leading quote, see
    `leaven.data.formulas`.
    Raises SettingError for another ending.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet", ".jsonl", ".ndjson"):
        raise SettingError("out", "a file ending in .csv, .parquet or .jsonl", str(path))
    if table is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    if ending == ".parquet":
        pq.write_table(table, partial)
    elif ending == ".csv":
        pa_csv.write_csv(defused_table(table), partial, pa_csv.WriteOptions(include_header=head))
    else:
        with partial.open("w", encoding="utf-8") as file:
            for block in table.to_batches(max_chunksize=10_000):
                file.writelines(_lines(block))
    os.replace(partial, path)


def write_quarantine(dataset: Dataset, beside: Path) -> Path | None:
    """Write the rejected records beside a result; None, and nothing, when there are none."""
    if not dataset.quarantine.num_rows:
        return None
    path = beside.with_name(f"{beside.stem}.quarantine.parquet")
    pq.write_table(dataset.quarantine, path)
    return path


def _lines(block: pa.RecordBatch) -> list[str]:
    # JSON knows no times: they are written as ISO 8601 has them.
    return [
        json.dumps(row, ensure_ascii=False, default=lambda cell: cell.isoformat()) + "\n"
        for row in block.to_pylist()
    ]
