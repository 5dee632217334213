"""The schema: what is kept of the people who label, what they are asked, and what they said.

`events` is the history: rows are added and never changed. What stands now (`answers`, the counts
of `tasks`) follows from it, and is kept beside it in the same transaction so that the next task is
found without reading the history.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from leaven.store.sealed import SealedJSON, SealedText

__all__ = ["METADATA", "OPEN", "answers", "events", "leases", "queues", "tasks"]

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: One question about one set of records; `classes` are the answers that it takes.
queues = Table(
    "queues",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created", Float, nullable=False),
    Column("modality", String(40), nullable=False),
    Column("question", Text, nullable=False),
    Column("classes", JSON, nullable=False),
)

#: A record that people are asked about. `wanted` answers of different people make it done;
#: `missing` is how many of them are not there yet, and 0 where nobody is to be asked any more.
tasks = Table(
    "tasks",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("queue", ForeignKey("queues.id"), nullable=False),
    Column("record", Text, nullable=False),
    Column("content", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("batch", String(80), nullable=False),
    Column("shown", SealedJSON("tasks.shown"), nullable=False),
    Column("guess", JSON, nullable=False),
    Column("reason", SealedText("tasks.reason"), nullable=False),
    Column("origin", JSON, nullable=False),
    Column("truth", Text),
    Column("priority", Float, nullable=False),
    Column("assigned", String(200)),
    Column("wanted", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("queue", "record", "kind", "batch"),
)

#: Of a task that somebody is to be asked about: as the index has it, which finds the next by it.
OPEN = text("tasks.missing > 0")

Index(
    "ix_tasks_next",
    tasks.c.queue,
    tasks.c.priority.desc(),
    tasks.c.id,
    sqlite_where=text("missing > 0"),
    postgresql_where=text("missing > 0"),
)

#: Who holds a task, and until when nobody else gets that place of it.
leases = Table(
    "leases",
    METADATA,
    Column("task", ForeignKey("tasks.id"), primary_key=True),
    Column("person", String(200), primary_key=True),
    Column("until", Float, nullable=False),
    Index("ix_leases_person", "person"),
)

#: What stands of each person about each task; a skipped one has no label.
answers = Table(
    "answers",
    METADATA,
    Column("task", ForeignKey("tasks.id"), primary_key=True),
    Column("person", String(200), primary_key=True),
    Column("label", Text),
    Column("final", Boolean, nullable=False),
    Column("event", ForeignKey("events.id"), nullable=False),
)

#: Everything that happened, in order. `key` is the asker's own number of an answer: the same
#: answer sent twice is one event.
events = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("queue", ForeignKey("queues.id"), nullable=False),
    Column("task", ForeignKey("tasks.id")),
    Column("person", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("label", Text),
    Column("seconds", Float),
    Column("guess", Text),
    Column("confidence", Float),
    Column("key", String(80), unique=True),
    Column("note", SealedText("events.note")),
    Index("ix_events_queue", "queue", "id"),
    Index("ix_events_task", "task"),
    sqlite_autoincrement=True,
)
