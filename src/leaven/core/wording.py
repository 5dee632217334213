"""Numbers as people read them, in the terminal, the report and the verdict alike.

One decimal, thin spaces, a true minus, durations in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = [
    "MINUS",
    "MISSING",
    "THIN",
    "count",
    "decimal",
    "duration",
    "gained",
    "many",
    "money",
    "percent",
    "points",
    "records",
    "roughly",
    "seconds",
    "size",
    "span",
]

#: Narrow no-break space: groups digits and parts a number from its unit.
THIN = "\u202f"
MINUS = "\u2212"
MISSING = "\u2013"

_SIZES = ("B", "kB", "MB", "GB", "TB")
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def decimal(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A number with so many decimals; an en dash for None and NaN.

    >>> decimal(-0.04), decimal(2.25, sign=True), decimal(float("nan")) == MISSING
    ('0.0', '+2.2', True)
    """
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent.

    >>> percent(0.8125).replace(THIN, " ")
    '81.2 %'
    """
    text = decimal(None if share is None else 100 * share, digits)
    return text if text == MISSING else f"{text}{THIN}%"


def points(difference: float | None, *, sign: bool = True) -> str:
    """A difference of two shares in percentage points.

    >>> points(0.061)
    '+6.1'
    """
    return decimal(None if difference is None else 100 * difference, sign=sign)


def size(number: float | None) -> str:
    """A number of bytes, in the unit in which it has few digits.

    >>> [size(n).replace(THIN, " ") for n in (12, 48_200, 622_276_608, 3.4e12)]
    ['12 B', '48 kB', '622 MB', '3.4 TB']
    """
    if number is None or not math.isfinite(number) or number < 0:
        return MISSING
    power = min(len(_SIZES) - 1, int(math.log10(max(number, 1)) // 3))
    value = number / 1000**power
    return f"{decimal(value, 1 if value < 10 and power else 0)}{THIN}{_SIZES[power]}"


def seconds(number: float | None) -> str:
    """Seconds that were used, to the tenth.

    >>> seconds(1234.56).replace(THIN, " "), seconds(None) == MISSING
    ('1234.6 s', True)
    """
    return MISSING if number is None else f"{decimal(number)}{THIN}s"


def gained(estimate: Mapping[str, Any] | None) -> str:
    """A difference of two shares in points, with the ends of its 95 % interval.

    >>> gained({"value": 0.061, "low": 0.039, "high": 0.082, "n": 900})
    '+6.1 (+3.9 to +8.2)'
    """
    if estimate is None:
        return MISSING
    low, high = points(estimate["low"]), points(estimate["high"])
    return f"{points(estimate['value'])} ({low} to {high})"


def span(low: float | None, high: float | None) -> str:
    """The ends of a 95 % interval, both shares, in per cent or points.

    >>> span(0.039, 0.082).replace(THIN, " ")
    '95 %: 3.9 to 8.2'
    """
    return f"95{THIN}%: {points(low, sign=False)} to {points(high, sign=False)}"


def count(number: float | None) -> str:
    """A whole number with thin spaces between thousands.

    >>> count(1234567).replace(THIN, " ")
    '1 234 567'
    """
    if number is None or not math.isfinite(number):
        return MISSING
    return f"{round(number):,}".replace(",", THIN).replace("-", MINUS)


def many(number: int, one: str, more: str) -> str:
    """A number of things, in the right form.

    >>> many(1, "class", "classes"), many(3, "class", "classes")
    ('1 class', '3 classes')
    """
    return f"{count(number)} {one if number == 1 else more}"


def money(amount: float | None, currency: str = "") -> str:
    """An amount of money; of less than a tenth, two digits that count.

    >>> [money(a, "EUR").replace(THIN, " ") for a in (1234.5, 0.25, 0.00234, 0)]
    ['1 234 EUR', '0.25 EUR', '0.0023 EUR', '0.00 EUR']
    """
    if amount is None or not math.isfinite(amount):
        return MISSING
    small = 0 < abs(amount) < 0.1
    digits = min(1 - math.floor(math.log10(abs(amount))), 12) if small else 2
    number = count(amount) if abs(amount) >= 1000 else decimal(amount, digits)
    return f"{number}{THIN}{currency}".rstrip(THIN)


def records(number: int) -> str:
    """A number of records.

    >>> records(1), records(2)
    ('1 record', '2 records')
    """
    return many(number, "record", "records")


def duration(seconds: float | None) -> str:
    """How long something took.

    >>> [duration(s).replace(THIN, " ") for s in (0.4, 42, 130, 7500, 200_000)]
    ['under 1 s', '42 s', '2 min 10 s', '2 h 5 min', '2 d 7 h']
    """
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return MISSING
    if seconds < 1:
        return f"under 1{THIN}s"
    left = round(seconds)
    said: list[tuple[int, str]] = []
    for name, length in _UNITS:
        amount, left = divmod(left, length)
        if amount or said:
            said.append((amount, name))
    return " ".join(f"{amount}{THIN}{name}" for amount, name in said[:2] if amount)


def roughly(seconds: float | None) -> str:
    """How long something will take, as exactly as such a guess can be: in one unit.

    >>> [roughly(s).replace(THIN, " ") for s in (0.4, 42, 75, 119.6, 5300, 200_000)]
    ['1 s', '42 s', '1 min', '2 min', '88 min', '2 d']
    """
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return MISSING
    if seconds < 59.5:
        return f"{max(1, round(seconds))}{THIN}s"
    if seconds < 2 * 3600:
        return f"{round(seconds / 60)}{THIN}min"
    name, length = ("h", 3600) if seconds < 2 * 86400 else ("d", 86400)
    return f"{round(seconds / length)}{THIN}{name}"
