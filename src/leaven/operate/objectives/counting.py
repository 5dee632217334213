"""Requests by the minute, good and bad: counted once, kept, and added up over any window.

The log is too long to be read at each look. Minutes are counted anew while rows may still come for
them, which servers write behind their answers, and are kept after that. A store that cannot be
written is as little looked at, so what servers hold back meanwhile is still counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Integer,
    case,
    cast,
    delete,
    func,
    insert,
    select,
)

from leaven.operate.objectives.indicator import RequestIndicator
from leaven.store.alert_tables import slo_counts
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store

__all__ = ["Counted", "Counts"]

_MINUTE = 60
_LATE = 15  # minutes for which rows may still come
_DAY = 1440  # minutes
_HEARD = ("live", "canary")  # the places whose answers somebody got
_OURS = 500  # from this status on it is the service that failed, not who asked
_ROWS = 1000
_SCOPE = -4  # in which counts are written


@dataclass(frozen=True)
class Counted:
    """Requests of a window."""

    good: int
    bad: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.good + self.bad

    @property
    def share(self) -> float:
        """Of those that are bad; 0 where there is none."""
        return self.bad / self.total if self.total else 0.0


class Counts:
    """The requests of a service, as an indicator counts them.

    Parameters
    ----------
    within : the bound that the indicator's condition takes.
    keep : seconds for which counts are kept.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        indicator: RequestIndicator,
        within: float | None,
        keep: float,
    ) -> None:
        self.store, self.service, self._indicator = store, service, indicator
        self._within, self._keep = within or 0.0, int(keep // _MINUTE) + _DAY
        self._what = indicator.name + (f" {within:g}" if within is not None else "")

    def catch_up(self, now: float) -> None:
        """Count what came since the last look, the last minutes anew."""
        last = int(now // _MINUTE)
        query = select(func.max(slo_counts.c.minute)).where(*self._mine)
        with self.store.read() as connection:
            known = connection.execute(query).scalar()
        first = max(last - self._keep, 0 if known is None else min(known, last) - _LATE)
        for begin in range(first, last + 1, _DAY):
            self._recount(begin, min(begin + _DAY, last + 1))
        with self.store.write(_SCOPE) as connection:
            old = slo_counts.c.minute < last - self._keep
            connection.execute(delete(slo_counts).where(*self._mine, old))

    def over(self, seconds: float, now: float) -> Counted:
        """The requests of the last `seconds`, by whole minutes."""
        last = int(now // _MINUTE)
        inside = slo_counts.c.minute.between(last - max(int(seconds // _MINUTE), 1) + 1, last)
        sums = (func.coalesce(func.sum(slo_counts.c[name]), 0) for name in ("good", "bad"))
        with self.store.read() as connection:
            good, bad = connection.execute(select(*sums).where(*self._mine, inside)).one()
        return Counted(int(good), int(bad))

    @property
    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return slo_counts.c.service == self.service, slo_counts.c.what == self._what

    def _recount(self, begin: int, end: int) -> None:
        """Count the minutes from `begin` to before `end`, and put that in the place of what was."""
        good: Counter[int] = Counter()
        bad: Counter[int] = Counter()
        with self.store.read() as connection:
            for minute, total, wrong in self._counted(connection, begin, end):
                bad[minute] += wrong
                good[minute] += total - wrong
        mine = {"service": self.service, "what": self._what}
        # The last minute has a row in any case: until there all is counted.
        rows = [
            mine | {"minute": minute, "good": good[minute], "bad": bad[minute]}
            for minute in sorted({*good, *bad, end - 1})
        ]
        with self.store.write(_SCOPE) as connection:
            inside = slo_counts.c.minute.between(begin, end - 1)
            connection.execute(delete(slo_counts).where(*self._mine, inside))
            for start in range(0, len(rows), _ROWS):
                connection.execute(insert(slo_counts), rows[start : start + _ROWS])

    def _counted(
        self, connection: Connection, begin: int, end: int
    ) -> Iterator[tuple[int, int, int]]:
        """Minute, requests, and bad ones among them."""
        lite = connection.dialect.name == "sqlite"
        yield from _numbers(connection, self._answered(begin, end, lite))
        if self._indicator.failed:
            table = failures
            minute = _minute(table.c.at, lite)
            query = select(minute, func.count(), func.count()).where(
                table.c.service == self.service, table.c.status >= _OURS,
                *_between(table.c.at, begin, end),
            )  # fmt: skip
            yield from _numbers(connection, query.group_by(minute))

    def _answered(self, begin: int, end: int, lite: bool) -> Executable:
        """By the minute. A request of many records is one, bad where one of them is."""
        table, bad = predictions, self._indicator.bad
        wrong = case((bad(self._within), 1), else_=0) if bad is not None else cast(0, Integer)
        requests = (
            select(_minute(func.min(table.c.at), lite).label("minute"),
                   func.max(wrong).label("bad"))
            .where(table.c.service == self.service, table.c.place.in_(_HEARD),
                   *_between(table.c.at, begin, end))
            .group_by(table.c.request)
            .subquery()
        )  # fmt: skip
        columns = requests.c.minute, func.count(), func.sum(requests.c.bad)
        return select(*columns).group_by(requests.c.minute)


def _minute(at: Any, lite: bool) -> ColumnElement[int]:
    """The number of the minute: SQLite cuts where it casts, PostgreSQL rounds."""
    minutes = at / float(_MINUTE)
    return cast(minutes if lite else func.floor(minutes), Integer)


def _between(at: Any, begin: int, end: int) -> tuple[ColumnElement[bool], ...]:
    return at >= begin * _MINUTE, at < end * _MINUTE


def _numbers(connection: Connection, query: Executable) -> Iterator[tuple[int, int, int]]:
    for minute, total, bad in connection.execute(query):
        yield int(minute), int(total), int(bad)
