"""Cells of a table as numbers, days or names of levels, whatever the file called their type.

A model meets columns again from other files: what was an integer may come back as a string or,
beside a missing value, as a float. These functions give the same for all of them, and a missing
value for what cannot be read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["days", "level_names", "numbers"]

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_YES = pa.array(["true", "yes", "t", "y"])
_NO = pa.array(["false", "no", "f", "n"])
_DAY = 86_400_000_000  # in microseconds
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y/%m/%d")


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """(n,) numbers, booleans as 0 and 1, NaN for what is missing, infinite or no number.

    >>> numbers(pa.chunked_array([[" 1e3", "-.5", "yes", "inf", "n/a", None]]))
    array([ 1.e+03, -5.e-01,  1.e+00,     nan,     nan,     nan])
    """
    column = _unpacked(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif not _is_number(column.type):
        column = _parsed(_strings(column))
    values = _floats(column.cast(pa.float64()))
    # What float32 cannot hold is as good as infinite.
    values[~(np.abs(values) <= np.finfo(np.float32).max)] = np.nan
    return values


def days(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """(n,) days since 1970 (UTC, where a zone is given), NaN for what is missing or no date.

    >>> days(pa.chunked_array([["1970-01-02", "1970-01-01 12:00:00", "soon", None]]))
    array([1. , 0.5, nan, nan])
    """
    column = _unpacked(column)
    if not pa.types.is_temporal(column.type):
        column = _dates(_strings(column))
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return np.full(len(column), np.nan)
    micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return _floats(micro.cast(pa.float64(), safe=False)) / _DAY


def level_names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """(n,) trimmed strings, null for blank; whole numbers alike from integers and floats.

    >>> level_names(pa.chunked_array([[1.0, 2.5, None]])).to_pylist()
    ['1', '2.5', None]
    """
    return _strings(_unpacked(column))  # Arrow writes the float 1.0 as 1


def _unpacked(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary encoding."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _is_number(kind: pa.DataType) -> bool:
    """Whether Arrow can make floats of it without reading text."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """(n,) a writable copy, NaN for null."""
    return np.array(pc.fill_null(column, np.nan).to_numpy(), np.float64)


def _strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """(n,) trimmed strings, null for blank."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _parsed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """(n,) float64, null where the text is no number and no word for yes or no."""
    lowered = pc.utf8_lower(text)
    text = pc.if_else(pc.is_in(lowered, _YES), "1", pc.if_else(pc.is_in(lowered, _NO), "0", text))
    number = pc.match_substring_regex(text, _NUMBER)
    text = pc.if_else(number, pc.utf8_ltrim(text, "+"), pa.scalar(None, pa.string()))
    return text.cast(pa.float64())


def _dates(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """(n,) timestamps, null where no known form of a date fits."""
    # A blank between day and time, fractions of a second and Z are common and mean the same.
    text = pc.replace_substring_regex(text, r"^(\S+) +(\S+)$", r"\1T\2")
    text = pc.replace_substring_regex(text, r"(\.[0-9]+)?(Z|\+00:00)?$", "")
    forms = [pc.strptime(text, format=f, unit="us", error_is_null=True) for f in _FORMS]
    return pc.coalesce(*forms)
