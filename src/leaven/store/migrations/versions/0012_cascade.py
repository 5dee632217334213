"""Which run of a cascade answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """A prediction says which larger run gave it in the place of its own."""
    op.add_column("predictions", sa.Column("larger", sa.String(length=200), nullable=True))
