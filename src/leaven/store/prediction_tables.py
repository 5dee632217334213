"""The schema of what was answered in production, and of the truth that came later.

Records are not kept, only the hash of their content, by which truth can be joined to the records
of a set. A prediction that was sampled has the share it was sampled with (`logged`), so that
counts can be weighted back.

While a canary stands, whose requests it answers is drawn by their keys. Such rows say where the key
lies (`position`), so that whoever compares both can count each asker once; a request that named its
model, and so chose its side, has none.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
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

__all__ = ["feedback", "predictions"]

#: One answer about one record. `name` is the id that the asker was given; `place` is live or
#: canary, or shadow or mirror, whose answers nobody heard and which share the name of the answer
#: that was given. `route` is answer or review; `explored` says that it belongs to the random
#: exploration share; `seconds` is from the checked request to its answer. `larger` is the run that
#: answered in its place, behind it in a cascade; null where its own model did.
predictions = Table(
    "predictions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("request", String(200), nullable=False),
    Column("service", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("run", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("place", String(20), nullable=False),
    Column("content", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Column("probabilities", JSON, nullable=False),
    Column("route", String(20), nullable=False),
    Column("explored", Boolean, nullable=False),
    Column("logged", Float, nullable=False),
    Column("agrees", Boolean),
    Column("position", Float),
    Column("seconds", Float),
    Column("larger", String(200)),
    UniqueConstraint("name", "place"),
    Index("ix_predictions_service_at", "service", "at"),
    sqlite_autoincrement=True,
)

#: What turned out to be true of a prediction, once. `caused` says that it was brought about by what
#: was done because of the prediction, and so tells nothing of whether it was right.
feedback = Table(
    "feedback",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("service", String(200), nullable=False),
    Column("prediction", String(80), nullable=False, unique=True),
    Column("content", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("caused", Boolean, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("person", String(200), nullable=False),
    Column("at", Float, nullable=False),
    sqlite_autoincrement=True,
)
