"""What a store holds plain, or under another key, sealed with the newest.

Rows are gone through in order, some at a time. Each value is replaced where it still is what was
read. So a kill leaves some sealed and the others as they were, and of two who seal at once one
comes too late and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    cast,
    literal,
    select,
    tuple_,
    update,
)

from leaven.store.sealed import SealedJSON, SealedText
from leaven.store.store import Store
from leaven.store.tables import METADATA

__all__ = ["seal_values"]

_ROWS = 500  # in a transaction


def seal_values(store: Store) -> int:
    """Seal every value of the columns that are encrypted where there is a key; how many were not.

    Then the database gives up the room in which they were. Raises SealedError where no key fits a
    value, DamagedError where it is broken: those before it are sealed then.
    """
    done = 0
    for table, column in _columns():
        after: tuple[object, ...] | None = None
        while True:
            with store.write() as connection:
                last, changed = _seal_some(connection, table, column, after)
            done += changed
            if last is None:
                break
            after = last
    store.compact({table.name for table, _ in _columns()})
    return done


def _columns() -> Iterator[tuple[Table, Column[object]]]:
    for table in METADATA.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SealedJSON | SealedText):
                yield table, column


def _seal_some(
    connection: Connection, table: Table, column: Column[object], after: tuple[object, ...] | None
) -> tuple[tuple[object, ...] | None, int]:
    """The key of the last row that was looked at, None at the end; and how many were changed."""
    kind, keys = column.type, list(table.primary_key)
    assert isinstance(kind, SealedJSON | SealedText)
    stored = cast(column, Text)
    query = select(*keys, stored.label("stored")).order_by(*keys).limit(_ROWS)
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*(literal(one) for one in after)))
    rows = connection.execute(query).all()
    done = 0
    for *key, value in rows:
        made = None if value is None else kind.again(value)
        if made is None:
            continue
        here = and_(*(one == told for one, told in zip(keys, key, strict=True)), stored == value)
        new: ColumnElement[object] = literal(made, Text())
        if isinstance(kind, SealedJSON) and connection.dialect.name != "sqlite":
            new = cast(new, JSON)
        done += connection.execute(update(table).where(here).values({column: new})).rowcount
    return (tuple(rows[-1][:-1]) if len(rows) == _ROWS else None), done
