"""What a reader hands on: untyped columns, where each record came from, and what was refused."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from leaven.core.files import scratch
from leaven.data.conversion import as_strings
from leaven.data.dataset import QUARANTINE_SCHEMA, Finding

__all__ = ["ROW", "SOURCE", "Raw", "Refused", "Spool", "quarantine"]

#: Columns that say where a record came from. The control character keeps them clear of data.
SOURCE, ROW = "\x1fsource", "\x1frow"

#: A record that cannot be used: source, row (from 1, 0 where unknown), reason, detail.
Refused = tuple[str, int, str, str]


@dataclass
class Raw:
    """Columns as they were found, with `SOURCE` and `ROW` among them.

    `fixed_labels` names the column that holds the label where the layout itself says so (class
    folders); `root` is the folder to which paths among the values are relative, and `listed` is
    true where those paths come from listing that folder rather than from somebody's table. Of a
    part of a source, `share` says how much of it has been read by then, None where that is not
    known.
    """

    table: pa.Table
    refused: list[Refused] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    fixed_labels: str | None = None
    root: Path | None = None
    listed: bool = False
    share: float | None = None


def quarantine(refused: list[Refused]) -> pa.Table:
    """The refused records as a table of QUARANTINE_SCHEMA."""
    return pa.table(
        {
            "id": [f"{source}#{row}" if row else source for source, row, _, _ in refused],
            "source": [source for source, _, _, _ in refused],
            "row": [row or None for _, row, _, _ in refused],
            "reason": [reason for _, _, reason, _ in refused],
            "detail": [detail for _, _, _, detail in refused],
        },
        schema=QUARANTINE_SCHEMA,
    )


class Spool:
    """Batches kept as they come; beyond 64 MB they lie on disk and are memory-mapped.

    Columns may appear late and types may differ between files: `finish` fills gaps with nulls
    and brings unlike types to strings. The files have no name; the mapping keeps their data until
    it is dropped.
    """

    def __init__(self, folder: Path | None = None, memory: int = 64 << 20) -> None:
        self._folder = folder
        self._memory = memory
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._spilt = False
        self._tables: list[pa.Table] = []

    def __enter__(self) -> Spool:
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch."""
        if self._held and batch.schema != self._held[0].schema:
            self._flush(to_disk=self._size > self._memory)
        self._held.append(batch)
        self._size += batch.nbytes
        if self._size > self._memory:
            self._flush(to_disk=True)

    def finish(self) -> pa.Table:
        """All batches as one table; one without columns if there were none."""
        self._flush(to_disk=self._spilt)
        tables = self._tables
        types: dict[str, set[pa.DataType]] = {}
        for table in tables:
            for column in table.schema:
                if not pa.types.is_null(column.type):
                    types.setdefault(column.name, set()).add(column.type)
        unlike = {name for name, found in types.items() if len(found) > 1}
        for i, table in enumerate(tables):
            for name in unlike & set(table.column_names):
                place = table.column_names.index(name)
                tables[i] = table = table.set_column(place, name, as_strings(table[name]))
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def _flush(self, *, to_disk: bool) -> None:
        if not self._held:
            return
        if to_disk:
            with scratch("leaven-", self._folder) as file:
                with pa.ipc.new_file(file, self._held[0].schema) as writer:
                    for batch in self._held:
                        writer.write_batch(batch)
                file.flush()
                mapped = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            self._tables.append(pa.ipc.open_file(mapped).read_all())
            self._spilt = True
        else:
            self._tables.append(pa.Table.from_batches(self._held))
        self._held, self._size = [], 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held, self._tables = [], []
