"""The schema of what was seen of records in production: counts, never the records.

A row is what one process answered in one hour with one model. Rows add up: to a day, to all
processes. `counts` has, of each column of the model's reference for drift, the number of records in
each of its bins, and a digest of these, as only rows of the same bins add up; `strange` are the
records that have a cell unlike any of the reference.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table

from leaven.store.tables import METADATA

__all__ = ["sketches"]

#: `hour` is of 3600 s since 1970; `process` is drawn anew by each process that answers.
sketches = Table(
    "sketches",
    METADATA,
    Column("service", String(200), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("process", String(40), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("strange", Integer, nullable=False),
    Column("counts", JSON, nullable=False),
    Index("ix_sketches_hour", "hour"),
)
