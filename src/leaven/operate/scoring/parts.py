"""A result that is written part by part, so that a killed process goes on where it was.

Beside the result lies a folder while it is made: its plan, and of each part of the data the rows in
the form of the result and, written last, what is known of them. A part counts if its rows are those
of which that was written; the first one that does not, and all after it, are made anew. At the end
the rows are joined to one file, which takes its name at once, and the folder goes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.core.errors import RunError
from leaven.data.dataset import QUARANTINE_SCHEMA
from leaven.evaluate.tables import write_table
from leaven.learn.tensor_file import load_arrays, save_arrays

__all__ = ["Part", "Parts"]

_ROWS = 200_000  # of a row group of the joined Parquet file, at least
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Part:
    """What was made of one part of the data.

    `rows` is one row a record, in the form of the result; `rejected` are those of them that could
    not be read, by QUARANTINE_SCHEMA; `arrays` and `told` are what the parts together are summed
    up by, the latter plain JSON.
    """

    rows: pa.Table
    rejected: pa.Table
    arrays: dict[str, npt.NDArray[np.generic]]
    told: dict[str, Any]


class Parts:
    """The folder of a result while it is made, held by one process at a time.

    Parameters
    ----------
    out : where the result will be, its ending one of `write_table`'s.
    plan : what decides the result; parts of another plan are thrown away.

    Entering raises RunError where another process makes this result.
    """

    def __init__(self, out: Path, plan: dict[str, Any]) -> None:
        self.out, self.folder = out, out.with_name(f"{out.name}.parts")
        #: Parts that are done, and what was told of each.
        self.done: list[dict[str, Any]] = []
        self._plan = plan
        self._lock: IO[str] | None = None

    def __enter__(self) -> Parts:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            self._lock.close()
            raise RunError(
                f"'{self.out}' is being made by another process. Wait for it, or give another file."
            ) from busy
        if self._read("plan.json") != self._plan:
            self._empty()
            self._write("plan.json", self._plan)
        while (told := self._sound(len(self.done))) is not None:
            self.done.append(told)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        self._lock.close()
        if kind is None or not (self.done or (self.folder / "000000.json").exists()):
            shutil.rmtree(self.folder)  # nothing to go on with

    def add(self, part: Part) -> None:
        """Write the next part; it is done when this returns."""
        number = len(self.done)
        rows = self._rows(number)
        write_table(part.rows, rows, head=number == 0)
        if part.rejected.num_rows:
            pq.write_table(part.rejected, self._path(number, "quarantine.parquet"))
        if part.arrays:
            save_arrays(self._path(number, "safetensors"), part.arrays)
        told = part.told | {"crc": _crc(rows), "rejected": part.rejected.num_rows}
        self._write(f"{number:06d}.json", told)
        self.done.append(told)

    def arrays(self, number: int) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays of a part that is done."""
        path = self._path(number, "safetensors")
        return load_arrays(path) if path.exists() else {}

    def join(self) -> pa.Table:
        """Write the result and the list of rejected records; returns the latter."""
        listed = [QUARANTINE_SCHEMA.empty_table()]
        listed += [
            pq.read_table(self._path(number, "quarantine.parquet"))
            for number, told in enumerate(self.done)
            if told["rejected"]
        ]
        rejected = pa.concat_tables(listed)
        beside = self.out.with_name(f"{self.out.stem}.quarantine.parquet")
        if rejected.num_rows:
            partial = beside.with_name(f"{beside.name}.part")
            pq.write_table(rejected, partial)
            os.replace(partial, beside)
        else:
            beside.unlink(missing_ok=True)  # of an earlier result of this name
        paths = [self._rows(number) for number in range(len(self.done))]
        whole = self.folder / f"whole{self.out.suffix}"
        (_join_parquet if self.out.suffix.lower() == ".parquet" else _join_text)(paths, whole)
        os.replace(whole, self.out)
        return rejected

    def _rows(self, number: int) -> Path:
        return self._path(number, self.out.suffix.lower().removeprefix("."))

    def _path(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:06d}.{ending}"

    def _sound(self, number: int) -> dict[str, Any] | None:
        """What was told of a part; None of one that is not there, or not whole."""
        told = self._read(f"{number:06d}.json")
        rows = self._rows(number)
        if told is None or not rows.is_file() or told.get("crc") != _crc(rows):
            return None
        return told

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            told = json.loads((self.folder / name).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def _write(self, name: str, told: dict[str, Any]) -> None:
        partial = self.folder / f"{name}.part"
        partial.write_text(json.dumps(told), "utf-8")
        os.replace(partial, self.folder / name)

    def _empty(self) -> None:
        for old in self.folder.iterdir():
            if old.name != "lock":
                old.unlink()


def _crc(path: Path) -> int:
    """A checksum of a file's bytes."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
    return found


def _join_text(paths: list[Path], whole: Path) -> None:
    with whole.open("wb") as target:
        for path in paths:
            with path.open("rb") as source:
                shutil.copyfileobj(source, target, _BLOCK)
        target.flush()
        os.fsync(target.fileno())


def _join_parquet(paths: list[Path], whole: Path) -> None:
    held: list[pa.Table] = []
    with pq.ParquetWriter(whole, pq.read_schema(paths[0])) as writer:
        for path in paths:
            held.append(pq.read_table(path))
            if sum(table.num_rows for table in held) >= _ROWS:
                writer.write_table(pa.concat_tables(held))
                held.clear()
        if held:
            writer.write_table(pa.concat_tables(held))
