"""The queue: who is asked what, and what they said. Nothing acknowledged is ever lost.

A task is a record with a question. It is done when as many different people as it wants have
answered. A person holds a task by a lease, so that nobody else takes that place; a lease that ran
out gives it back. Every step is one transaction that adds to the history (`store.tables.events`),
and an answer carries a number of the asker's own (`key`), so that one sent twice counts once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.sql import Select

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.label.tasks import (
    KEY,
    Ask,
    Receipt,
    Task,
    check_ask,
    check_name,
    check_seconds,
    check_text,
)
from leaven.store import audit
from leaven.store.store import Store
from leaven.store.tables import OPEN, answers, events, leases, queues, tasks
from leaven.store.upsert import put

__all__ = ["Ask", "Queue", "Receipt", "Task", "queue_names"]

_LEASE = 15 * 60.0  # seconds that a person may think
_ROWS = 1000  # at most so many are sent to the database at once
_TASKS = 2**31  # no task has this number
_PLAIN = ("answered", "skipped", "undone", "revoked")  # what changes an answer that is not final


def queue_names(store: Store) -> list[str]:
    """The queues of a store, by name."""
    with store.read() as connection:
        return list(connection.execute(select(queues.c.name).order_by(queues.c.name)).scalars())


class Queue:
    """One question about the records of one set.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(self, store: Store, name: str, *, clock: Callable[[], float] = time.time) -> None:
        """Open the queue of this name; UnknownNameError where there is none."""
        self.store, self.name, self._clock = store, name, clock
        with store.read() as connection:
            row = connection.execute(select(queues).where(queues.c.name == name)).one_or_none()
        if row is None:
            raise UnknownNameError("queue", name, queue_names(store))
        self.id: int = row.id
        self.modality: str = row.modality
        self.question: str = row.question
        self.classes: tuple[str, ...] = tuple(row.classes)

    @classmethod
    def made(
        cls,
        store: Store,
        name: str,
        *,
        classes: Sequence[str],
        modality: str,
        question: str = "",
        clock: Callable[[], float] = time.time,
    ) -> Queue:
        """The queue of this name, made if it is not there; its classes grow by new ones."""
        check_name("queue", name)
        classes = list(dict.fromkeys(classes))
        told = {
            "name": name, "created": clock(), "modality": modality, "classes": classes,
            "question": question or "Which class is it?",
        }  # fmt: skip
        with store.write() as connection:
            row = connection.execute(select(queues).where(queues.c.name == name)).one_or_none()
            if row is None:
                connection.execute(insert(queues).values(**told))
            elif row.modality != modality:
                raise DataError(
                    f"The queue '{name}' holds {row.modality} records. Got {modality} records. "
                    "Name another queue."
                )
            elif new := [one for one in classes if one not in row.classes]:
                both = [*row.classes, *new]
                connection.execute(update(queues).where(queues.c.id == row.id).values(classes=both))
        return cls(store, name, clock=clock)

    # What is asked

    def add(self, asks: Sequence[Ask], *, person: str = "leaven") -> int:
        """Put these into the queue; returns how many were not in it.

        One that is in the batch already, or waits for an answer to such a question, is left.
        """
        check_name("person", person)
        for ask in asks:
            self._check(ask)
        with self.store.write(self.id) as connection:
            waiting = select(tasks.c.record, tasks.c.kind, tasks.c.batch, tasks.c.missing)
            there, open_ = set(), set()
            for some in _parts(list(dict.fromkeys(ask.record for ask in asks))):
                mine = and_(tasks.c.queue == self.id, tasks.c.record.in_(some))
                for row in connection.execute(waiting.where(mine)):
                    there.add((row.record, row.kind, row.batch))
                    if row.missing:
                        open_.add((row.record, row.kind))
            new = []
            for ask in asks:
                if (ask.record, ask.kind, ask.batch) in there or (ask.record, ask.kind) in open_:
                    continue
                there.add((ask.record, ask.kind, ask.batch))
                open_.add((ask.record, ask.kind))
                new.append(ask)
            put = insert(tasks).returning(tasks.c.id, sort_by_parameter_order=True)
            for some in _parts(new):
                rows = [self._row(ask) for ask in some]
                ids = connection.execute(put, rows).scalars().all()
                asked = [
                    self._event(id_, person, "asked", note=row["reason"])
                    for id_, row in zip(ids, rows, strict=True)
                ]
                connection.execute(insert(events), asked)
        return len(new)

    def withdraw(self, records: Sequence[str], *, person: str = "leaven", note: str = "") -> int:
        """Ask nobody about these any more; answers that are there stay. Returns how many tasks."""
        check_name("person", person)
        check_text("note", note)
        count = 0
        with self.store.write(self.id) as connection:
            for some in _parts(list(dict.fromkeys(records))):
                mine = and_(tasks.c.queue == self.id, OPEN, tasks.c.record.in_(some))
                shut = update(tasks).where(mine).values(missing=0).returning(tasks.c.id)
                found = connection.execute(shut).scalars().all()
                gone = [self._event(id_, person, "withdrawn", note=note or None) for id_ in found]
                if gone:
                    connection.execute(insert(events), gone)
                count += len(gone)
        return count

    def ask_again(self, records: Sequence[str], *, person: str = "leaven", note: str = "") -> int:
        """Ask one more about each of these, who has not answered it: where people differ, say.

        Their task is the one that has most answers. Nothing is done about a record that has none,
        still waits for one, was withdrawn or has a final answer. Returns how many were asked.
        """
        check_name("person", person)
        check_text("note", note)
        asked = 0
        with self.store.write(self.id) as connection:
            for some in _parts(list(dict.fromkeys(records))):
                said = func.count(answers.c.label)
                query = (
                    select(tasks.c.id, tasks.c.record, said.label("said"))
                    .join(answers, answers.c.task == tasks.c.id)
                    .where(tasks.c.queue == self.id, tasks.c.record.in_(some))
                    .where(tasks.c.kind != "gold", tasks.c.missing == 0)
                    .group_by(tasks.c.id, tasks.c.record)
                    .having(said > 0)
                    .order_by(said, tasks.c.id)
                )
                for row in {row.record: row for row in connection.execute(query)}.values():
                    if self._is_closed(connection, row.id):
                        continue
                    told = {"wanted": row.said + 1, "missing": 1, "assigned": None}
                    connection.execute(update(tasks).where(tasks.c.id == row.id).values(told))
                    self._note(connection, row.id, person, "asked again", note=note or None)
                    asked += 1
        return asked

    # What people do

    def lease(self, person: str, count: int = 1, *, seconds: float = _LEASE) -> list[Task]:
        """The next tasks for this person: those they hold, then the most urgent ones.

        None of them is held by as many others as could still answer it, has been answered or
        skipped by this person, or is for somebody else. Fewer than `count`, which is 1000 at most,
        where there are no more.
        """
        check_name("person", person)
        check_seconds(seconds)
        if not 1 <= count <= _ROWS:
            raise SettingError("count", f"from 1 to {_ROWS}", count)
        now = self._clock()
        with self.store.write(self.id) as connection:
            ours = exists().where(tasks.c.id == leases.c.task, tasks.c.queue == self.id)
            connection.execute(delete(leases).where(leases.c.until <= now, ours))
            held = select(leases.c.task).where(leases.c.person == person)
            query = self._next(person)
            rows = list(connection.execute(query.where(tasks.c.id.in_(held)).limit(count)))
            if len(rows) < count:  # asked for apart, so that the index gives the first of them
                free = query.where(tasks.c.id.not_in(held)).limit(count - len(rows))
                rows += connection.execute(free)
            for row in rows:
                self._hold(connection, row.id, person, now + seconds)
        return [Task.of(row, now + seconds) for row in rows]

    def answer(
        self,
        task: int,
        person: str,
        label: str | None,
        *,
        key: str,
        seconds: float | None = None,
        final: bool = False,
        note: str | None = None,
    ) -> Receipt:
        """Keep an answer, or with `label=None` that the person skips it.

        When this returns, the answer is in the database. A second answer of the same person to
        the same task replaces the first, whose event stays. With `final` it decides between
        people who differ, and the task is done.

        Parameters
        ----------
        key : the asker's own number of this answer; sent again, it is the same one.
        seconds : how long the person took.

        Raises UnknownNameError for a label that is no class of the queue, DataError for a task that
        it does not have, StoreError where it could not be kept.
        """
        check_name("person", person)
        check_name("key", key, KEY)
        check_text("note", note)
        check_seconds(seconds)
        if label is None and final:
            raise SettingError("label", "a class of the queue in a final answer", None)
        self._check_labels([label] if label is not None else [])
        with self.store.write(self.id) as connection:
            known = connection.execute(select(events).where(events.c.key == key)).one_or_none()
            if known is not None:
                if (known.task, known.person, known.label) != (task, person, label):
                    raise SettingError("key", "a number that no other answer has", key)
                return Receipt(known.id, again=True)
            row = self._find(connection, task)
            kind = "skipped" if label is None else "adjudicated" if final else "answered"
            own = and_(answers.c.task == task, answers.c.person == person)
            before = connection.execute(select(answers.c.label).where(own)).scalar()
            late = row.missing == 0 and before is None
            if final:
                others = exists().where(answers.c.task == task, answers.c.person != person)
                late = bool(connection.execute(select(others.where(answers.c.final))).scalar())
            event = self._note(
                connection, task, person, kind, label=label, seconds=seconds, key=key, note=note,
                guess=row.guess[0][0] if row.guess else None,
                confidence=row.guess[0][1] if row.guess else None,
            )  # fmt: skip
            standing = {"label": label, "final": final, "event": event}
            put(connection, answers, {"task": task, "person": person}, standing)
            self._count(connection, row)
            held = and_(leases.c.task == task, leases.c.person == person)
            connection.execute(delete(leases).where(held))
            if final:
                self._audit(connection, person, "settled", task=task, label=label, event=event)
        return Receipt(event, late=late)

    def undo(self, person: str, *, task: int | None = None, seconds: float = _LEASE) -> Task | None:
        """Take back this person's answer or skip that stands, and give them its task again.

        Both stay in the history. None where nothing of theirs stands. Where others hold all places
        of the task, it may be answered again, but is not held (`until` is 0). What a final answer
        replaced of the same person stands again.

        Parameters
        ----------
        task : whose answer; the latest one if not given. Only with it may an undo be sent again:
            the second finds nothing, where without it goes back by one more.
        """
        check_name("person", person)
        check_seconds(seconds)
        now = self._clock()
        with self.store.write(self.id) as connection:
            latest = select(answers).join(tasks).where(tasks.c.queue == self.id)
            latest = latest.where(answers.c.person == person)
            if task is not None:
                latest = latest.where(answers.c.task == (task if 0 < task < _TASKS else 0))
            latest = latest.order_by(answers.c.event.desc()).limit(1)
            one = connection.execute(latest).one_or_none()
            if one is None:
                return None
            mine = and_(answers.c.task == one.task, answers.c.person == person)
            connection.execute(delete(answers).where(mine))
            event = self._note(connection, one.task, person, "undone", label=one.label)
            stands = one.final and self._restore(connection, one)
            row = self._find(connection, one.task)
            theirs = select(func.count()).where(
                leases.c.task == one.task, leases.c.person != person, leases.c.until > now
            )
            missing = self._count(connection, row)
            if one.final:
                self._audit(connection, person, "unsettled", task=one.task, event=event)
            if stands or missing <= connection.execute(theirs).scalar_one():
                return Task.of(row, 0.0)
            self._hold(connection, one.task, person, now + seconds)
            return Task.of(row, now + seconds)

    def revoke(self, given: Sequence[tuple[int, str]], *, by: str, reason: str) -> int:
        """Take back the answers of these people to these tasks, (task, person); returns how many.

        They stay in the history, whose note says who revoked them and why; their tasks open again.
        """
        check_name("by", by)
        check_text("reason", reason)
        gone = 0
        with self.store.write(self.id) as connection:
            for task, person in given:
                mine = and_(answers.c.task == task, answers.c.person == person)
                taken = delete(answers).where(mine).returning(answers.c.label)
                if (row := connection.execute(taken).one_or_none()) is not None:
                    note = f"{by}: {reason}"
                    self._note(connection, task, person, "revoked", label=row.label, note=note)
                    self._count(connection, self._find(connection, task))
                    gone += 1
            told = {"answers": gone, "people": sorted({who for _, who in given})}
            self._audit(connection, by, "revoked", reason=reason, **told)
        return gone

    def left(self, person: str) -> int:
        """How many tasks this person may still be asked, those that others hold now as well."""
        said = exists().where(answers.c.task == tasks.c.id, answers.c.person == person)
        theirs = or_(tasks.c.assigned.is_(None), tasks.c.assigned == person)
        query = select(func.count()).where(tasks.c.queue == self.id, OPEN, theirs, ~said)
        with self.store.read() as connection:
            return int(connection.execute(query).scalar_one())

    def release(self, person: str) -> int:
        """Give back what this person holds; returns how many tasks."""
        ours = select(tasks.c.id).where(tasks.c.queue == self.id)
        with self.store.write(self.id) as connection:
            held = and_(leases.c.person == person, leases.c.task.in_(ours))
            return connection.execute(delete(leases).where(held)).rowcount

    # How it is kept

    def _restore(self, connection: Connection, final: Any) -> bool:
        """Let stand again what a final answer replaced of the same person; whether there was."""
        before = (
            select(events)
            .where(events.c.task == final.task, events.c.person == final.person)
            .where(events.c.id < final.event, events.c.kind.in_(_PLAIN))
            .order_by(events.c.id.desc())
            .limit(1)
        )
        old = connection.execute(before).one_or_none()
        if old is None or old.kind in ("undone", "revoked"):
            return False
        event = self._note(
            connection, old.task, old.person, old.kind, label=old.label, guess=old.guess,
            confidence=old.confidence, note="stands again",
        )  # fmt: skip
        standing = {"label": old.label, "final": False, "event": event}
        put(connection, answers, {"task": old.task, "person": old.person}, standing)
        return True

    def _check(self, ask: Ask) -> None:
        known = [ask.truth] if ask.truth is not None else []
        self._check_labels([name for name, _ in ask.guess] + known)
        check_ask(ask)

    def _check_labels(self, labels: Sequence[str]) -> None:
        """They are classes of the queue, to which another process may have added some since."""
        if not all(label in self.classes for label in labels):
            with self.store.read() as connection:
                query = select(queues.c.classes).where(queues.c.id == self.id)
                self.classes = tuple(connection.execute(query).scalar_one())
        for unknown in (label for label in labels if label not in self.classes):
            raise UnknownNameError("label", str(unknown), self.classes)

    def _next(self, person: str) -> Select[Any]:
        """The tasks that this person may be asked, the most urgent first."""
        others = (
            select(func.count())
            .where(leases.c.task == tasks.c.id, leases.c.person != person)
            .scalar_subquery()
        )
        said = exists().where(answers.c.task == tasks.c.id, answers.c.person == person)
        return (
            select(tasks)
            .where(
                tasks.c.queue == self.id,
                OPEN,
                tasks.c.missing > others,
                or_(tasks.c.assigned.is_(None), tasks.c.assigned == person),
                ~said,
            )
            .order_by(tasks.c.priority.desc(), tasks.c.id)
        )

    def _row(self, ask: Ask) -> dict[str, Any]:
        told = asdict(ask) | {"guess": [list(one) for one in ask.guess]}
        missing = 0 if ask.kind == "import" and not ask.content else ask.wanted
        return told | {"queue": self.id, "missing": missing, "created": self._clock()}

    def _event(self, task: int | None, person: str, kind: str, **told: Any) -> dict[str, Any]:
        empty = dict.fromkeys(("label", "seconds", "guess", "confidence", "key", "note"))
        base = {"at": self._clock(), "queue": self.id, "task": task, "person": person, "kind": kind}
        return empty | base | told

    def _note(
        self, connection: Connection, task: int | None, person: str, kind: str, **told: Any
    ) -> int:
        row = self._event(task, person, kind, **told)
        return int(connection.execute(insert(events).returning(events.c.id), row).scalar_one())

    def _audit(self, connection: Connection, who: str, act: str, **told: Any) -> None:
        audit.note(connection, who, f"labels.{act}", self.name, told, at=self._clock())

    def _find(self, connection: Connection, task: int) -> Any:
        query = select(tasks).where(tasks.c.id == task, tasks.c.queue == self.id)
        row = connection.execute(query).one_or_none() if 0 < task < _TASKS else None
        if row is None:
            raise DataError(f"The queue '{self.name}' has no task {task}.")
        return row

    def _hold(self, connection: Connection, task: int, person: str, until: float) -> None:
        put(connection, leases, {"task": task, "person": person}, {"until": until})

    def _count(self, connection: Connection, row: Any) -> int:
        """Bring the task's number of missing answers up to date with those that stand."""
        query = select(func.count(answers.c.label)).where(answers.c.task == row.id)
        said = int(connection.execute(query).scalar_one())
        missing = 0 if self._is_closed(connection, row.id) else max(row.wanted - said, 0)
        connection.execute(update(tasks).where(tasks.c.id == row.id).values(missing=missing))
        return missing

    def _is_closed(self, connection: Connection, task: int) -> bool:
        """Whether nobody is asked any more, however many answered, or there is nothing to show."""
        final = exists().where(answers.c.task == task, answers.c.final)
        withdrawn = exists().where(events.c.task == task, events.c.kind == "withdrawn")
        blank = exists().where(tasks.c.id == task, tasks.c.kind == "import", tasks.c.content == "")
        return bool(connection.execute(select(or_(final, withdrawn, blank))).scalar())


def _parts(whole: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(whole), _ROWS):
        yield whole[start : start + _ROWS]
