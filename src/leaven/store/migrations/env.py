"""Asked by Alembic: runs the steps on the connection that `Store` gives it."""

from __future__ import annotations

from alembic import context

# Their tables belong to the schema.
from leaven.store import (
    alert_tables,
    audit_tables,
    canary_tables,
    cost_tables,
    incident_tables,
    loop_tables,
    people_tables,
    prediction_tables,
    release_tables,
    sketch_tables,
)
from leaven.store.tables import METADATA

__all__ = [
    "alert_tables",
    "audit_tables",
    "canary_tables",
    "cost_tables",
    "incident_tables",
    "loop_tables",
    "people_tables",
    "prediction_tables",
    "release_tables",
    "sketch_tables",
]

if hasattr(context, "config"):  # for who imports it besides, there is nothing to run on
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()
