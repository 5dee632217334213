"""JSON Lines, and a JSON array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from leaven.core.errors import DataError
from leaven.data.lines import FIRST, LONGEST_LINE, Lines, open_bytes, rows_that_fit
from leaven.data.raw import ROW, SOURCE, Raw

__all__ = ["objects_table", "parsed_object", "read_objects"]

#: An array must be parsed whole; a larger one should be JSON Lines.
_LARGEST_ARRAY = 1 << 29


def read_objects(path: str, source: str) -> Iterator[Raw]:
    """The objects of one file, some thousands at a time, all columns as strings.

    Numbers keep their text, lists and objects become JSON text, so that the columns' kinds are
    found by the same rules as those of a CSV. A line that is no object is refused.
    Raises DataError if the file is an array that is broken or larger than 512 MB.
    """
    lines = Lines(path)
    objects = _array(path, source) if _is_array(path) else _parsed(lines)
    numbered = enumerate(objects, 1)
    size = FIRST
    while batch := list(islice(numbered, size)):
        before, share = lines.characters, lines.share
        yield replace(objects_table(batch, source), share=share)
        size = rows_that_fit(lines.characters - before, len(batch))
    yield Raw(pa.table({}), findings=lines.findings(source))


def objects_table(batch: Sequence[tuple[int, Any]], source: str) -> Raw:
    """Numbered objects as strings by column; what is no object is refused, and says why itself."""
    good = [(row, value) for row, value in batch if isinstance(value, dict)]
    refused = [
        (source, row, "broken JSON", str(value)[:160])
        for row, value in batch
        if not isinstance(value, dict)
    ]
    if not good:
        return Raw(pa.table({}), refused)
    named = dict.fromkeys(name for _, value in good for name in value)
    names = [name for name in named if name not in (SOURCE, ROW)]
    columns = [
        pa.array([_as_text(value.get(name)) for _, value in good], pa.string()) for name in names
    ]
    rows = np.array([row for row, _ in good], dtype=np.int64)
    columns += [pa.array([source] * len(good)), pa.array(rows)]
    return Raw(pa.table(columns, [*names, SOURCE, ROW]), refused)


def _is_array(path: str) -> bool:
    first = next((line for line in Lines(path) if line.strip()), "")
    return first.lstrip().startswith("[")


def _parsed(lines: Lines) -> Iterator[Any]:
    """Each non-blank line's object, or the complaint about it as text."""
    return (parsed_object(line) for line in lines if line.strip())


def parsed_object(line: str) -> dict[str, Any] | str:
    """The object of a line of JSON; a text says why there is none."""
    if len(line) >= LONGEST_LINE:
        return "the line is too long"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"{error}: {line.strip()[:80]}"
    return value if isinstance(value, dict) else f"not an object: {line.strip()[:80]}"


def _array(path: str, source: str) -> Iterator[Any]:
    with open_bytes(path) as stream:
        text = stream.read(_LARGEST_ARRAY + 1)
    if len(text) > _LARGEST_ARRAY:
        raise DataError(
            f"{source} is a JSON array larger than 512 MB, which must be held whole. "
            "Save it as JSON Lines: one object a line."
        )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not sound JSON: {error}.") from error
    for value in values:
        yield value if isinstance(value, dict) else f"not an object: {str(value)[:80]}"


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        # A lone surrogate is legal in JSON's escapes and in no encoding.
        return value.replace("\0", "").encode(errors="replace").decode()
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value)
