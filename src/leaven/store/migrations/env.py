"""Asked by Alembic: runs the steps on the connection that `Store` gives it."""

from __future__ import annotations

from alembic import context

from leaven.store.tables import METADATA

if hasattr(context, "config"):  # for who imports it besides, there is nothing to run on
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()
