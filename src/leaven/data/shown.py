"""A text and a row of a table as a page shows them. Imports no torch: servers show records too."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from leaven.data.dataset import Dataset

__all__ = ["shown_row", "shown_text"]

_TEXT, _CELL = 2000, 200  # characters, at most


def shown_text(text: str | None) -> dict[str, Any]:
    """A text, at most 2000 characters of it; not escaped."""
    return {"kind": "text", "text": _cut(text or "", _TEXT)}


def shown_row(dataset: Dataset, position: int) -> dict[str, Any]:
    """All cells of a row as text, each at most 200 characters; not escaped."""
    row = dataset.records.slice(position, 1).to_pylist()[0]
    return {
        "kind": "row",
        "cells": [{"name": c.name, "value": _readable(row[c.name])} for c in dataset.columns],
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _readable(value: Any) -> str:
    """A cell for people: thin spaces in long numbers, six digits, days before times.

    >>> [_readable(v) for v in (2024, 1234567, 0.1 + 0.2, None, True)]
    ['2024', '1\\u2009234\\u2009567', '0.3', '—', 'yes']
    """
    if value is None or value != value:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and (abs(value) >= 1e15 or not value.is_integer()):
        return f"{value:.6g}"
    if isinstance(value, int | float):
        # Four digits stay together: most of them are years.
        whole = int(value)
        return f"{whole:,}".replace(",", "\u2009") if abs(whole) >= 10_000 else str(whole)
    if isinstance(value, datetime):
        midnight = value.time() == datetime.min.time()
        return value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")
    if isinstance(value, date | timedelta):
        return str(value)
    return _cut(str(value), _CELL)
