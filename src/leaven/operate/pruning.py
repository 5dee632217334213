"""Old predictions leave the log; what people said of them, and the audit log, stay.

A prediction of which truth came back stays as long as that: without it nobody could tell which
model said what, and whether the record was drawn at random. So do the answers that were not heard
beside it, which a canary is judged by.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Table, delete, exists, select

from leaven.core.errors import SettingError
from leaven.store import audit
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["DAY", "Pruned", "prune"]

DAY = 86_400.0  # seconds
_ROWS = 1000  # in one transaction, so that whoever else writes waits for milliseconds


@dataclass(frozen=True)
class Pruned:
    """What was removed: predictions, and requests that failed. `before` is in seconds since
    1970."""

    before: float
    predictions: int
    failures: int


def prune(
    store: Store,
    service: str,
    keep_days: float,
    *,
    by: str,
    is_ended: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.time,
) -> Pruned:
    """Remove the predictions of a service that are older than so many days.

    What was removed is noted in the audit log, where anything was. Two may prune at once.

    Parameters
    ----------
    by : who does it; it stands in the audit log.
    is_ended : asked after each thousand rows; True leaves the rest to the next time.

    Raises SettingError for days that cannot be used, StoreError where the store cannot be written:
    what was removed until then stays so.
    """
    if not 0 < keep_days < math.inf:
        raise SettingError("keep_days", "days, more than 0", keep_days)
    before = clock() - keep_days * DAY
    gone = {"predictions": 0, "failures": 0}
    try:
        for name, table in (("predictions", predictions), ("failures", failures)):
            last: int | None = 0
            while last is not None and not is_ended():
                removed, last = _some(store, table, service, before, last)
                gone[name] += removed
    finally:
        if any(gone.values()):
            with store.write() as connection:
                told = gone | {"before": before}
                audit.note(connection, by, "predictions.pruned", service, told, at=clock())
    return Pruned(before, **gone)


def _some(
    store: Store, table: Table, service: str, before: float, after: int
) -> tuple[int, int | None]:
    """Remove some rows after this one; how many, and the last that was looked at, None at the
    end."""
    with store.write() as connection:
        old = (table.c.service == service) & (table.c.at < before) & (table.c.id > after)
        ids = list(
            connection.execute(
                select(table.c.id).where(old).order_by(table.c.id).limit(_ROWS)
            ).scalars()
        )
        if not ids:
            return 0, None
        mine = (table.c.id >= ids[0]) & (table.c.id <= ids[-1]) & old
        if table is predictions:
            mine &= ~exists().where(feedback.c.prediction == table.c.name)
        removed = connection.execute(delete(table).where(mine)).rowcount
        return removed, ids[-1] if len(ids) == _ROWS else None
