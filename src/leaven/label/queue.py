"""The queue: who is asked what, and what they said. Nothing acknowledged is ever lost.

A task is a record with a question. It is done when as many different people as it wants have
answered. A person holds a task by a lease, so that nobody else takes that place; a lease that ran
out gives it back. Every step is one transaction that adds to the history (`store.tables.events`),
and an answer carries a number of the asker's own (`key`), so that one sent twice counts once.
"""

from __future__ import annotations

import json
import math
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Select

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.store.store import Store
from leaven.store.tables import OPEN, answers, events, leases, queues, tasks

__all__ = ["Ask", "Queue", "Receipt", "Task", "queue_names"]

_LEASE = 15 * 60.0  # seconds that a person may think
_ROWS = 1000  # at most so many are sent to the database at once
_NAME, _KEY = 200, 80  # characters at most
_TASKS = 2**31  # no task has this number


@dataclass(frozen=True)
class Ask:
    """What a task is made of.

    Attributes
    ----------
    record, content : the record's id, and the hash of what is in it.
    shown : how a page shows it, see `Modality.show`.
    guess : class names with their probabilities, the likeliest first; may be empty.
    reason : why it is asked, for the person who answers.
    kind : `ask`, `gold` (its `truth` is known and judges the people), `audit` (a pseudo-label is
        judged by it) or `suspect` (a given label is doubted).
    batch : what it was asked together with; a record is asked once in a batch.
    wanted : how many different people are to answer.
    assigned : the one person it is for; None for all.
    origin : where it comes from: run, strategy, score.
    """

    record: str
    content: str
    shown: Mapping[str, Any] = field(default_factory=dict)
    guess: Sequence[tuple[str, float]] = ()
    reason: str = ""
    kind: str = "ask"
    batch: str = ""
    truth: str | None = None
    priority: float = 0.0
    wanted: int = 1
    assigned: str | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task(Ask):
    """An `Ask` in the queue; `until` is when the lease of the person who was given it ends, and 0
    where others hold all its places."""

    id: int = 0
    until: float = 0.0


@dataclass(frozen=True)
class Receipt:
    """An answer that is in the database: the number of its event, and whether it was there before.

    `late` tells that the task had all its answers already, so that this one is a further one.
    """

    event: int
    again: bool = False
    late: bool = False


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
        _check_name("queue", name)
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

        A record that is in the batch already, or waits for an answer to the same kind of question,
        is left as it is.
        """
        _check_name("person", person)
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
        _check_name("person", person)
        _check_text("note", note)
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

    # What people do

    def lease(self, person: str, count: int = 1, *, seconds: float = _LEASE) -> list[Task]:
        """The next tasks for this person: those they hold, then the most urgent ones.

        None of them is held by as many others as could still answer it, has been answered or
        skipped by this person, or is for somebody else. Fewer than `count` where there are no more.
        """
        _check_name("person", person)
        _check_seconds(seconds)
        if count < 1:
            raise SettingError("count", "at least 1", count)
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
        return [_task(row, now + seconds) for row in rows]

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
        _check_name("person", person)
        _check_name("key", key, _KEY)
        _check_text("note", note)
        _check_seconds(seconds)
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
            event = self._note(
                connection, task, person, kind, label=label, seconds=seconds, key=key, note=note,
                guess=row.guess[0][0] if row.guess else None,
                confidence=row.guess[0][1] if row.guess else None,
            )  # fmt: skip
            standing = {"label": label, "final": final, "event": event}
            _put(connection, answers, {"task": task, "person": person}, standing)
            self._count(connection, row)
            held = and_(leases.c.task == task, leases.c.person == person)
            connection.execute(delete(leases).where(held))
        return Receipt(event, late=late)

    def undo(self, person: str, *, seconds: float = _LEASE) -> Task | None:
        """Take back this person's latest answer or skip that stands, and give them its task again.

        Both stay in the history. None where nothing of theirs stands. Where others hold all places
        of the task, it may be answered again, but is not held (`until` is 0).
        """
        _check_name("person", person)
        _check_seconds(seconds)
        now = self._clock()
        with self.store.write(self.id) as connection:
            latest = (
                select(answers)
                .join(tasks, tasks.c.id == answers.c.task)
                .where(tasks.c.queue == self.id, answers.c.person == person)
                .order_by(answers.c.event.desc())
                .limit(1)
            )
            one = connection.execute(latest).one_or_none()
            if one is None:
                return None
            mine = and_(answers.c.task == one.task, answers.c.person == person)
            connection.execute(delete(answers).where(mine))
            self._note(connection, one.task, person, "undone", label=one.label)
            row = self._find(connection, one.task)
            theirs = select(func.count()).where(
                leases.c.task == one.task, leases.c.person != person, leases.c.until > now
            )
            if self._count(connection, row) <= connection.execute(theirs).scalar_one():
                return _task(row, 0.0)
            self._hold(connection, one.task, person, now + seconds)
            return _task(row, now + seconds)

    def release(self, person: str) -> int:
        """Give back what this person holds; returns how many tasks."""
        ours = select(tasks.c.id).where(tasks.c.queue == self.id)
        with self.store.write(self.id) as connection:
            held = and_(leases.c.person == person, leases.c.task.in_(ours))
            return connection.execute(delete(leases).where(held)).rowcount

    # How it is kept

    def _check(self, ask: Ask) -> None:
        if ask.wanted < 1:
            raise SettingError("wanted", "at least 1", ask.wanted)
        if math.isnan(ask.priority):
            raise SettingError("priority", "a number", ask.priority)
        known = [ask.truth] if ask.truth is not None else []
        self._check_labels([name for name, _ in ask.guess] + known)
        if ask.kind == "gold" and ask.truth is None:
            raise SettingError("truth", "the known answer of a gold question", None)
        if ask.assigned is not None:
            _check_name("assigned", ask.assigned)
        for name in ("record", "content", "kind", "batch", "reason"):
            _check_text(name, getattr(ask, name), getattr(tasks.c[name].type, "length", None))
        try:
            json.dumps([ask.shown, ask.guess, ask.origin], allow_nan=False)
        except (TypeError, ValueError) as wrong:
            raise DataError(
                f"The task of '{ask.record}' cannot be kept: {wrong}. What is shown, guessed and "
                "told of its origin must be plain JSON."
            ) from wrong

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
        return told | {"queue": self.id, "missing": ask.wanted, "created": self._clock()}

    def _event(self, task: int | None, person: str, kind: str, **told: Any) -> dict[str, Any]:
        empty = dict.fromkeys(("label", "seconds", "guess", "confidence", "key", "note"))
        base = {"at": self._clock(), "queue": self.id, "task": task, "person": person, "kind": kind}
        return empty | base | told

    def _note(
        self, connection: Connection, task: int | None, person: str, kind: str, **told: Any
    ) -> int:
        row = self._event(task, person, kind, **told)
        return int(connection.execute(insert(events).returning(events.c.id), row).scalar_one())

    def _find(self, connection: Connection, task: int) -> Any:
        query = select(tasks).where(tasks.c.id == task, tasks.c.queue == self.id)
        row = connection.execute(query).one_or_none() if 0 < task < _TASKS else None
        if row is None:
            raise DataError(f"The queue '{self.name}' has no task {task}.")
        return row

    def _hold(self, connection: Connection, task: int, person: str, until: float) -> None:
        _put(connection, leases, {"task": task, "person": person}, {"until": until})

    def _count(self, connection: Connection, row: Any) -> int:
        """Bring the task's number of missing answers up to date with those that stand."""
        query = select(answers.c.label, answers.c.final).where(answers.c.task == row.id)
        found = connection.execute(query).all()
        said = sum(one.label is not None for one in found)
        withdrawn = exists().where(events.c.task == row.id, events.c.kind == "withdrawn")
        closed = any(one.final for one in found)
        closed = closed or bool(connection.execute(select(withdrawn)).scalar())
        missing = 0 if closed else max(row.wanted - said, 0)
        connection.execute(update(tasks).where(tasks.c.id == row.id).values(missing=missing))
        return missing


def _put(
    connection: Connection, table: Table, keys: dict[str, Any], values: dict[str, Any]
) -> None:
    """Insert a row, or change the one that has these keys."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = dialect.insert(table).values(**keys, **values)
    connection.execute(row.on_conflict_do_update(index_elements=list(keys), set_=values))


def _task(row: Any, until: float) -> Task:
    names = Ask.__dataclass_fields__
    told = {name: getattr(row, name) for name in names}
    told["guess"] = tuple((str(name), float(share)) for name, share in row.guess)
    return Task(**told, id=row.id, until=until)


def _parts(whole: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(whole), _ROWS):
        yield whole[start : start + _ROWS]


def _check_text(parameter: str, told: str | None, longest: int | None = None) -> None:
    """Both databases keep it: no NUL, no half of a character."""
    told = told or ""
    odd = "\0" in told or any("\ud800" <= sign <= "\udfff" for sign in told)
    if odd or len(told) > (longest or len(told)):
        at_most = f" of at most {longest} characters" if longest else ""
        raise SettingError(parameter, f"text{at_most}", told)


def _check_name(parameter: str, name: str, longest: int = _NAME) -> None:
    odd = any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)
    if odd or not name.strip() or len(name) > longest:
        raise SettingError(parameter, f"a name of 1 to {longest} printable characters", name)


def _check_seconds(seconds: float | None) -> None:
    if seconds is not None and not 0 <= seconds < math.inf:
        raise SettingError("seconds", "a number of seconds, at least 0", seconds)
