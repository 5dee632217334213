"""What only a terminal needs said: text that cannot harm it, and a figure in a table's cell."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from leaven.core.wording import MISSING, decimal, percent, points

__all__ = ["interval", "plain"]

#: Marks that reverse the direction of the text after them, and so can make a line lie.
_REVERSING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(value: object) -> str:
    r"""Text from the data made safe to print: no escape sequences, one line.

    >>> plain("red \x1b[31m\nalert"), plain(None)
    ('red �[31m alert', '')
    """
    text = "" if value is None else str(value)
    return "".join(
        " "
        if mark in "\n\t\r"
        else "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(mark) in ("Cc", "Cs") or mark in _REVERSING
        else mark
        for mark in text
    )


def interval(estimate: Mapping[str, Any], *, shares: bool = True) -> str:
    """An estimate with its 95 % interval.

    >>> interval({"value": 0.712, "low": 0.689, "high": 0.734, "n": 1541}).replace("\u202f", " ")
    '71.2 % (68.9 to 73.4)'
    >>> interval({"value": 0.0412, "low": None, "high": None}, shares=False)
    '0.041'
    """
    value, low, high = (_number(estimate.get(key)) for key in ("value", "low", "high"))
    said = percent(value) if shares else decimal(value, 3)
    if said == MISSING or low is None or high is None:
        return said
    ends = [points(end, sign=False) if shares else decimal(end, 3) for end in (low, high)]
    return f"{said} ({ends[0]} to {ends[1]})"


def _number(value: object) -> float | None:
    """What JSON may hold in a number's place becomes None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
