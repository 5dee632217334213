"""All labels of one source are taken back: a person's, or those that came in by a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from leaven.core.errors import DataError, UnknownNameError
from leaven.label.queue import Queue
from leaven.store.tables import answers, events, tasks

__all__ = ["Revoked", "imported_from", "revocations", "revoke"]

_FROM = "from "


@dataclass(frozen=True)
class Revoked:
    """An answer that was taken back: of whom, to which record, and what it was."""

    record: str
    person: str
    label: str | None


def imported_from(file: str) -> str:
    """The note of an answer that came in by a file; `revoke` finds it by this."""
    return f"{_FROM}{file}"


def revoke(
    queue: Queue, *, by: str, person: str | None = None, file: str | None = None, reason: str
) -> list[Revoked]:
    """Take back every answer that stands of one person, or that came in by one file.

    Each becomes an event of the kind `revoked`, whose note says who did it and why; the answers
    stay in the history, and their records are asked about again. All are taken back, or none.

    Raises UnknownNameError for a person who never answered, DataError without a reason.
    """
    if not reason.strip():
        raise DataError("Say why: the reason stands in the history of each label.")
    query = (
        select(tasks.c.id, tasks.c.record, answers.c.person, answers.c.label, events.c.note)
        .join(tasks, tasks.c.id == answers.c.task)
        .join(events, events.c.id == answers.c.event)
        .where(tasks.c.queue == queue.id)
        .order_by(answers.c.event)
    )
    if person is not None:
        query = query.where(answers.c.person == person)
    with queue.store.read() as connection:
        found = connection.execute(query).all()
    if file is not None:  # not asked of the database, where notes may be encrypted
        found = [row for row in found if row.note == imported_from(file)]
    if not found and person is not None:
        with queue.store.read() as connection:
            ever = select(events.c.person).where(
                events.c.queue == queue.id, events.c.label.is_not(None), events.c.kind != "revoked"
            )
            known = sorted(connection.execute(ever.distinct()).scalars())
        if person not in known:
            raise UnknownNameError("person", person, known)
    queue.revoke([(row.id, row.person) for row in found], by=by, reason=reason)
    return [Revoked(row.record, row.person, row.label) for row in found]


def revocations(queue: Queue) -> Counter[str]:
    """How many answers of each person were revoked."""
    query = select(events.c.person, func.count()).where(
        events.c.queue == queue.id, events.c.kind == "revoked"
    )
    with queue.store.read() as connection:
        found = connection.execute(query.group_by(events.c.person)).all()
    return Counter(dict(found))
