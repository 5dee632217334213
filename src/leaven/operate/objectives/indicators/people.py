"""What the review queue tells: how right pseudo-labels are, what waits, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from leaven.core.errors import DataError
from leaven.operate.objectives.indicator import (
    COUNT,
    INDICATORS,
    SECONDS,
    Figure,
    FigureIndicator,
    Subject,
)
from leaven.store.tables import OPEN, queues, tasks

_LEVEL = 0.05  # of all bounds of precision together


def _backlog(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """Tasks that wait, in the queue of the service and that of its data."""
    query = select(func.count()).where(OPEN, tasks.c.queue.in_(_queues(subject)))
    with subject.store.read() as connection:
        number = int(connection.execute(query).scalar_one())
    return Figure(number, number, number, number)


def _waiting(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """Seconds for which the oldest of them has waited."""
    oldest = select(func.min(tasks.c.created)).where(OPEN, tasks.c.queue.in_(_queues(subject)))
    with subject.store.read() as connection:
        since = connection.execute(oldest).scalar()
    seconds = 0.0 if since is None else max(subject.now - float(since), 0.0)
    return Figure(seconds, seconds, seconds, 0 if since is None else 1)


def _pseudo_labels(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """The precision of the worst class, by audits, bounded at all looks together."""
    name, run, at_least = _audited(subject)
    # From here on arrays and torch are loaded: only where there is something to judge.
    from leaven.label.queue import Queue
    from leaven.label.trust.auditing import judge

    confidence = settings["confidence"]
    if confidence is None:
        confidence = at_least
    queue = Queue(subject.store, name)
    level = _LEVEL / max(len(queue.classes), 1)
    seen = [v for v in judge(queue, run, confidence=confidence, level=level) if v.n]
    if not seen:
        raise DataError(f"No audit of '{run}' is answered yet: leaven review.")
    worst = min(seen, key=lambda verdict: (verdict.high, verdict.low))
    value = worst.right / worst.n
    low = min(verdict.low for verdict in seen)
    note = f"Run '{run}', the worst of {len(seen)} classes: {queue.classes[worst.of]}."
    return Figure(value, min(low, value), max(worst.high, value), worst.n, note)


def _audited(subject: Subject) -> tuple[str, str, float]:
    """Queue, run and confidence of the latest draw of audits."""
    query = (
        select(queues.c.name, tasks.c.origin)
        .join(queues, queues.c.id == tasks.c.queue)
        .where(tasks.c.kind == "audit", tasks.c.queue.in_(_queues(subject)))
        .order_by(tasks.c.id.desc())
        .limit(1)
    )
    with subject.store.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise DataError("No pseudo-label is audited yet: leaven label audit RUN.")
    return row.name, str(row.origin["run"]), float(row.origin["at_least"])


def _queues(subject: Subject) -> Any:
    return select(queues.c.id).where(queues.c.name.in_((subject.service, subject.dataset)))


INDICATORS.add(
    "backlog",
    FigureIndicator(
        "backlog",
        "Records that wait for review",
        "leaven review {folder}",
        500,
        measure=_backlog,
        most=True,
        unit=COUNT,
        severity="note",
    ),
)

INDICATORS.add(
    "waiting",
    FigureIndicator(
        "waiting",
        "The oldest record has waited for review",
        "leaven review {folder}",
        7 * 86_400,
        measure=_waiting,
        most=True,
        unit=SECONDS,
        severity="note",
    ),
)

INDICATORS.add(
    "pseudo-labels",
    FigureIndicator(
        "pseudo-labels",
        "Precision of pseudo-labels",
        "leaven label audit {folder}",
        0.9,
        measure=_pseudo_labels,
        settings=("confidence",),
    ),
)
