"""Columns that are encrypted where there is a key: what a record shows, and what people wrote.

A value is sealed by `leaven.core.sealing` under its column's name, and kept as text after `SEALED`.
What was written without a key is read as it is. Nothing can be searched for in such a column.
A value that is sealed again (`again`) can be told as it was first stored (`first_stored`).
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from sqlalchemy import JSON, Dialect, Text, TypeDecorator

from leaven.core.errors import DamagedError
from leaven.core.sealing import (
    LATER,
    before_of,
    first_parts,
    is_newest,
    opened,
    sealed,
    sealing,
)

__all__ = ["SealedJSON", "SealedText", "first_stored"]

#: What sealed values begin with; and, so that nobody's text is taken for one, plain ones that would
#: begin so.
_SEALED, _PLAIN = "leaven-sealed:", "leaven-plain:"


class SealedText(TypeDecorator[str]):
    """Text. `column` is its table and name, `tasks.reason`: a value opens in no other."""

    impl = Text
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is written."""
        if value is None:
            return None
        if sealing():
            return _closed(value, self.column)
        return _PLAIN + value if value.startswith((_SEALED, _PLAIN)) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was given. SealedError where no key fits, DamagedError where it is broken."""
        if value is None or not value.startswith((_SEALED, _PLAIN)):
            return value
        if value.startswith(_PLAIN):
            return value.removeprefix(_PLAIN)
        return _open(value, self.column)

    def again(self, stored: str) -> str | None:
        """What is stored, sealed with the newest key; None where it is. Raises as reading it."""
        if not stored.startswith(_SEALED):
            return _again(stored.removeprefix(_PLAIN), None, self.column)
        return _again(_open(stored, self.column), stored, self.column)


class SealedJSON(TypeDecorator[Any]):
    """A JSON object or array, sealed as a JSON string; `column` as of `SealedText`."""

    impl = JSON
    cache_ok = True

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """As it is written."""
        return _closed(json.dumps(value), self.column) if sealing() else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """As it was given; raises as `SealedText`."""
        if isinstance(value, str) and value.startswith(_SEALED):
            return json.loads(_open(value, self.column))
        return value

    def again(self, stored: str) -> str | None:
        """As of `SealedText`, of the JSON as it is stored and as it will be."""
        value = json.loads(stored)
        if isinstance(value, str) and value.startswith(_SEALED):
            made = _again(_open(value, self.column), value, self.column)
        else:
            made = _again(json.dumps(value), None, self.column)
        return None if made is None else json.dumps(made)


def first_stored(value: Any, column: str) -> Any:
    """What was first stored where `value` is, in a column of JSON: another if it was sealed later.

    Raises SealedError where no key fits, DamagedError where it is broken.
    """
    if not isinstance(value, str) or not value.startswith(_SEALED):
        return value
    data = _data(value, column)
    if not data.startswith(LATER):
        return value
    before, plain = before_of(io.BytesIO(data), column, column), opened(data, column, column)
    first = b"".join(first_parts(io.BytesIO(plain), before))
    return json.loads(first) if not any(before) else _coded(first)


def _again(value: str, stored: str | None, column: str) -> str | None:
    """This value under the newest key; `stored` is the sealed one that stands for it now."""
    data = b"" if stored is None else _data(stored, column)
    if is_newest(data):
        return None
    return _coded(sealed(value.encode(), column, before_of(io.BytesIO(data), column, column)))


def _closed(value: str, column: str) -> str:
    return _coded(sealed(value.encode(), column))


def _open(value: str, column: str) -> str:
    return opened(_data(value, column), column, f"{column} of the store").decode()


def _coded(data: bytes) -> str:
    return _SEALED + base64.b64encode(data).decode("ascii")


def _data(value: str, column: str) -> bytes:
    try:
        return base64.b64decode(value.removeprefix(_SEALED), validate=True)
    except ValueError as broken:
        raise DamagedError(f"'{column}' of the store is encrypted, and was changed.") from broken
