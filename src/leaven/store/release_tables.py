"""The schema of what serves: runs that were registered, and the history of their releases.

`releases` is the history: rows are added and never changed, and each service counts its own, so
that of two who decide at once one comes too late.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from leaven.store.tables import METADATA

__all__ = ["registered", "releases"]

#: A run as it was when it was registered: where it is, the digest of its manifest, and `told`,
#: all that one asks of it later (data, labels, recipe, packages, figures, verdict).
registered = Table(
    "registered",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("folder", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("person", String(200), nullable=False),
    Column("told", JSON, nullable=False),
    UniqueConstraint("run", "digest"),
)

#: What happened to a service, in order of `number`. `kind` is shadow, canary, live or retired,
#: `share` that of the requests which a canary answers.
releases = Table(
    "releases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("service", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("run", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("share", Float),
    Column("person", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("service", "number"),
    sqlite_autoincrement=True,
)
