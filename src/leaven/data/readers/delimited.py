"""Comma-separated and other delimited text, read record by record without losing any.

The parser is Python's own `csv` rather than Arrow's: Arrow's swallows everything after an
unclosed quote into one field without a word and stops the whole file at a field larger than a
block. This one refuses the faulty line, says why, and goes on with the next. Where some thousand
lines leave no doubt, for quotes stand around whole fields only, Arrow parses them, several times as
fast; if it finds any fault there, they are read again one by one.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import length_hint

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from leaven.core.errors import DataError
from leaven.data.dataset import Finding
from leaven.data.lines import FIRST, Lines, rows_that_fit
from leaven.data.raw import ROW, SOURCE, Raw, Refused

__all__ = ["LONGEST_FIELD", "read_delimited", "sniff"]

Numbers = npt.NDArray[np.int64]

LONGEST_FIELD = 1 << 20
_HEAD = 200  # lines by which the delimiter is found
_DELIMITERS = ",\t;|"
#: A quoted field that runs on for longer than this beside a faulty record was never closed.
_LONGEST_RECORD = 1000


def sniff(lines: Sequence[str]) -> str:
    """The delimiter that cuts the most of the first lines into as many fields as the header.

    >>> sniff(["id;text\\n", "1;well, hello\\n", "2;a, b, c\\n"])
    ';'
    >>> sniff(["text\\n", "well, hello\\n"])
    ','
    """

    def score(delimiter: str) -> tuple[float, int]:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return (0.0, 0)
        width = len(rows[0]) if rows else 0
        if width < 2:
            return (0.0, 0)
        return (sum(len(row) == width for row in rows) / len(rows), width)

    return max(_DELIMITERS, key=score)


def read_delimited(path: str, source: str) -> Iterator[Raw]:
    """The records of one file, some thousands at a time, all columns as strings.

    Raises DataError if there is no header.
    """
    lines = Lines(path)
    stream = iter(lines)
    head: list[str] = [line for line in islice(stream, _HEAD) if line.strip("\r\n")]
    if not head:
        raise DataError(f"{source} is empty. A table needs a header line and records.")
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        delimiter = "\t" if ".tsv" in source.lower() else sniff(head)
        looked_at = iter(head)
        records = _Records(chain(looked_at, stream), source, delimiter)
        names, findings = _header(records.header, source)
        for columns, numbers, refused in records.batches(lines, looked_at):
            columns += [pa.array([source] * len(numbers), pa.string()), pa.array(numbers)]
            table = pa.table(columns, [*names, SOURCE, ROW])
            yield Raw(table, refused, share=lines.share)
    finally:
        csv.field_size_limit(limit)
    yield Raw(pa.table({}), findings=[*findings, *lines.findings(source)])


def _header(cells: Sequence[str], source: str) -> tuple[list[str], list[Finding]]:
    """Unique column names; blank ones are numbered and repeated ones get a suffix."""
    names: list[str] = []
    changed: list[str] = []
    taken = {cell.strip() for cell in cells}
    for place, cell in enumerate(cells, 1):
        name = cell.strip() or f"unnamed_{place}"
        if name in names:
            suffix = 2
            while f"{name}_{suffix}" in taken:
                suffix += 1
            name = f"{name}_{suffix}"
            taken.add(name)
            changed.append(name)
        names.append(name)
    if not changed:
        return names, []
    message = f"{source} names some columns twice; the later ones were renamed."
    return names, [
        Finding(
            "repeated-columns",
            "warning",
            message,
            len(changed),
            tuple(changed),
            "Give each column its own name if one of them matters.",
        )
    ]


class _Records:
    """Rows of equal width out of lines; what does not fit is refused, with its number."""

    def __init__(self, lines: Iterator[str], source: str, delimiter: str) -> None:
        self._lines = lines
        self._source = source
        self._delimiter = delimiter
        self._row = 0
        try:
            self.header = next(row for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error as error:
            raise DataError(f"The header of {source} cannot be read: {error}") from error

    def batches(
        self, lines: Lines, looked_at: Iterator[str]
    ) -> Iterator[tuple[list[pa.Array], Numbers, list[Refused]]]:
        """Columns of rows, their numbers, and what is refused among them, some thousands at a time.

        `lines` is what the lines that it was given come from, but for those `looked_at` before.
        """
        size, mean = FIRST, 0.0
        while True:
            quick = mean and not length_hint(looked_at)
            if quick and (columns := self._plain(lines, int(size * mean) + 1)):
                rows = len(columns[0])
                yield columns, np.arange(self._row - rows + 1, self._row + 1), []
                continue
            found = self._careful(size)
            if found is None:
                return
            mean = lines.characters / max(self._row, 1)
            size = rows_that_fit(lines.characters, self._row)
            if len(found[1]) or found[2]:
                yield found

    def _plain(self, lines: Lines, size: int) -> list[pa.Array]:
        """Columns of the next lines, about `size` bytes, where there is no doubt about them."""
        block = lines.plain(size, self._delimiter)
        if not block.strip(b"\r\n"):
            return []
        names = [str(place) for place in range(len(self.header))]
        try:
            table = pa_csv.read_csv(
                io.BytesIO(block),
                pa_csv.ReadOptions(
                    use_threads=False, block_size=len(block) + 1, column_names=names
                ),
                pa_csv.ParseOptions(delimiter=self._delimiter, double_quote=False),
                pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
        except pa.ArrowInvalid:  # a row of another width, or other bytes than UTF-8
            lines.put_back(block)
            return []
        self._row += table.num_rows
        return [column.combine_chunks() for column in table.columns]

    def _careful(self, size: int) -> tuple[list[pa.Array], Numbers, list[Refused]] | None:
        """As `batches`, of the next records, one by one where one is faulty; None at the end."""
        width = len(self.header)
        seen: list[str] = []
        reader = csv.reader(self._note(seen), delimiter=self._delimiter, strict=True)
        try:
            rows = [row for row in islice(reader, size) if row]
            sound = all(len(row) == width for row in rows)
        except csv.Error:
            rows, sound = [], False
        if not seen:
            return None
        refused: list[Refused] = []
        if sound:
            numbers = np.arange(self._row + 1, self._row + len(rows) + 1)
            self._row += len(rows)
        else:
            rows, kept = self._mend(deque(seen), width, refused)
            numbers = np.array(kept, dtype=np.int64)
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return columns or [pa.array([], pa.string())] * width, numbers, refused

    def _note(self, seen: list[str]) -> Iterator[str]:
        for line in self._lines:
            seen.append(line)
            yield line

    def _mend(
        self, queue: deque[str], width: int, refused: list[Refused]
    ) -> tuple[list[list[str]], list[int]]:
        """Parse a batch that holds a faulty record one record at a time.

        A quote that is never closed spoils its own line only: reading goes on at the next.
        """
        rows: list[list[str]] = []
        numbers: list[int] = []
        while queue:
            row, taken, fault = self._next(queue)
            if row == []:
                continue
            self._row += 1
            if row is not None and len(row) == width:
                rows.append(row)
                numbers.append(self._row)
                continue
            if row is None and taken[0].count('"') % 2 == 0 and "limit" not in fault:
                loose = self._loosely(taken[0])
                if len(loose) == width:  # text after a closing quote: readable all the same
                    queue.extendleft(reversed(taken[1:]))
                    rows.append(loose)
                    numbers.append(self._row)
                    continue
            if row is None:
                queue.extendleft(reversed(taken[1:]))
                if "limit" in fault:
                    reason, detail = (
                        "field too long",
                        f"a field is longer than {LONGEST_FIELD} bytes",
                    )
                else:
                    reason, detail = "unclosed quote", "a quote opens and is not closed properly"
            else:
                reason, detail = "wrong number of fields", f"wanted {width}, got {len(row)}"
            line = taken[0].rstrip("\r\n")[:80]
            refused.append((self._source, self._row, reason, f"{detail}: {line}"))
        return rows, numbers

    def _loosely(self, line: str) -> list[str]:
        """The fields of one line by the lenient rules of `csv`; none where even these fail."""
        try:
            return next(csv.reader([line], delimiter=self._delimiter), [])
        except csv.Error:
            return []

    def _next(self, queue: deque[str]) -> tuple[list[str] | None, list[str], str]:
        """One record, the lines it took, and the fault if it is none."""
        taken: list[str] = []

        def feed() -> Iterator[str]:
            while len(taken) < _LONGEST_RECORD:
                line = queue.popleft() if queue else next(self._lines, None)
                if line is None:
                    return
                taken.append(line)
                yield line

        try:
            return next(csv.reader(feed(), delimiter=self._delimiter, strict=True)), taken, ""
        except (csv.Error, StopIteration) as error:
            return None, taken, str(error)
