"""The schema of incidents: what happened in each.

`incident_events` is the history: rows are added and never changed. An incident is what its events
come to; each counts its own, so that of two who write at once one comes after the other.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from leaven.store.sealed import SealedJSON
from leaven.store.tables import METADATA

__all__ = ["incident_events"]

#: What happened in an incident, in order of `number`. `kind` is opened, frozen, noted, begun, done
#: or failed (of a `step`), or closed. `told` may hold records that people are to be asked about.
incident_events = Table(
    "incident_events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("incident", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("service", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("step", String(80), nullable=False),
    Column("person", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("told", SealedJSON("incident_events.told"), nullable=False),
    UniqueConstraint("incident", "number"),
    Index("ix_incident_events_service", "service"),
    sqlite_autoincrement=True,
)
