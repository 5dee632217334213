"""Insert a row, or change the one that is there, in one statement of either database; and many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["add_new", "put"]

_VALUES = 999  # in a statement of SQLite, which takes no more in older versions


def put(connection: Connection, table: Table, keys: dict[str, Any], values: dict[str, Any]) -> None:
    """Insert a row, or change the one that has these keys."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = dialect.insert(table).values(**keys, **values)
    connection.execute(row.on_conflict_do_update(index_elements=list(keys), set_=values))


def add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those of some rows that are not there yet; all have the same columns, two or more.

    SQLAlchemy would look at each value of each row, which takes as long again as to insert it. So
    the statement is made once, and the driver given what SQLAlchemy would give it. SQLite's driver
    lets go of the interpreter's lock and takes it back for each row, which has other threads of a
    busy process stop and start as often; so it is given many rows in one statement.
    """
    told = _insertion(table, connection.dialect, tuple(rows[0]))
    values = [told.values(row) for row in rows]
    if not told.by_place:
        connection.exec_driver_sql(told.statement, values)
        return
    together = _VALUES // len(told.names)
    for first in range(0, len(values), together):
        some = values[first : first + together]
        connection.exec_driver_sql(told.of_rows(len(some)), tuple(chain.from_iterable(some)))


class _Insertion(NamedTuple):
    """How rows of the same columns are given to a driver, by place or by name.

    `names` are in the order of the places. `kinds` are the places of values that the driver does
    not take as they are, with what makes them so.
    """

    statement: str
    by_place: bool
    names: tuple[str, ...]
    kinds: tuple[tuple[int, Callable[[Any], Any]], ...]

    def of_rows(self, number: int) -> str:
        """The statement that inserts so many rows, whose values are given one after the other."""
        places = f"({', '.join('?' * len(self.names))})"
        return self.statement.replace(places, ", ".join([places] * number))

    def values(self, row: Mapping[str, Any]) -> Any:
        found = list(itemgetter(*self.names)(row))
        for place, made in self.kinds:
            found[place] = made(found[place])
        return tuple(found) if self.by_place else dict(zip(self.names, found, strict=True))


@lru_cache(16)
def _insertion(table: Table, dialect: Dialect, columns: tuple[str, ...]) -> _Insertion:
    insert = (sqlite if dialect.name == "sqlite" else postgresql).insert(table).inline()
    made = insert.on_conflict_do_nothing().compile(dialect=dialect, column_keys=columns)
    names = tuple(made.positiontup or columns)
    takes = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    kinds = tuple((place, take) for place, take in enumerate(takes) if take is not None)
    return _Insertion(str(made), made.positional, names, kinds)
