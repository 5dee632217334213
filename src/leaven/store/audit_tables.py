"""The schema of the audit log: what was done, by whom, each entry bound to the one before it."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from leaven.store.tables import METADATA

__all__ = ["audit"]

#: Entries in order of `number`, from 1 without a gap. `hash` is the SHA-256 of all that stands
#: before it in the row, so of `previous`, the hash of the entry before, as well. That no two rows
#: share a `previous` keeps the chain from branching. `details` is canonical JSON.
audit = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", String(80), nullable=False),
    Column("about", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_what", "what", "number"),
)
