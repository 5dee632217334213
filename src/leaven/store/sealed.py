"""Columns that are encrypted where there is a key: what a record shows, and what people wrote.

A value is sealed by `leaven.core.sealing` under its column's name, and kept as text after `SEALED`.
What was written without a key is read as it is. Nothing can be searched for in such a column.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from sqlalchemy import JSON, Dialect, Text, TypeDecorator

from leaven.core.errors import DamagedError
from leaven.core.sealing import opened, sealed, sealing

__all__ = ["SealedJSON", "SealedText"]

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


def _closed(value: str, column: str) -> str:
    return _SEALED + base64.b64encode(sealed(value.encode(), column)).decode("ascii")


def _open(value: str, column: str) -> str:
    try:
        data = base64.b64decode(value.removeprefix(_SEALED), validate=True)
    except ValueError as broken:
        raise DamagedError(f"'{column}' of the store is encrypted, and was changed.") from broken
    return opened(data, column, f"{column} of the store").decode()
