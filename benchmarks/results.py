"""Results as JSON lines: appended one whole row at a time, the last row of a key counts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell, Key

__all__ = ["append", "latest", "read"]

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """All whole rows in the order in which they were written; none where there is no file.

    A last line without its end was cut off while it was written, and is left out.
    """
    if not path.exists():
        return []
    whole, _, torn = path.read_text(encoding="utf-8").rpartition("\n")
    if torn:
        print(f"{path}: the last row was cut off and is left out.", file=sys.stderr)
    return [json.loads(line) for line in whole.splitlines()]


def append(path: Path, row: Row) -> None:
    """Write one row in one call and wait until it lies on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _drop_torn_end(file)
        os.write(file, (json.dumps(row, ensure_ascii=False) + "\n").encode())
        os.fsync(file)
    finally:
        os.close(file)


def _drop_torn_end(file: int) -> None:
    """Cut off what follows the last line's end: a row of which only a part was written."""
    size = os.lseek(file, 0, os.SEEK_END)
    if size and os.pread(file, 1, size - 1) != b"\n":
        whole = os.pread(file, size, 0).rfind(b"\n") + 1
        os.ftruncate(file, whole)


def latest(rows: list[Row]) -> dict[Key, Row]:
    """The last row of each key."""
    return {Cell.of(row).key: row for row in rows}
