"""One cell of a record as its kind reads it, without Arrow; see `data/conversion.py`.

A cell is a Python value as JSON gives it. What cannot be read as its kind is missing, None.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = [
    "DAY",
    "MISSING",
    "days",
    "float_of",
    "moment",
    "named",
    "number",
    "said",
    "text",
    "truth",
]

#: What stands for a missing value in a column that is not text, after trimming.
MISSING = ("", "?", "-", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "<NA>")
#: Microseconds.
DAY = 86_400_000_000

_ABSENT = frozenset(MISSING)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATETIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
#: Models compute in float32; a larger number is as good as infinite to them.
_LARGEST = 3.4028234663852886e38


def float_of(value: Any) -> float | None:
    """A number; None for one that is too large, and for None."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def said(value: Any) -> str | None:
    """A cell as text, as Arrow writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return repr(value) if value.bit_length() < 64 else None


def text(value: Any) -> str | None:
    """A text, None for a blank one."""
    found = said(value)
    return found if found and not found.isspace() else None


def named(value: Any) -> str | None:
    """A category's name, trimmed.

    >>> named(" red "), named(2.0), named("N/A")
    ('red', '2', None)
    """
    found = said(value)
    if found is None:
        return None
    found = found.strip()
    return None if found in _ABSENT else found


def number(value: Any) -> float | None:
    """A finite number that float32 can hold.

    >>> number("+1e3"), number(True), number("1e39"), number("n/a")
    (1000.0, 1.0, None, None)
    """
    if isinstance(value, str):
        told = named(value)
        found = float(told) if told is not None and _NUMBER.fullmatch(told) else None
    else:
        found = float_of(value)
    return found if found is not None and abs(found) <= _LARGEST else None


def truth(value: Any) -> bool | None:
    """True or false.

    >>> truth("TRUE"), truth(False), truth("yes")
    (True, False, None)
    """
    told = (named(value) or "").lower()
    return told == "true" if told in ("true", "false") else None


def moment(value: Any) -> int | None:
    """Microseconds since 1970 in UTC of an ISO date, with or without a time and a zone.

    >>> moment("1970-01-02"), moment("1970-01-01T01:00:00.5+00:30"), moment("soon")
    (86400000000, 1800500000, None)
    """
    told = named(value)
    parts = _DATETIME.fullmatch(told) if told is not None else None
    if parts is None:
        return None
    day, time, zone = parts.groups()
    try:
        # Beyond microseconds digits are cut off, not rounded.
        found = int(np.datetime64(f"{day}T{(time or '00:00')[:15]}", "us").astype(np.int64))
    except ValueError:
        return None
    if zone and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            return None
        found -= (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * 60_000_000
    return found


def days(value: Any) -> float | None:
    """Days since 1970."""
    found = moment(value)
    return None if found is None else found / DAY
