"""Alerts: opened once, told once, reminded of, closed; whoever looks, and however many at once.

What was seen is taken in within one transaction that nobody else is in. So of two who saw the same
only the first opens an alert, and the messages that follow from it are in the outbox (`outbox`)
when it is open, or it is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from leaven.operate.objectives.config import Objectives
from leaven.operate.objectives.episodes import Stand, after, settling
from leaven.operate.objectives.judging import UNKNOWN, Finding
from leaven.operate.objectives.message import Message, News
from leaven.operate.objectives.silences import Silence, silences
from leaven.store.alert_tables import alert_notices, alerts, slo_looks
from leaven.store.store import Store
from leaven.store.upsert import put

__all__ = ["take_in"]

_SCOPE = -3  # in which alerts are written
_DAY = 86_400.0
#: Seconds within which a look may come in after a later one. A look further in the future was one
#: of a wrong clock, and does not count.
_SLOW = 3600.0
_FORGOTTEN = _DAY  # seconds without a look after which what was promised is no longer promised


def take_in(store: Store, findings: Sequence[Finding], told: Objectives, now: float) -> None:
    """Open and close alerts by what was seen, and put into the outbox what people are to know."""
    with store.write(_SCOPE) as connection:
        closed = [_look(connection, finding, told) for finding in findings]
        closed += _close_forgotten(connection, now)
        _write_notices(connection, closed, told, now)


def _look(connection: Connection, finding: Finding, told: Objectives) -> int | None:
    """Take one finding in, unless somebody has looked later already.

    Returns the id of the alert that it closes.
    """
    mark = finding.fingerprint
    seen = connection.execute(select(slo_looks).where(slo_looks.c.fingerprint == mark))
    before = seen.one_or_none()
    if before is not None and 0 <= before.at - finding.at < _SLOW:
        return None
    alert = _open_alert(connection, mark)
    if before is not None and alert is None and before.at < finding.at - _FORGOTTEN:
        before = None  # what it was so long ago says nothing of the time between
    stand = Stand(
        None if before is None else before.broken,
        None if before is None else before.fine,
        alert is not None,
    )
    grace = told.alerts.grace if finding.grace is None else finding.grace
    settle = settling(told.alerts.settle, _episodes(connection, mark, finding.at))
    stands = after(stand, finding.state, finding.at, grace=grace, settle=settle)
    if stands.is_open and alert is None:
        _open(connection, finding, stands.broken)
    elif alert is not None:
        changed: dict[str, Any] = {} if stands.is_open else {"closed": finding.at}
        if finding.state != UNKNOWN:
            changed["finding"] = finding.told()
        if changed:
            connection.execute(update(alerts).where(alerts.c.id == alert.id).values(changed))
    row = {
        "service": finding.service, "slo": finding.slo, "severity": finding.severity,
        "at": finding.at, "state": finding.state, "broken": stands.broken, "fine": stands.fine,
        "told": finding.told(),
    }  # fmt: skip
    put(connection, slo_looks, {"fingerprint": mark}, row)
    return None if alert is None or stands.is_open else int(alert.id)


def _open_alert(connection: Connection, mark: str) -> Row[Any] | None:
    query = select(alerts).where(alerts.c.fingerprint == mark, alerts.c.closed.is_(None))
    return connection.execute(query).one_or_none()


def _episodes(connection: Connection, mark: str, now: float) -> int:
    query = select(func.count()).where(alerts.c.fingerprint == mark, alerts.c.opened >= now - _DAY)
    return int(connection.execute(query).scalar_one())


def _open(connection: Connection, finding: Finding, began: float | None) -> None:
    mark = finding.fingerprint
    last = select(func.coalesce(func.max(alerts.c.number), 0)).where(alerts.c.fingerprint == mark)
    row = {
        "fingerprint": mark, "number": connection.execute(last).scalar_one() + 1,
        "service": finding.service, "dataset": finding.dataset, "slo": finding.slo,
        "severity": finding.severity, "began": finding.at if began is None else began,
        "opened": finding.at, "finding": finding.told(),
    }  # fmt: skip
    connection.execute(insert(alerts).values(row))


def _close_forgotten(connection: Connection, now: float) -> list[int | None]:
    """Close alerts whose objective nobody looks at any more; returns their ids."""
    old = select(slo_looks.c.fingerprint).where(slo_looks.c.at < now - _FORGOTTEN)
    mine = (alerts.c.closed.is_(None), alerts.c.fingerprint.in_(old))
    found = connection.execute(select(alerts.c.id, alerts.c.finding).where(*mine)).all()
    for row in found:
        said = {"sentence": "Nobody looks at this objective any more."}
        told = {"closed": now, "finding": row.finding | said}
        connection.execute(update(alerts).where(alerts.c.id == row.id).values(told))
    return [row.id for row in found]


# What people are to know


@dataclass(frozen=True)
class _Group:
    """The alerts of one service and data that stand or have just been closed, and what is new."""

    service: str
    dataset: str
    rows: tuple[Row[Any], ...]
    events: Mapping[int, str]


def _write_notices(
    connection: Connection, closed: Sequence[int | None], told: Objectives, now: float
) -> None:
    here = alerts.c.closed.is_(None) | alerts.c.id.in_([one for one in closed if one])
    rows = connection.execute(select(alerts).where(here).order_by(alerts.c.id)).all()
    quiet = silences(connection, now)
    for service, dataset in sorted({(row.service, row.dataset) for row in rows}):
        mine = tuple(row for row in rows if (row.service, row.dataset) == (service, dataset))
        events = {row.id: _event(row, mine, quiet, told.alerts.remind, now) for row in mine}
        group = _Group(service, dataset, mine, {i: e for i, e in events.items() if e})
        if {*group.events.values()} - {"stands"}:
            _write_group(connection, group, told, now)


def _event(
    row: Row[Any], group: Sequence[Row[Any]], quiet: Sequence[Silence], remind: float, now: float
) -> str:
    """What is to be said of an alert: opened, reminder, resolved, stands, or "" for nothing."""
    if row.closed is not None:
        return "resolved" if row.told is not None else ""
    silenced = any(one.covers(row.service, row.slo) for one in quiet)
    if silenced or _is_less_urgent(row, group):
        return ""
    if row.told is None:
        return "opened"
    return "reminder" if now - row.told >= remind else "stands"


def _is_less_urgent(row: Row[Any], group: Sequence[Row[Any]]) -> bool:
    """Whether somebody is woken for the same objective, who need not hear of its ticket too."""
    return row.severity != "page" and any(
        other.slo == row.slo and other.severity == "page" and other.closed is None
        for other in group
    )


def _write_group(connection: Connection, group: _Group, told: Objectives, now: float) -> None:
    """One message a route, of the alerts whose severity it takes."""
    for route in told.route:
        news = tuple(
            _news(row, group.events[row.id])
            for row in group.rows
            if row.id in group.events and row.severity in route.severities
        )
        fresh = {one.event for one in news} - {"stands"}
        if not fresh:
            continue
        if fresh == {"reminder"} and _waits(connection, route.name, group):
            continue  # who has not taken the last message needs no reminder of it
        key = _key(route.name, news, now)
        message = Message(key, group.service, group.dataset, now, told.alerts.remind, news)
        row = {
            "key": key, "route": route.name, "at": now, "message": message.told(), "tries": 0,
            "due": now, "held": 0.0, "problem": "",
        }  # fmt: skip
        connection.execute(insert(alert_notices).values(row))
    heard = [i for i, event in group.events.items() if event in ("opened", "reminder")]
    if heard:
        connection.execute(update(alerts).where(alerts.c.id.in_(heard)).values(told=now))


def _waits(connection: Connection, route: str, group: _Group) -> bool:
    query = select(alert_notices.c.message).where(
        alert_notices.c.sent.is_(None), alert_notices.c.route == route
    )
    return any(
        (one["service"], one["dataset"]) == (group.service, group.dataset)
        for one in connection.execute(query).scalars()
    )


def _key(route: str, news: Sequence[News], now: float) -> str:
    told = [route, [(one.id, one.event) for one in news], now]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _news(row: Row[Any], event: str) -> News:
    finding = row.finding
    figures = {name: finding[name] for name in ("value", "low", "high", "n", "target")}
    said = {name: finding[name] for name in ("indicator", "sentence", "runbook", "command")}
    return News(
        id=row.id, event=event, slo=row.slo, severity=row.severity, began=row.began,
        opened=row.opened, closed=row.closed, **figures, **said,
    )  # fmt: skip
