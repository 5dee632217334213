"""The schema of who may come in: users, what lets them in, and the history of all changes.

No password, invitation, token or cookie is kept, only what tells a right one from a wrong one.
`people_events` is the history: rows are added and never changed.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from leaven.store.tables import METADATA

__all__ = ["invitations", "people_events", "sessions", "tokens", "tries", "users"]

#: `folded` is the name without case, under which a second user cannot pose as the first.
#: `password` is null until the invitation was used.
users = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("folded", String(400), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password", String(200)),
    Column("created", Float, nullable=False),
    Column("disabled", Float),
)

#: Links that let their user choose a password, once.
invitations = Table(
    "invitations",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("user", ForeignKey("users.id"), nullable=False),
    Column("expires", Float, nullable=False),
    Index("ix_invitations_user", "user"),
)

#: Browsers that are signed in; `seen` moves on while they are used.
sessions = Table(
    "sessions",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("user", ForeignKey("users.id"), nullable=False),
    Column("created", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Index("ix_sessions_user", "user"),
)

#: Programs that may come in. One that is revoked stays in the list.
tokens = Table(
    "tokens",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("folded", String(400), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("used", Float),
    Column("revoked", Float),
    Index("ix_tokens_folded", "folded"),
)

#: Failed sign-ins by what they have in common (`what`, a hash): no other before `until`.
tries = Table(
    "tries",
    METADATA,
    Column("what", String(64), primary_key=True),
    Column("failed", Integer, nullable=False),
    Column("latest", Float, nullable=False),
    Column("until", Float, nullable=False),
    Index("ix_tries_latest", "latest"),
)

#: Who did what to whom.
people_events = Table(
    "people_events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("person", String(200), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("about", String(80), nullable=False),
    Column("note", Text),
    Index("ix_people_events_about", "about", "id"),
    sqlite_autoincrement=True,
)
