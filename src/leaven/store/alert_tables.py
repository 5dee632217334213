"""The schema of objectives and alerts: what was counted and seen, what is wrong, who was told.

`slo_counts` and `slo_looks` follow from other tables and can be made anew. `alerts` is what people
are told of: a row is an episode, opened once and closed once. `alert_notices` is the outbox: a
message waits in it until its route has taken it.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from leaven.store.tables import METADATA

__all__ = ["alert_notices", "alert_silences", "alerts", "slo_counts", "slo_looks"]

#: How many requests were good and bad in a minute (of 60 s since 1970), by what makes them bad.
slo_counts = Table(
    "slo_counts",
    METADATA,
    Column("service", String(200), primary_key=True),
    Column("what", String(80), primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("good", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
)

#: What was seen last of an objective of a service at a severity. `broken` and `fine` say since
#: when it is seen so; `told` is the finding.
slo_looks = Table(
    "slo_looks",
    METADATA,
    Column("fingerprint", String(64), primary_key=True),
    Column("service", String(200), nullable=False),
    Column("slo", String(80), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(20), nullable=False),
    Column("broken", Float),
    Column("fine", Float),
    Column("told", JSON, nullable=False),
)

#: One episode: the `number`-th of its fingerprint. It began when it was first seen, was `opened`
#: once its grace was over, and people heard of it last at `told`, None while they have not.
alerts = Table(
    "alerts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("service", String(200), nullable=False),
    Column("dataset", String(200), nullable=False),
    Column("slo", String(80), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("began", Float, nullable=False),
    Column("opened", Float, nullable=False),
    Column("closed", Float),
    Column("told", Float),
    Column("finding", JSON, nullable=False),
    UniqueConstraint("fingerprint", "number"),
    Index("ix_alerts_closed", "closed"),
    sqlite_autoincrement=True,
)

#: A message to one route. `key` is the same however often it is sent. `due` is when it may be tried
#: next, `held` until when one process tries it; `problem` is why the last try failed.
alert_notices = Table(
    "alert_notices",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("route", String(80), nullable=False),
    Column("at", Float, nullable=False),
    Column("message", JSON, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", Float, nullable=False),
    Column("held", Float, nullable=False),
    Column("sent", Float),
    Column("problem", Text, nullable=False),
    Index("ix_alert_notices_sent", "sent", "route"),
    sqlite_autoincrement=True,
)

#: Alerts that nobody is told of for a time; None for a service or objective stands for all.
alert_silences = Table(
    "alert_silences",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("service", String(200)),
    Column("slo", String(80)),
    Column("begins", Float, nullable=False),
    Column("ends", Float, nullable=False),
    Column("person", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_autoincrement=True,
)
