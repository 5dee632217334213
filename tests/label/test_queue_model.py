"""The queue against a plain-Python model of it, over random sequences of everything it does."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from leaven.label.queue import Ask, Queue, Task
from leaven.store.store import Store
from leaven.store.tables import answers, leases, tasks
from tests.store.history import Clock, check_history

pytest_plugins = ["tests.store.databases"]

NUMBERS = count()
PEOPLE = st.sampled_from(["anna", "ben", "carl"])
LABELS = st.sampled_from(["cat", "dog", None])
RECORDS = st.sampled_from("abcdef")
LEASE = 10.0


class Asked:
    """A task of the model."""

    def __init__(self, id_: int, ask: Ask) -> None:
        self.id, self.ask, self.withdrawn = id_, ask, False
        self.said: dict[str, tuple[str | None, bool, int]] = {}  # label, final, when
        self.replaced: dict[str, tuple[str | None, bool, int] | None] = {}  # by a final answer
        self.held: dict[str, float] = {}

    def count(self) -> int:
        return sum(label is not None for label, _, _ in self.said.values())

    def is_closed(self) -> bool:
        return self.withdrawn or any(final for _, final, _ in self.said.values())

    def missing(self) -> int:
        return 0 if self.is_closed() else max(self.ask.wanted - self.count(), 0)

    def has_place(self, person: str, now: float) -> bool:
        others = [who for who, until in self.held.items() if who != person and until > now]
        return self.missing() > len(others)


class Model(RuleBasedStateMachine):
    """Each step is done to a queue of its own in `store` and to the model, and both agree."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = Queue.made(
            self.store, f"queue {next(NUMBERS)}", classes=["cat", "dog"], modality="text",
            clock=self.clock,
        )  # fmt: skip
        self.tasks: list[Asked] = []
        self.keys: dict[str, tuple[int, str, str | None, int]] = {}
        self.step = 0

    def same(self, got: Task, task: Asked, until: float) -> None:
        assert (got.id, got.record, got.until) == (task.id, task.ask.record, until)

    @rule(
        record=RECORDS,
        batch=st.sampled_from("12"),
        wanted=st.integers(1, 2),
        priority=st.sampled_from([0.0, 1.0]),
        assigned=st.sampled_from([None, None, "anna"]),
    )
    def add(self, record: str, batch: str, **told: Any) -> None:
        same = [task for task in self.tasks if task.ask.record == record]
        new = not any(task.ask.batch == batch or task.missing() for task in same)
        ask = Ask(record, "c", batch=batch, **told)
        assert self.queue.add([ask]) == new
        if new:
            with self.store.read() as connection:
                mine = (tasks.c.queue == self.queue.id) & (tasks.c.record == record)
                query = select(tasks.c.id).where(mine & (tasks.c.batch == batch))
                self.tasks.append(Asked(connection.execute(query).scalar_one(), ask))

    @rule(person=PEOPLE, many=st.integers(1, 3))
    def lease(self, person: str, many: int) -> None:
        now = self.clock.now
        free = [
            task
            for task in self.tasks
            if task.ask.assigned in (None, person)
            and person not in task.said
            and task.has_place(person, now)
        ]
        free.sort(key=lambda t: (t.held.get(person, 0.0) <= now, -t.ask.priority, t.id))
        got = self.queue.lease(person, many, seconds=LEASE)
        assert len(got) == len(free[:many])
        for given, task in zip(got, free, strict=False):
            self.same(given, task, now + LEASE)
            task.held[person] = now + LEASE

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), person=PEOPLE, label=LABELS, final=st.booleans())
    def answer(self, data: st.DataObject, person: str, label: str | None, final: bool) -> None:
        task, key = data.draw(st.sampled_from(self.tasks)), f"{self.queue.id}/{self.step}"
        self.step += 1
        final = final and label is not None
        late = task.missing() == 0 and task.said.get(person, (None,))[0] is None
        if final:
            late = any(said[1] for who, said in task.said.items() if who != person)
        told = self.queue.answer(task.id, person, label, key=key, final=final)
        assert (told.again, told.late) == (False, late)
        before = task.said.get(person)
        if not (final and before and before[1]):  # of decisions in a row the first replaced it
            task.replaced[person] = before if final else None
        task.said[person] = (label, final, told.event)
        task.held.pop(person, None)
        self.keys[key] = (task.id, person, label, told.event)

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        task, person, label, event = self.keys[key]
        told = self.queue.answer(task, person, label, key=key)
        assert (told.event, told.again) == (event, True)

    @rule(person=PEOPLE, named=st.none() | st.integers(-1, 40))
    def undo(self, person: str, named: int | None) -> None:
        mine = [task for task in self.tasks if person in task.said]
        if named is not None:
            mine = [task for task in self.tasks[max(named, 0) :][:1] if task in mine]
            named = mine[0].id if mine else named
        got = self.queue.undo(person, task=named, seconds=LEASE)
        if not mine:
            assert got is None
            return
        task = max(mine, key=lambda t: t.said[person][2])
        stands = task.replaced.pop(person, None) if task.said[person][1] else None
        del task.said[person]
        until = 0.0
        if stands:
            with self.store.read() as connection:
                one = (answers.c.task == task.id) & (answers.c.person == person)
                event = connection.execute(select(answers.c.event).where(one)).scalar_one()
            task.said[person] = (stands[0], False, event)
        elif task.has_place(person, self.clock.now):
            until = task.held[person] = self.clock.now + LEASE
        assert got is not None
        self.same(got, task, until)

    @rule(records=st.lists(RECORDS, max_size=3))
    def ask_again(self, records: list[str]) -> None:
        chosen: dict[str, Asked] = {}
        for task in self.tasks:
            given = sum(said[0] is not None for said in task.said.values())
            if task.ask.record in records and given and not task.missing():
                best = chosen.get(task.ask.record)
                if best is None or given >= best.count():
                    chosen[task.ask.record] = task
        open_ = [task for task in chosen.values() if not task.is_closed()]
        assert self.queue.ask_again(records) == len(open_)
        for task in open_:
            task.ask = replace(task.ask, wanted=task.count() + 1, assigned=None)

    @rule(person=PEOPLE)
    def release(self, person: str) -> None:
        self.queue.release(person)
        for task in self.tasks:
            task.held.pop(person, None)

    @rule(records=st.lists(RECORDS, max_size=2))
    def withdraw(self, records: list[str]) -> None:
        gone = [task for task in self.tasks if task.ask.record in records and task.missing()]
        assert self.queue.withdraw(records) == len(gone)
        for task in gone:
            task.withdrawn = True

    @rule(seconds=st.sampled_from([1.0, LEASE]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def agree(self) -> None:
        now, mine = self.clock.now, tasks.c.queue == self.queue.id
        with self.store.read() as connection:
            counts = connection.execute(select(tasks.c.id, tasks.c.missing).where(mine)).all()
            said = connection.execute(select(answers).join(tasks).where(mine)).all()
            held = connection.execute(select(leases).join(tasks).where(mine)).all()
        assert {row.id: row.missing for row in counts} == {t.id: t.missing() for t in self.tasks}
        assert {(row.task, row.person): (row.label, row.final, row.event) for row in said} == {
            (task.id, person): one for task in self.tasks for person, one in task.said.items()
        }
        assert {(row.task, row.person, row.until) for row in held if row.until > now} == {
            (task.id, person, until)
            for task in self.tasks
            for person, until in task.held.items()
            if until > now
        }
        for task in self.tasks:
            assert sum(until > now for until in task.held.values()) <= task.ask.wanted


@pytest.fixture
def examples(address: str) -> int:
    """Fewer on the server, where each step takes longer."""
    return 40 if address.startswith("sqlite") else 10


def test_any_sequence_of_steps_ends_as_the_model_says(store: Store, examples: int):
    machine = type("Machine", (Model,), {"store": store})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40)
    )
    check_history(store, now=float("inf"))  # each queue had a time of its own
