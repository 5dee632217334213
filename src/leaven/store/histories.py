"""The histories that the audit log vouches for, and whether their rows are still what it says.

A history is a table whose rows are added and never changed, and of each row an entry of the log
tells the values. They were written in the same transaction, one after another, so rows and entries
stand in the same order and can be compared in one passage over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from leaven.store.people_tables import people_events
from leaven.store.release_tables import releases

__all__ = ["HISTORIES", "History", "Told", "strayed"]

_ROWS = 5_000  # that are read at once


@dataclass(frozen=True)
class History:
    """A table, what a row of it is called, and which of its columns the log repeats."""

    table: Table
    noun: str
    columns: tuple[str, ...]


#: By the domain of the acts that tell of it: `release.live`, `people.added`.
HISTORIES: Mapping[str, History] = {
    "release": History(
        releases,
        "release",
        ("service", "number", "at", "kind", "run", "digest", "share", "person", "reason"),
    ),
    "people": History(people_events, "change of people", ("at", "person", "kind", "about", "note")),
}


@dataclass(frozen=True)
class Told:
    """What an entry says of a row. The first entry of a log, of no domain, says which rows are
    older than it: the number of the last one of each history."""

    domain: str
    number: int
    values: Mapping[str, Any]


def strayed(connection: Connection, entries: Iterable[Told]) -> tuple[int, str] | None:
    """The first entry whose row is not what it says, and why; None where all rows are.

    A row that was added without an entry is told with the last entry before it.
    """
    rows: dict[str, Iterator[Any]] = {}
    last = 1
    for told in entries:
        last = told.number
        if not told.domain:
            older = {name: told.values.get(name) for name in HISTORIES}
            rows = {
                name: _rows(connection, HISTORIES[name].table, row if isinstance(row, int) else 0)
                for name, row in older.items()
            }
            continue
        history, row = HISTORIES[told.domain], next(rows[told.domain], None)
        if row is None:
            return told.number, f"The {history.noun} that it tells of is gone from the history."
        if odd := _differing(history, row, told):
            return told.number, f"The {history.noun} that it tells of has another {odd} now."
    for name, left in rows.items():
        if (row := next(left, None)) is not None:
            noun = HISTORIES[name].noun
            return last, f"After it a {noun} was added (row {row.id}) that the log does not know."
    return None


def _differing(history: History, row: Any, told: Told) -> str:
    """The columns in which a row is not what was told of it; "" for none."""
    return " and ".join(
        name for name in history.columns if getattr(row, name) != told.values.get(name)
    )


def _rows(connection: Connection, table: Table, after: int) -> Iterator[Any]:
    """The rows of a table after this one, some at a time."""
    while True:
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(_ROWS)
        found = connection.execute(query).all()
        yield from found
        if len(found) < _ROWS:
            return
        after = found[-1].id
