"""Settling: records on which people differ, with all that they said, and one key that decides."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from leaven.core.errors import DataError
from leaven.core.wording import count
from leaven.label.queue import Queue, Receipt, Task
from leaven.label.results import disputed
from leaven.serve.cards import card
from leaven.serve.desk import chosen, place
from leaven.store.tables import answers, events, tasks

__all__ = ["Said", "SettleDesk", "settled", "who_said"]

_AHEAD = 3
_CHEAP = 0.05  # seconds: a list of disputes that takes longer
_SPARED = 20  # is used for as many times the time that it took
_LOOKED = 2000  # disputes that are put in order
_PASSED = 10_000  # records that one person may put aside


@dataclass(frozen=True)
class Said:
    """What one person said of a record, and when; `final` where it decided."""

    task: int
    person: str
    label: str
    final: bool
    at: float
    seconds: float | None


def who_said(queue: Queue, records: Sequence[str]) -> dict[str, list[Said]]:
    """The answers that stand about each of these records, in the order in which they came."""
    query = (
        select(
            tasks.c.record, answers.c.task, answers.c.person, answers.c.label, answers.c.final,
            events.c.at, events.c.seconds,
        )
        .join(tasks, tasks.c.id == answers.c.task)
        .join(events, events.c.id == answers.c.event)
        .where(tasks.c.queue == queue.id, tasks.c.record.in_(records))
        .where(tasks.c.kind != "gold", answers.c.label.is_not(None))
        .order_by(answers.c.event)
    )  # fmt: skip
    found: dict[str, list[Said]] = defaultdict(list)
    with queue.store.read() as connection:
        for row in connection.execute(query):
            one = Said(row.task, row.person, row.label, row.final, row.at, row.seconds)
            found[row.record].append(one)
    return found


def settled(queue: Queue) -> int:
    """How many records have a final answer."""
    query = select(func.count(tasks.c.record.distinct())).join(answers)
    with queue.store.read() as connection:
        mine = query.where(tasks.c.queue == queue.id, answers.c.final)
        return int(connection.execute(mine).scalar_one())


class SettleDesk:
    """What one reviewer decides. Disputes are leased to nobody: who decides last decides.

    Parameters
    ----------
    now : seconds from any beginning that never go back.
    """

    def __init__(
        self, queue: Queue, person: str, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.queue, self.person, self._now = queue, person, now
        self._lock = threading.Lock()
        self._passed: dict[int, None] = {}  # put aside, the latest last
        self._records: tuple[float, list[str]] | None = None

    @property
    def place(self) -> str:
        """What a browser keeps unsent decisions under."""
        return f"{place(self.queue, self.person)}.settle"

    def take(self, window: str, have: Sequence[int], unsent: Collection[int]) -> list[Task]:
        """Three disputes: those that the window has and that are left, in its order, then others.

        What still waits for one more person comes last, and what was put aside when nothing else
        is left.
        """
        with self._lock:
            found = self._disputed()
            left = {one: task for one, task in found.items() if one not in unsent}
            order = {one: i for i, one in enumerate(have)}
            ranked = sorted(
                left, key=lambda one: (one in self._passed, order.get(one, len(order)), left[one])
            )
            if not [one for one in ranked if one not in self._passed]:
                self._passed.clear()
            return self._tasks(ranked[:_AHEAD])

    def answer(self, task: int, choice: int | None, *, key: str, seconds: float | None) -> Receipt:
        """Decide for the class at the position `choice`, or with None put the record aside."""
        with self._lock:
            if choice is None:
                self._set_aside(task)
                return Receipt(0)
            label = chosen(self.queue.classes, choice)
            receipt = self.queue.answer(
                task, self.person, label, key=key, seconds=seconds, final=True
            )
            self._records = None
            self._passed.pop(task, None)
            return receipt

    def again(self, task: int) -> bool:
        """Ask one more person about this record; whether that was possible."""
        with self._lock:
            record = self._record(task)
            asked = self.queue.ask_again([record], person=self.person)
            self._set_aside(task)
            return asked > 0

    def undo(self, task: int, window: str) -> Task | None:
        """Take back the decision of this person about this record, or take it up again."""
        with self._lock:
            self._records = None
            if task in self._passed:
                del self._passed[task]
                return next(iter(self._tasks([task])), None)
            if not self._is_mine(task):
                return None
            return self.queue.undo(self.person, task=task)

    def last(self) -> int | None:
        """The task of this person's latest decision."""
        latest = (
            select(answers.c.task)
            .join(tasks, tasks.c.id == answers.c.task)
            .where(tasks.c.queue == self.queue.id, answers.c.person == self.person)
            .where(answers.c.final)
            .order_by(answers.c.event.desc())
            .limit(1)
        )
        with self.queue.store.read() as connection:
            return connection.execute(latest).scalar()

    def leave(self, window: str) -> None:
        """The window is closed; nothing was held."""

    def close(self) -> None:
        """Nothing is held."""

    def card(self, task: Task) -> str:
        """The task as HTML, with who said what."""
        said = who_said(self.queue, [task.record]).get(task.record, [])
        return card(task, self.queue.classes, said=said)

    def progress(self, *, exact: bool = True) -> dict[str, Any]:
        """How many are left and settled, in numbers and words."""
        left, done = len(self._listed()), settled(self.queue)
        return {
            "done": done, "all": left + done, "mine": done, "skipped": 0,
            "words": f"{count(left)} to settle · {count(done)} settled",
        }  # fmt: skip

    def _set_aside(self, task: int) -> None:
        self._passed.pop(task, None)
        if len(self._passed) < _PASSED:
            self._passed[task] = None

    def _listed(self) -> list[str]:
        """The records on which people differ; of a large queue it may be some seconds old."""
        now = self._now()
        if self._records is None or now >= self._records[0]:
            found = disputed(self.queue)
            took = self._now() - now
            self._records = self._now() + (_SPARED * took if took > _CHEAP else 0), found
        return self._records[1]

    def _disputed(self) -> dict[int, tuple[bool, int]]:
        """The task of each disputed record that has the latest answer; its place in the order."""
        found: dict[int, tuple[bool, int]] = {}
        latest = (
            select(func.max(answers.c.event).label("event"), tasks.c.record)
            .join(tasks, tasks.c.id == answers.c.task)
            .where(tasks.c.queue == self.queue.id, tasks.c.kind != "gold")
            .where(answers.c.label.is_not(None))
            .group_by(tasks.c.record)
        )
        records = self._listed()[:_LOOKED]
        with self.queue.store.read() as connection:
            for start in range(0, len(records), 500):
                mine = latest.where(tasks.c.record.in_(records[start : start + 500])).subquery()
                query = (
                    select(answers.c.task, tasks.c.missing, mine.c.event)
                    .join(mine, mine.c.event == answers.c.event)
                    .join(tasks, tasks.c.id == answers.c.task)
                )
                for row in connection.execute(query):
                    found[row.task] = (row.missing > 0, row.event)
        return found

    def _tasks(self, numbers: Sequence[int]) -> list[Task]:
        with self.queue.store.read() as connection:
            rows = connection.execute(select(tasks).where(tasks.c.id.in_(numbers))).all()
        order = {one: i for i, one in enumerate(numbers)}
        return [Task.of(row) for row in sorted(rows, key=lambda row: order[row.id])]

    def _record(self, task: int) -> str:
        query = select(tasks.c.record).where(tasks.c.id == task, tasks.c.queue == self.queue.id)
        with self.queue.store.read() as connection:
            found = connection.execute(query).scalar()
        if found is None:
            raise DataError(f"The queue '{self.queue.name}' has no task {task}.")
        return str(found)

    def _is_mine(self, task: int) -> bool:
        """Whether a decision of this person about this task stands."""
        query = select(answers.c.final).where(
            answers.c.task == task, answers.c.person == self.person
        )
        with self.queue.store.read() as connection:
            return bool(connection.execute(query).scalar())
