"""The schema of what the guard of a canary looks at and what it found.

Requests that failed have no prediction, so they have a table of their own.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from leaven.store.tables import METADATA

__all__ = ["canary_looks", "failures"]

#: A request that a model was to answer and did not. `status` is that of HTTP, `position` where the
#: key of the request lies while a canary stands, as in `predictions`.
failures = Table(
    "failures",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("request", String(200), nullable=False),
    Column("service", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("run", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("place", String(20), nullable=False),
    Column("position", Float),
    Column("status", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Index("ix_failures_service_at", "service", "at"),
    sqlite_autoincrement=True,
)

#: What the guard saw last at a step of a canary, and what follows. `number` is that of the event
#: of the service that began the step; `told` holds the policy and the evidence of each signal.
canary_looks = Table(
    "canary_looks",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("service", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("run", String(200), nullable=False),
    Column("action", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("told", JSON, nullable=False),
    UniqueConstraint("service", "number"),
    sqlite_autoincrement=True,
)
