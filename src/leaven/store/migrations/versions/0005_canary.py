"""What the guard of a canary looks at, and what it found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add where a request's key lies and how long it took; make both tables."""
    op.add_column("predictions", sa.Column("position", sa.Float(), nullable=True))
    op.add_column("predictions", sa.Column("seconds", sa.Float(), nullable=True))
    op.create_table(
        "failures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request", sa.String(length=200), nullable=False),
        sa.Column("service", sa.String(length=200), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=20), nullable=False),
        sa.Column("position", sa.Float(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failures")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_failures_service_at", "failures", ["service", "at"])
    op.create_table(
        "canary_looks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canary_looks")),
        sa.UniqueConstraint("service", "number", name=op.f("uq_canary_looks_service_number")),
        sqlite_autoincrement=True,
    )
