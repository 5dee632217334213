"""How figures are said: one place, so that every command says them alike."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = ["count", "duration", "interval", "plain", "points", "share"]

_THIN = "\N{THIN SPACE}"
_MINUS = "\N{MINUS SIGN}"

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


def count(number: float) -> str:
    r"""A whole number with thin spaces.

    >>> count(9974).encode("ascii", "namereplace")
    b'9\\N{THIN SPACE}974'
    """
    return f"{number:,.0f}".replace(",", _THIN)


def share(value: object) -> str:
    """A share as a percentage with one decimal; a dash where there is none.

    >>> share(0.7123), share(None), share(float("nan"))
    ('71.2 %', '–', '–')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    """A difference of two shares, signed.

    >>> points(0.061), points(-0.02)
    ('+6.1', '−2.0')
    """
    return f"{100 * value:+.1f}".replace("-", _MINUS)


def interval(estimate: Mapping[str, Any], *, shares: bool = True) -> str:
    """An estimate with its 95 % interval.

    >>> interval({"value": 0.712, "low": 0.689, "high": 0.734, "n": 1541})
    '71.2 % (68.9 to 73.4)'
    >>> interval({"value": 0.0412, "low": None, "high": None}, shares=False)
    '0.041'
    """
    scale, digits, unit = (100, 1, " %") if shares else (1, 3, "")
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    said = f"{scale * value:.{digits}f}{unit}"
    if all(isinstance(end, int | float) and math.isfinite(end) for end in (low, high)):
        said += f" ({scale * low:.{digits}f} to {scale * high:.{digits}f})"  # type: ignore[operator]
    return said


def duration(seconds: float) -> str:
    """A duration as people say it.

    >>> [duration(s) for s in (0.4, 12, 75, 119.6, 3600, 5400, 200_000)]
    ['1 s', '12 s', '1 min', '2 min', '1 h', '1 h 30 min', '2 days']
    """
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"
