"""One look at all services: measure, take in, tell; and what the last look has found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select

from leaven.core.errors import UnknownNameError
from leaven.operate.objectives.alerting import take_in
from leaven.operate.objectives.config import Objectives
from leaven.operate.objectives.indicator import Subject
from leaven.operate.objectives.judging import Finding, judge
from leaven.operate.objectives.outbox import send
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.store.alert_tables import alerts, slo_looks
from leaven.store.store import Store

__all__ = ["check", "known_alerts", "last_looks"]


def check(
    store: Store,
    services: Sequence[str],
    told: Objectives,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[list[Finding], int]:
    """Look once at these services; what was found, and how many messages were taken by routes."""
    findings = []
    for service in services:
        subject = _subject(store, service, clock())
        if subject is not None:
            for slo in told.of(service):
                findings += judge(slo, subject, told.alerts.runbooks)
    take_in(store, findings, told, clock())
    return findings, send(
        store, {route.name: route for route in told.route}, clock=clock, sleep=sleep
    )


def last_looks(store: Store) -> list[dict[str, Any]]:
    """What the last look at each service found, and since when it is broken."""
    last = (
        select(slo_looks.c.service, func.max(slo_looks.c.at).label("at"))
        .group_by(slo_looks.c.service)
        .subquery()
    )
    of_it = (slo_looks.c.service == last.c.service) & (slo_looks.c.at == last.c.at)
    query = select(slo_looks).join(last, of_it)
    order = slo_looks.c.service, slo_looks.c.slo, slo_looks.c.severity
    with store.read() as connection:
        rows = connection.execute(query.order_by(*order)).all()
    return [row.told | {"broken": row.broken} for row in rows]


def known_alerts(store: Store, *, closed: bool = False, most: int = 100) -> list[dict[str, Any]]:
    """Alerts that are open, the oldest first, or with `closed` all, the latest first."""
    query = select(alerts).limit(most)
    if closed:
        query = query.order_by(alerts.c.id.desc())
    else:
        query = query.where(alerts.c.closed.is_(None)).order_by(alerts.c.id)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _subject(store: Store, service: str, now: float) -> Subject | None:
    """What is measured of a service; None where nothing of it is live."""
    live = Releases(store, service).state().live
    if live is None:
        return None
    told: dict[str, Any] = {}
    folder = live.run
    with suppress(UnknownNameError):
        found = Registry(store).get(live.run, live.digest)
        told, folder = found.told, str(found.folder)
    dataset = str(told.get("dataset", {}).get("name", service))
    return Subject(store, service, dataset, live.run, folder, told, now)
