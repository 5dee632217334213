"""An audit log written anew from some entry on, as somebody would who has the whole database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from leaven.store.audit import Entry
from leaven.store.audit_tables import audit


def row_of(entry: Entry) -> dict[str, Any]:
    """The entry as its table has it."""
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


def forge(connection: Connection, first: int, **change: Any) -> None:
    """Change an entry, and write all later ones anew, so that the chain is whole again."""
    rows = connection.execute(select(audit).order_by(audit.c.number)).all()
    entries = [Entry(*row) for row in rows if row.number >= first]
    connection.execute(delete(audit).where(audit.c.number >= first))
    previous = entries[0].previous
    for entry in entries:
        row = row_of(entry) | (change if entry.number == first else {}) | {"previous": previous}
        row["hash"] = previous = Entry(**row).hashed()
        connection.execute(insert(audit).values(row))
