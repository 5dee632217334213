"""The schema of what serving took: an hour, a release and a process a row.

Rows add up. What a process has told of an hour is replaced by what it tells later, so whoever is
killed has counted nothing twice.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table

from leaven.store.tables import METADATA

__all__ = ["serving_costs"]

#: `version` is that of the model as metrics tell it, `hour` of 3600 s since 1970; `process` is
#: drawn anew by each process that answers. `answered` are records whose answer somebody got.
serving_costs = Table(
    "serving_costs",
    METADATA,
    Column("service", String(200), primary_key=True),
    Column("run", String(200), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("process", String(40), primary_key=True),
    Column("cpu_seconds", Float, nullable=False),
    Column("answered", Integer, nullable=False),
    Index("ix_serving_costs_hour", "service", "hour"),
)
