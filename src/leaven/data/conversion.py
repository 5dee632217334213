"""Columns from the form a file gave them to the Arrow type of their kind.

Text from a CSV and typed columns from Parquet meet here: afterwards both are the same. The kinds
themselves are found in `kinds`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leaven.data.portable.cells import MISSING
from leaven.data.series import SERIES, read_series

__all__ = [
    "ARROW_TYPES",
    "BOOLEAN",
    "DATETIME",
    "MISSING",
    "NUMBER",
    "VECTOR",
    "Converted",
    "as_strings",
    "convert",
    "is_binary",
    "target_type",
    "without_missing",
]

ARROW_TYPES = {
    "numeric": pa.float64(),
    "categorical": pa.string(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "series": SERIES,
}

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
BOOLEAN = r"^(?i:true|false)$"
_DATE = r"^\d{4}-\d{2}-\d{2}"
DATETIME = _DATE + r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"
VECTOR = r"^\[\s*[-+.\deE]+(\s*,\s*[-+.\deE]+)*\s*\]$"
#: Models compute in float32; a larger number is as good as infinite to them.
_LARGEST = 3.4028234663852886e38


def as_strings(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Any scalar column as strings; float32 by its own shortest digits, invalid bytes mended."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    return column.cast(pa.string())


def without_missing(strings: pa.Array) -> pa.Array:
    """Trimmed, and null where it stands for a missing value."""
    trimmed = pc.utf8_trim_whitespace(strings)
    missing = pc.is_in(trimmed, value_set=pa.array(MISSING))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


def is_binary(found: pa.DataType) -> bool:
    """Whether a type is one of Arrow's three of bytes."""
    return bool(
        pa.types.is_binary(found)
        or pa.types.is_large_binary(found)
        or pa.types.is_fixed_size_binary(found)
    )


@dataclass
class Converted:
    """A column in its kind's Arrow type, and the cells that had to be given up.

    `why` says of positions that are no record for this cell's sake: reason and detail.
    """

    values: pa.Array
    slips: int = 0
    examples: tuple[str, ...] = ()
    why: dict[int, tuple[str, str]] = field(default_factory=dict)


def target_type(column: pa.ChunkedArray, kind: str) -> pa.DataType:
    """The Arrow type that a column becomes: offsets of 64 bits only where it is that large."""
    large = column.nbytes > 1 << 30
    if kind == "vector":
        return pa.list_(pa.float32(), _width(column) or 1)
    if kind in ("image", "audio") and (is_binary(column.type) or pa.types.is_struct(column.type)):
        return pa.large_binary() if large else pa.binary()
    return pa.large_string() if large and kind == "text" else ARROW_TYPES.get(kind, pa.string())


def _width(column: pa.ChunkedArray) -> int:
    """The length of the first vector."""
    first = next((value for chunk in column.chunks for value in chunk if value.is_valid), None)
    if first is None:
        return 0
    value = first.as_py()
    return len(json.loads(value) if isinstance(value, str) else value)


def convert(column: pa.Array, kind: str, target: pa.DataType) -> Converted:
    """One chunk of a column as the Arrow type `target`; what cannot be read becomes null.

    New data need not look like the data whose kinds are in force: a cell that defies its kind is
    a slip, and costs no other cell.
    """
    try:
        done = _convert(column, kind)
        done.values = done.values.cast(target)
        return done
    except (pa.ArrowException, ValueError):
        if len(column) > 1 and _may_fit(column.type, kind):
            middle = len(column) // 2
            halves = [convert(part, kind, target) for part in (column[:middle], column[middle:])]
            return Converted(
                pa.concat_arrays([half.values for half in halves]),
                sum(half.slips for half in halves),
                tuple(shown for half in halves for shown in half.examples)[:3],
            )
        shown = tuple(str(value)[:40] for value in column.drop_null()[:3].to_pylist())
        return Converted(pa.nulls(len(column), target), len(column) - column.null_count, shown)


def _may_fit(found: pa.DataType, kind: str) -> bool:
    """Whether a chunk of this type that failed as a whole may hold values of the kind."""
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return kind == "vector"
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def _convert(column: pa.Array, kind: str) -> Converted:
    if kind in ("image", "audio"):
        return Converted(_files(column))
    if kind == "vector":
        return Converted(_vectors(column))
    if kind == "series":
        found, why = read_series(column)
        return Converted(found, why=why)
    if kind == "datetime":
        return _datetimes(column)
    if kind == "numeric":
        return _numbers(column)
    strings = as_strings(column)
    if kind == "text":
        blank = pc.equal(pc.utf8_trim_whitespace(strings), "")
        return Converted(pc.if_else(blank, pa.scalar(None, pa.string()), strings))
    trimmed = without_missing(strings)
    if kind == "categorical":
        return Converted(trimmed)
    return _read(trimmed, BOOLEAN, lambda good: pc.equal(pc.utf8_lower(good), "true"))


def _numbers(column: pa.Array) -> Converted:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_float32(kind) or pa.types.is_float16(kind):
        # float32 through its digits: 0.1 must be the 0.1 that a CSV of it holds.
        column = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else as_strings(column)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        done = Converted(column.cast(pa.float64(), safe=False))
    elif pa.types.is_decimal(column.type):
        done = Converted(column.cast(pa.float64()))
    else:
        done = _read(
            without_missing(as_strings(column)), NUMBER, lambda good: good.cast(pa.float64())
        )
    endless = pc.greater(pc.abs(done.values), _LARGEST)
    beyond = done.values.filter(endless)
    unusable = pc.or_(endless, pc.is_nan(done.values))
    done.values = pc.if_else(unusable, pa.scalar(None, pa.float64()), done.values)
    done.slips += len(beyond)
    done.examples += tuple(f"{value:g}" for value in beyond[:3].to_pylist())
    return done


def _read(trimmed: pa.Array, pattern: str, cast: Any) -> Converted:
    """Cast the values that match; count the others."""
    fits = pc.match_substring_regex(trimmed, pattern)
    wrong = pc.drop_null(pc.filter(trimmed, pc.invert(fits)))
    unsigned = pc.replace_substring_regex(trimmed, r"^\+", "")
    good = pc.if_else(fits, unsigned, pa.scalar(None, pa.string()))
    return Converted(cast(good), len(wrong), tuple(v[:40] for v in wrong[:3].to_pylist()))


def _datetimes(column: pa.Array) -> Converted:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = getattr(kind, "tz", None)
        column = column.cast(pa.timestamp("us", "UTC" if zone else None), safe=False)
        return Converted(column.cast(pa.timestamp("us")))
    return _read(without_missing(as_strings(column)), DATETIME, _moments)


def _moments(values: pa.Array) -> pa.Array:
    """Dates with or without a time and a zone as moments of UTC."""
    values = pc.replace_substring_regex(values, r"^(\S{10})$", r"\1T00:00")
    values = pc.replace_substring_regex(values, r"(\.\d{6})\d+", r"\1")
    values = pc.replace_substring_regex(values, r"([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)$", r"\1Z")
    return values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def _files(column: pa.Array) -> pa.Array:
    """Encoded pictures or sounds, or the names of their files."""
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    if is_binary(column.type):
        empty = pc.equal(pc.binary_length(column), 0)
        column = column.cast(pa.large_binary())
        return pc.if_else(empty, pa.scalar(None, pa.large_binary()), column)
    return without_missing(as_strings(column))


def _vectors(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = without_missing(as_strings(column)).to_pylist()
        column = pa.array([text and json.loads(text) for text in texts], pa.list_(pa.float64()))
    return column
