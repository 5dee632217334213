"""Records by what repeats in time: the hour of the day, the day of the week, both, the month."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.operate.drift.columns import Names
from leaven.operate.drift.reference import Parts

__all__ = ["SEASONS", "seasons_of", "slices_of"]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: What repeats.
SEASONS = ("hour", "weekday", "week", "month")


def seasons_of(dataset: Dataset, season: str) -> Parts:
    """The season of each record, by its time; `week` is the hour of the week.

    Raises SettingError where the records have no time (`--time COLUMN`), or numbers for one.
    """
    if season not in SEASONS:
        raise UnknownNameError("season", season, SEASONS)
    known = dataset.meta is not None and "time" in dataset.meta.column_names
    times = dataset.meta.column("time") if known and dataset.meta is not None else None
    if times is None or not pa.types.is_temporal(times.type):
        raise SettingError("season", "records with a column of dates, named by time", season)
    hour, day, month = (
        np.asarray(part(times).fill_null(-1).to_numpy(), np.int64)
        for part in (pc.hour, pc.day_of_week, pc.month)
    )
    codes, names = {
        "hour": (hour, [f"{h:02}:00" for h in range(24)]),
        "weekday": (day, list(_DAYS)),
        "week": (day * 24 + hour, [f"{d} {h:02}:00" for d in _DAYS for h in range(24)]),
        "month": (month - 1, [f"month {m}" for m in range(1, 13)]),
    }[season]
    codes = np.where(hour < 0, len(names), codes)  # no time: a part of its own
    return Parts(codes, (*names, "missing"))


def slices_of(dataset: Dataset, column: str) -> Parts:
    """The slice of each record: its value in a column, of records or of what is known of them."""
    for table in (dataset.records, dataset.meta):
        if table is not None and column in table.column_names:
            return Parts.of(Names.of(table.column(column)))
    known = [*dataset.records.column_names]
    raise UnknownNameError("slice", column, known)
