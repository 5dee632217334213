"""Comma-separated and other delimited text, read record by record without losing any.

The parser is Python's own `csv` rather than Arrow's: Arrow's swallows everything after an
unclosed quote into one field without a word and stops the whole file at a field larger than a
block. This one refuses the faulty line, says why, and goes on with the next. It parses about
three million fields a second, far more than the digests that follow.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np
import pyarrow as pa

from leaven.core.errors import DataError
from leaven.data.dataset import Finding
from leaven.data.lines import Lines
from leaven.data.raw import ROW, SOURCE, Refused, Spool

__all__ = ["LONGEST_FIELD", "read_delimited", "sniff"]

LONGEST_FIELD = 1 << 20
_BATCH = 20_000
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


def read_delimited(path: str, source: str, spool: Spool) -> tuple[list[Refused], list[Finding]]:
    """Write the records of one file to `spool`, all columns as strings.

    Returns the refused records and what was noticed. Raises DataError if there is no header.
    """
    lines = Lines(path)
    stream = iter(lines)
    head: list[str] = [line for line in islice(stream, 200) if line.strip("\r\n")]
    if not head:
        raise DataError(f"{source} is empty. A table needs a header line and records.")
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        delimiter = "\t" if ".tsv" in source.lower() else sniff(head)
        records = _Records(chain(head, stream), source, delimiter)
        names, findings = _header(records.header, source)
        for rows, numbers in records.batches():
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            columns += [pa.array([source] * len(rows)), pa.array(numbers)]
            spool.write(pa.record_batch(columns, [*names, SOURCE, ROW]))
    finally:
        csv.field_size_limit(limit)
    return records.refused, [*findings, *lines.findings(source)]


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
    """Rows of equal width out of lines; what does not fit goes to `refused` with its number."""

    def __init__(self, lines: Iterator[str], source: str, delimiter: str) -> None:
        self.refused: list[Refused] = []
        self._lines = lines
        self._source = source
        self._delimiter = delimiter
        self._row = 0
        try:
            self.header = next(row for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error as error:
            raise DataError(f"The header of {source} cannot be read: {error}") from error

    def batches(
        self,
    ) -> Iterator[tuple[list[list[str]], np.ndarray[tuple[int], np.dtype[np.int64]]]]:
        """Rows and their numbers, some thousands at a time."""
        width = len(self.header)
        while True:
            seen: list[str] = []
            reader = csv.reader(self._note(seen), delimiter=self._delimiter, strict=True)
            try:
                rows = [row for row in islice(reader, _BATCH) if row]
                sound = all(len(row) == width for row in rows)
            except csv.Error:
                rows, sound = [], False
            if not seen:
                return
            if sound:
                numbers = np.arange(self._row + 1, self._row + len(rows) + 1)
                self._row += len(rows)
            else:
                rows, kept = self._mend(deque(seen), width)
                numbers = np.array(kept, dtype=np.int64)
            if rows:
                yield rows, numbers

    def _note(self, seen: list[str]) -> Iterator[str]:
        for line in self._lines:
            seen.append(line)
            yield line

    def _mend(self, queue: deque[str], width: int) -> tuple[list[list[str]], list[int]]:
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
            self.refused.append((self._source, self._row, reason, f"{detail}: {line}"))
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
