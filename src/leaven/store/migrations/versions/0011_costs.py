"""What serving took, by the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table of what serving took."""
    op.create_table(
        "serving_costs",
        sa.Column("service", sa.String(length=200), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process", sa.String(length=40), nullable=False),
        sa.Column("cpu_seconds", sa.Float(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "service", "run", "version", "hour", "process", name=op.f("pk_serving_costs")
        ),
    )
    op.create_index("ix_serving_costs_hour", "serving_costs", ["service", "hour"])
