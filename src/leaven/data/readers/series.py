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
from leaven.data.dataset import Finding
from leaven.data.lines import Lines
from leaven.data.raw import ROW, SOURCE, Refused, Spool
from leaven.data.series import packed, tidied

__all__ = ["is_headless", "read_headless", "read_ts"]

Values = npt.NDArray[np.float64]

#: A record: its label, None where there is none, and its series; or reason and detail.
_Record = tuple[str | None, Values] | tuple[str, str]

_BATCH = 5_000
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


def read_headless(path: str, source: str, spool: Spool) -> tuple[list[Refused], list[Finding]]:
    """Write the series of one table without a header to `spool`: the label first in each line."""
    lines = Lines(path)
    numbered = ((row, line) for row, line in enumerate(lines, 1) if line.strip())
    refused = _written(((row, _row(line)) for row, line in numbered), source, spool)
    return refused, lines.findings(source)


def read_ts(path: str, source: str, spool: Spool) -> tuple[list[Refused], list[Finding]]:
    """Write the series of one `.ts` file to `spool`.

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
    return _written(records, source, spool), lines.findings(source)


def _head(numbered: Iterator[tuple[int, str]], source: str) -> dict[str, str]:
    """What is said before `@data`, in lower case."""
    said: dict[str, str] = {}
    for _, line in numbered:
        name, _, value = line.strip().lower().partition(" ")
        if name == "@data":
            return said
        said[name.removeprefix("@")] = value.strip()
    raise DataError(f"{source} has no line @data, after which the series stand.")


def _written(records: Iterator[tuple[int, _Record]], source: str, spool: Spool) -> list[Refused]:
    """Write the records that can be read, batch by batch; returns the others."""
    refused: list[Refused] = []
    while batch := list(islice(records, _BATCH)):
        good: list[tuple[int, str | None, Values]] = []
        for row, (first, second) in batch:
            if isinstance(second, str):
                refused.append((source, row, str(first), second))
            elif not second.size:
                told = "all steps of the series are missing"
                refused.append((source, row, "no value", told))
            else:
                good.append((row, first, second))
        if not good:
            continue
        spool.write(
            pa.record_batch(
                {
                    "series": packed(values for _, _, values in good),
                    "label": pa.array([label for _, label, _ in good], pa.string()),
                    SOURCE: pa.array([source] * len(good)),
                    ROW: pa.array([row for row, _, _ in good], pa.int64()),
                }
            )
        )
    return refused


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
