"""The histories that the audit log vouches for, and whether their rows are still what it says.

A history is a table whose rows are added and never changed, and of each row an entry of the log
tells the values. They were written in the same transaction, one after another, so rows and entries
stand in the same order and can be compared in one passage over both.

A log vouches for a history from the entry by which it began to, `log.began`, which says the last
row that is older. The first entry says so of the histories of that time; one that is entered in
`HISTORIES` later begins when a store is next brought up to a newer schema, so it comes with a
migration, be it an empty one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, Text, select, type_coerce

from leaven.core.errors import DamagedError
from leaven.store.incident_tables import incident_events
from leaven.store.loop_tables import loop_events
from leaven.store.people_tables import people_events
from leaven.store.release_tables import releases
from leaven.store.sealed import first_stored

__all__ = ["BEGAN", "HISTORIES", "History", "Told", "strayed", "told_of"]

#: The act by which the log begins to vouch for histories.
BEGAN = "log.began"

_ROWS = 5_000  # that are read at once


@dataclass(frozen=True)
class History:
    """A table, what a row of it is called, and which of its columns the log repeats.

    Of a column in `digested`, of JSON that may be sealed, it has the SHA-256 as it was stored: that
    tells nothing of what is sealed, and is compared without a key but where it was sealed later.
    """

    table: Table
    noun: str
    columns: tuple[str, ...]
    digested: tuple[str, ...] = ()

    def rows(self) -> Select[Any]:
        """The query of the rows, as `told` takes them."""
        stored = [type_coerce(self.table.c[name], Text).label(name) for name in self.digested]
        return select(self.table.c.id, *(self.table.c[name] for name in self.columns), *stored)

    def told(self, row: Any) -> dict[str, Any]:
        """What the log says of a row."""
        told = {name: getattr(row, name) for name in self.columns}
        return told | {
            name: _digest(getattr(row, name), f"{self.table.name}.{name}") for name in self.digested
        }


#: By the domain of the acts that tell of it: `release.live`, `people.added`.
HISTORIES: Mapping[str, History] = {
    "release": History(
        releases,
        "release",
        ("service", "number", "at", "kind", "run", "digest", "share", "person", "reason"),
    ),
    "people": History(people_events, "change of people", ("at", "person", "kind", "about", "note")),
    "loop": History(
        loop_events,
        "loop event",
        ("service", "number", "at", "kind", "cycle", "state", "outcome", "person", "reason"),
        digested=("told",),
    ),
    "incident": History(
        incident_events,
        "incident event",
        ("incident", "number", "service", "at", "kind", "step", "person", "reason"),
        digested=("told",),
    ),
}


@dataclass(frozen=True)
class Told:
    """What an entry says of a row. One of no domain says of histories which of their rows are older
    than what the log knows of them: the number of the last one."""

    domain: str
    number: int
    values: Mapping[str, Any]


def told_of(connection: Connection, domain: str, row: int) -> dict[str, Any]:
    """What the log is to say of a row that was added in this transaction."""
    history = HISTORIES[domain]
    query = history.rows().where(history.table.c.id == row)
    return history.told(connection.execute(query).one())


def strayed(connection: Connection, entries: Iterable[Told]) -> tuple[int, str] | None:
    """The first entry whose row is not what it says, and why; None where all rows are.

    A row that was added without an entry is told with the last entry before it. Entries from before
    their history began are not compared, and none begins twice.
    """
    rows: dict[str, Iterator[Any]] = {}
    last = 1
    for told in entries:
        last = told.number
        if not told.domain:
            for name in (told.values.keys() & HISTORIES.keys()) - rows.keys():
                row = told.values[name]
                rows[name] = _rows(connection, HISTORIES[name], row if isinstance(row, int) else 0)
        elif told.domain in rows:
            history, row = HISTORIES[told.domain], next(rows[told.domain], None)
            if row is None:
                return last, f"The {history.noun} that it tells of is gone from the history."
            if odd := _differing(history, row, told):
                return last, f"The {history.noun} that it tells of has another {odd} now."
    for name, left in rows.items():
        if (row := next(left, None)) is not None:
            noun = HISTORIES[name].noun
            return last, f"After it a {noun} was added (row {row.id}) that the log does not know."
    return None


def _differing(history: History, row: Any, told: Told) -> str:
    """The columns in which a row is not what was told of it; "" for none."""
    return " and ".join(
        name for name, value in history.told(row).items() if value != told.values.get(name)
    )


def _digest(stored: Any, column: str) -> str:
    """The SHA-256 of JSON as it was first stored.

    The driver gives it as text or as what it stands for.
    """
    if isinstance(stored, str):
        with suppress(ValueError):
            stored = json.loads(stored)
    # What somebody else wrote there may be no JSON, and then has another digest.
    with suppress(DamagedError):
        stored = first_stored(stored, column)
    told = json.dumps(stored, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def _rows(connection: Connection, history: History, after: int) -> Iterator[Any]:
    """The rows of a history after this one, some at a time."""
    number = history.table.c.id
    while True:
        query = history.rows().where(number > after).order_by(number).limit(_ROWS)
        found = connection.execute(query).all()
        yield from found
        if len(found) < _ROWS:
            return
        after = found[-1].id
