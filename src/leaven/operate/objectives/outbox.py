"""The outbox: every message reaches its route, in order, also one that is dead for a week.

Who sends a message holds it for longer than sending takes, and nobody else sends it meanwhile. If
that process is killed the hold runs out, and another sends the message again, with the same key: a
receiver that minds may drop it. So none is lost, and none is sent twice while everybody lives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from leaven.core.errors import LeavenError
from leaven.operate.objectives.config import Route
from leaven.operate.objectives.message import Message
from leaven.operate.objectives.routes.route import RouteError
from leaven.store.alert_tables import alert_notices
from leaven.store.store import Store

__all__ = ["Waiting", "send", "waiting"]

_HOLD = 300.0  # seconds, over three tries of the slowest route and the pauses between them
_PAUSES = (1.0, 4.0)  # seconds before the second and third try
_FIRST, _LONGEST = 30.0, 900.0  # seconds until the next round, doubled by each that fails
_KEPT = 90 * 86_400.0  # seconds for which what was sent is kept


@dataclass(frozen=True)
class Waiting:
    """What a route has not taken: how many messages, since when, how often tried, and why not."""

    route: str
    messages: int
    since: float
    tries: int
    problem: str


def send(
    store: Store,
    routes: Mapping[str, Route],
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Send what is due by these routes; returns how many messages were taken.

    A route that does not take its first message is left until later, with all that wait for it:
    a resolved alert never comes before the alert.
    """
    sent = 0
    for name, route in routes.items():
        while (row := _held(store, name, clock())) is not None:
            problem = _tried(route, Message.of(row.message), clock, sleep)
            _note(store, row, problem, clock())
            if problem:
                break
            sent += 1
    with store.write() as connection:
        old = alert_notices.c.sent < clock() - _KEPT
        connection.execute(delete(alert_notices).where(old))
    return sent


def waiting(store: Store) -> list[Waiting]:
    """What is not sent yet, by route."""
    columns = alert_notices.c
    query = select(
        columns.route, func.count(), func.min(columns.at), func.max(columns.tries),
        func.max(columns.problem),
    ).where(columns.sent.is_(None))  # fmt: skip
    with store.read() as connection:
        rows = connection.execute(query.group_by(columns.route).order_by(columns.route))
        return [Waiting(*row) for row in rows]


def _held(store: Store, route: str, now: float) -> Row[Any] | None:
    """The oldest message of a route, held for whoever asks; None where it is not due, or another
    holds it."""
    columns = alert_notices.c
    query = select(alert_notices).where(columns.route == route, columns.sent.is_(None))
    with store.write() as connection:
        row = connection.execute(query.order_by(columns.id).limit(1)).one_or_none()
        if row is None or row.due > now or row.held > now:
            return None
        mine = update(alert_notices).where(columns.id == row.id)
        connection.execute(mine.values(held=now + _HOLD, tries=row.tries + 1))
    return row


def _tried(
    route: Route,
    message: Message,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> str:
    """Send it, in three tries where another may help; why it was not taken, "" if it was."""
    problem = ""
    for pause in (*_PAUSES, None):
        try:
            route.send(message, clock())
        except RouteError as failed:
            problem = str(failed)
            if not failed.again or pause is None:
                return problem
            sleep(pause)
        except LeavenError as failed:
            return str(failed)
        except Exception as failed:  # noqa: BLE001 - one route must not keep the others from telling
            return f"The route failed: {type(failed).__name__}: {failed}"
        else:
            return ""
    return problem


def _note(store: Store, row: Row[Any], problem: str, now: float) -> None:
    """Note that a message was taken, or why not and when it is tried again."""
    later = min(_FIRST * 2.0 ** min(row.tries, 20), _LONGEST)
    told: dict[str, Any] = {"sent": now, "problem": ""}
    if problem:
        told = {"due": now + later, "held": 0.0, "problem": _plain(problem)}
    with store.write() as connection:
        mine = alert_notices.c.id == row.id
        connection.execute(update(alert_notices).where(mine).values(told))


def _plain(problem: str) -> str:
    """What a receiver said, as every database can keep it."""
    return problem[:500].replace("\0", "\ufffd").encode("utf-8", "replace").decode()
