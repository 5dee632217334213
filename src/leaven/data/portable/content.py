"""The digest of one record's content, as `data/content.py` gives it for many."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leaven.data.portable.cells import moment, named, number, text, truth

__all__ = ["content_of"]

_MARK, _END = b"\x1f", b"\x1e"
_LINE_END = re.compile("\r\n?")
#: Arrow writes numbers whose first digit stands at these places without an exponent.
_LEAST, _MOST = -6, 10


def content_of(record: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> str:
    """32 hexadecimal digits.

    Parameters
    ----------
    record : cells by column; a series as (channels, steps), files as bytes.
    columns : names and kinds, in the order of the names.
    """
    if len(columns) == 1 and columns[0][1] in ("image", "audio"):
        line = record.get(columns[0][0]) or b""
    else:
        cells = []
        for name, kind in columns:
            value = record.get(name)
            told = None if value is None else _TOLD[kind](value)
            if told is not None:
                own = b"" if kind == "series" else name.encode()
                cells.append(b"%b%b%d%b%b" % (own, _MARK, len(told), _MARK, told))
        line = _END.join(cells)
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def _text(value: Any) -> bytes | None:
    found = text(value)
    return None if found is None else _LINE_END.sub("\n", found).rstrip("\n").encode()


def _named(value: Any) -> bytes | None:
    found = named(value)
    return None if found is None else found.encode()


def _truth(value: Any) -> bytes | None:
    found = truth(value)
    return None if found is None else b"true" if found else b"false"


def _moment(value: Any) -> bytes | None:
    found = moment(value)
    if found is None:
        return None
    return str(np.datetime64(found, "us")).replace("T", " ").encode()


def _number(value: Any) -> bytes | None:
    """The shortest digits that give a number back, as Arrow writes them.

    >>> _number(1e20), _number(-0.0), _number(1.5e-7), _number(12.0)
    (b'1e+20', b'0', b'1.5e-7', b'12')
    """
    found = number(value)
    if found is None:
        return None
    head, _, tens = repr(abs(found)).partition("e")
    whole, _, part = head.partition(".")
    digits = (whole + part).lstrip("0")
    # The place of the first digit: 0 is that of the ones.
    first = len(whole) - 1 - (len(whole + part) - len(digits)) + int(tens or 0)
    digits = digits.rstrip("0")
    if not digits:
        return b"0"
    if _LEAST <= first < _MOST:
        padded = "0" * max(-first, 0) + digits.ljust(first + 1, "0")
        ones = max(first, 0) + 1
        said = f"{padded[:ones]}.{padded[ones:]}".rstrip(".")
    else:
        said = f"{digits[0]}.{digits[1:]}".rstrip(".") + f"e{first:+d}"
    return f"{'-' if found < 0 else ''}{said}".encode()


def _vector(value: Any) -> bytes:
    return (np.asarray(value, np.float64).astype("<f4") + np.float32(0)).astype("<f4").tobytes()


def _series(value: Any) -> bytes:
    shape = np.array(value.shape, "<i4").tobytes()
    return shape + np.where(np.isnan(value), np.float64(np.nan), value).astype("<f4").tobytes()


def _file(value: Any) -> bytes:
    return bytes(value)


_TOLD = {
    "text": _text, "categorical": _named, "boolean": _truth, "datetime": _moment,
    "numeric": _number, "vector": _vector, "series": _series, "image": _file, "audio": _file,
}  # fmt: skip
