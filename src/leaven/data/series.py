"""Series as one Arrow column: channels by steps, null where a value is missing.

Whatever a series came as (lists, JSON text, arrays, rows of a table), it ends in one form: every
channel is as long as the record, numbers that are not finite are missing, and steps at the end at
which nothing was measured are cut off, since they are how arrays pad. Equal series are then equal
to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.data.portable.series import parsed, tidied

__all__ = [
    "NESTED",
    "SERIES",
    "as_bytes",
    "is_list",
    "is_series",
    "packed",
    "parsed",
    "read_series",
    "tidied",
    "unpacked",
]

Values = npt.NDArray[np.float64]

#: The type of the column: a list of channels, each a list of its values.
SERIES = pa.list_(pa.list_(pa.float64()))

#: JSON text that holds lists of numbers and nothing else, nested or not.
NESTED = r"^\[[\s\[\],+\-.\deEnulNaIfity]*\]$"

_EMPTY = ("missing series", "the series is missing or has no steps")


def is_list(found: pa.DataType) -> bool:
    """Whether a type is one of Arrow's lists."""
    return bool(
        pa.types.is_list(found)
        or pa.types.is_large_list(found)
        or pa.types.is_fixed_size_list(found)
    )


def is_series(column: pa.ChunkedArray) -> bool:
    """Whether a column of lists, or of JSON text, holds series: nested, or of several lengths.

    Lists of one length are vectors for all that can be told from them.
    """
    if is_list(column.type):
        inner = column.type.value_type
        if is_list(inner):
            return _numbers(inner.value_type)
        return _numbers(inner) and len(pc.unique(pc.list_value_length(column.drop_null()))) > 1
    lengths = set()
    for text in column.drop_null().to_pylist():
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if any(isinstance(part, list) for part in value):
            return True
        lengths.add(len(value))
    return len(lengths) > 1


def packed(records: Iterable[Values | None]) -> pa.Array:
    """The column of these records, each (channels, steps); null for None."""
    flat, channels, steps, there = [], [], [], []
    for record in records:
        there.append(record is not None)
        channels.append(0 if record is None else len(record))
        if record is not None:
            flat.append(record.ravel())
            steps += [record.shape[1]] * len(record)
    joined = np.concatenate(flat) if flat else np.zeros(0)
    numbers = pa.array(joined, pa.float64(), from_pandas=True)  # not a number: null
    inner = pa.ListArray.from_arrays(pa.array(_ends(steps), pa.int32()), numbers)
    mask = pa.array([not known for known in there], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(_ends(channels), pa.int32()), inner, mask=mask)


def unpacked(column: pa.Array | pa.ChunkedArray) -> Iterator[Values | None]:
    """Each record of a column of SERIES as (channels, steps), NaN where missing; None for null."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        yield from _unpacked(chunk)


def read_series(column: pa.Array) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
    """Lists or JSON text as SERIES, null where a record is none; why, by position: reason, detail.

    Missing values among the numbers are fine, as long as there is one number.
    """
    found: list[Values | None] = []
    why: dict[int, tuple[str, str]] = {}
    for place, value in enumerate(_values(column)):
        record = None
        if isinstance(value, tuple):
            why[place] = value
        elif value is None:
            why[place] = _EMPTY
        elif not value.shape[1]:
            why[place] = ("no value", "all steps of the series are missing")
        else:
            record = value
        found.append(record)
    return packed(found), why


def as_bytes(column: pa.Array) -> pa.Array:
    """Each record as bytes, alike for alike values in float32; null for null."""
    return pa.array(
        [
            None
            if record is None
            else np.array(record.shape, "<i4").tobytes()
            + np.where(np.isnan(record), np.float64(np.nan), record).astype("<f4").tobytes()
            for record in unpacked(column)
        ],
        pa.large_binary(),
    )


def _numbers(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))


def _ends(counts: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int64))])


def _unpacked(chunk: pa.Array) -> Iterator[Values | None]:
    """Of lists of lists of numbers, of any of Arrow's kinds of list."""
    inner = pc.list_flatten(chunk)
    counts = pc.fill_null(pc.list_value_length(chunk), 0).to_pylist()
    steps = pc.fill_null(pc.list_value_length(inner), 0).to_pylist()
    numbers = pc.list_flatten(inner).cast(pa.float64())
    flat = numbers.to_numpy(zero_copy_only=False)
    there = chunk.is_valid().to_pylist()
    at = first = 0
    for known, count in zip(there, counts, strict=True):
        own = steps[first : first + count]
        size = sum(own)
        if not known:
            yield None
        elif len(set(own)) <= 1:
            yield flat[at : at + size].reshape(count, own[0] if own else 0)
        else:
            parts = np.split(flat[at : at + size], np.cumsum(own)[:-1])
            yield parsed([part.tolist() for part in parts])
        at, first = at + size, first + count


def _values(column: pa.Array) -> Iterator[Values | tuple[str, str] | None]:
    """Each record in its one form, None for a missing one, or why it cannot be read."""
    found = column.type
    if is_list(found) and is_list(found.value_type) and _numbers(found.value_type.value_type):
        yield from (None if r is None or not r.size else tidied(r) for r in _unpacked(column))
    elif is_list(found) and _numbers(found.value_type):
        flat = pc.list_flatten(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
        ends = _ends(pc.fill_null(pc.list_value_length(column), 0).to_pylist())
        for first, last in pairwise(ends):
            yield tidied(flat[first:last]) if last > first else None
    else:
        yield from map(_of, column.to_pylist())


def _of(value: Any) -> Values | tuple[str, str] | None:
    """One Python value: a list, JSON text, or nothing."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError:
            return "not numbers", f"no list of numbers: {value[:60]!r}"
    if value is None or value == []:
        return None
    try:
        return parsed(value)
    except ValueError as error:
        return "not numbers", f"{error}: {str(value)[:60]}"
