"""Files of series: `.ts`, and tables of numbers without a header, the label first.

The format `.ts` is that of the UEA and UCR archives: lines `@name value`, then after `@data` a line
a series, its channels parted by colons, their values by commas, the label last; `?` is a missing
value. The archive's `.tsv` and `.txt` have a line a series: the label, then the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.core.errors import DataError
from leaven.data.lines import FIRST, Lines, rows_that_fit
from leaven.data.raw import ROW, SOURCE, Raw, Refused
from leaven.data.series import packed, tidied

__all__ = ["is_headless", "read_headless", "read_ts"]

Values = npt.NDArray[np.float64]

#: A record: its label, None where there is none, and its series; or reason and detail.
_Record = tuple[str | None, Values] | tuple[str, str]

_MISSING = ("?", "", "nan", "null", "na")
_CUT = re.compile(r"[\s,;]+")


def is_headless(path: str) -> bool:
    """Whether the first line of a table is a record: three fields at least, and all numbers."""
    first = next((line for line in islice(Lines(path), 20) if line.strip()), "")
    cells = _CUT.split(first.strip())
    try:
        return len(cells) > 2 and [_number(cell) for cell in cells] != []
    except ValueError:
        return False


def read_headless(path: str, source: str) -> Iterator[Raw]:
    """The series of one table without a header: the label first in each line."""
    lines = Lines(path)
    numbered = ((row, line) for row, line in enumerate(lines, 1) if line.strip())
    yield from _parts(((row, _row(line)) for row, line in numbered), source, lines)


def read_ts(path: str, source: str) -> Iterator[Raw]:
    """The series of one `.ts` file, some hundreds at a time.

    Raises DataError if there is no `@data`, or if the series have time stamps.
    """
    lines = Lines(path)
    numbered = enumerate(lines, 1)
    head = _head(numbered, source)
    if head.get("timestamps") == "true":
        raise DataError(f"{source} has time stamps. Save its series as values at even steps.")
    labelled = head.get("classlabel", head.get("targetlabel", "false")).split()[:1] == ["true"]
    records = (
        (row, _series(line.strip(), labelled))
        for row, line in numbered
        if line.strip() and not line.lstrip().startswith("#")
    )
    yield from _parts(records, source, lines)


def _head(numbered: Iterator[tuple[int, str]], source: str) -> dict[str, str]:
    """What is said before `@data`, in lower case."""
    said: dict[str, str] = {}
    for _, line in numbered:
        name, _, value = line.strip().lower().partition(" ")
        if name == "@data":
            return said
        said[name.removeprefix("@")] = value.strip()
    raise DataError(f"{source} has no line @data, after which the series stand.")


def _parts(records: Iterator[tuple[int, _Record]], source: str, lines: Lines) -> Iterator[Raw]:
    """The records that can be read, batch by batch, and the others."""
    size = FIRST
    while batch := list(islice(records, size)):
        size = rows_that_fit(lines.characters, batch[-1][0])
        good: list[tuple[int, str | None, Values]] = []
        refused: list[Refused] = []
        for row, (first, second) in batch:
            if isinstance(second, str):
                refused.append((source, row, str(first), second))
            elif not second.size:
                told = "all steps of the series are missing"
                refused.append((source, row, "no value", told))
            else:
                good.append((row, first, second))
        table = pa.table(
            {
                "series": packed(values for _, _, values in good),
                "label": pa.array([label for _, label, _ in good], pa.string()),
                SOURCE: pa.array([source] * len(good), pa.string()),
                ROW: pa.array([row for row, _, _ in good], pa.int64()),
            }
        )
        yield Raw(table, refused, share=lines.share)
    yield Raw(pa.table({}), findings=lines.findings(source))


def _row(line: str) -> _Record:
    """A line of a table without a header."""
    label, *cells = _CUT.split(line.strip())
    try:
        named = None if label.lower() in _MISSING else f"{float(label):g}"
        return named, tidied([_number(cell) for cell in cells])
    except ValueError as error:
        return "not numbers", f"{error}"


def _series(line: str, labelled: bool) -> _Record:
    """A line of a `.ts` file."""
    channels = line.split(":")
    label = channels.pop().strip() if labelled else None
    try:
        rows = [[_number(cell) for cell in channel.split(",")] for channel in channels]
    except ValueError as error:
        return "not numbers", f"{error}"
    if not rows:
        return "missing series", "the line has a label and no series"
    longest = max(map(len, rows))
    filled = [row + [np.nan] * (longest - len(row)) for row in rows]
    return (None if label in (None, "", "?") else label), tidied(filled)


def _number(cell: str) -> float:
    """A number, not a number where it is missing; ValueError where it is something else."""
    return float("nan") if cell.strip().lower() in _MISSING else float(cell)
