"""The schema of loops: what happened in each, and who may act for it.

`loop_events` is the history: rows are added and never changed, and each service counts its own, so
that of two who go on at once one comes too late. `loop_leases` says who acts; a lease that somebody
else took has another `token`, and with the old one nothing can be written any more.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, String, Table, Text, UniqueConstraint

from leaven.store.sealed import SealedJSON
from leaven.store.tables import METADATA

__all__ = ["loop_events", "loop_leases"]

#: What happened to the loop of a service, in order of `number`. `kind` is moved (to `state`, by
#: `outcome`), noted (within `state`), or what a person did: triggered, approved, refused, paused,
#: resumed. `told` may hold records that people are to be asked about.
loop_events = Table(
    "loop_events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("service", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("person", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("told", SealedJSON("loop_events.told"), nullable=False),
    UniqueConstraint("service", "number"),
    sqlite_autoincrement=True,
)

#: Who acts for a service, until when (seconds since 1970), and the how-manieth holder this is.
loop_leases = Table(
    "loop_leases",
    METADATA,
    Column("service", String(200), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String(200), nullable=False),
    Column("until", Float, nullable=False),
)
