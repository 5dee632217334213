"""People who label at once, as threads of one store and as processes of their own."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from leaven.label.queue import Ask, Queue, Task
from leaven.store.store import Store
from leaven.store.tables import tasks
from tests.store.history import Clock, check_history

pytest_plugins = ["tests.store.databases"]

TASKS = 60


def made(store: Store, wanted: int, clock: Clock) -> Queue:
    queue = Queue.made(store, "q", classes=["cat", "dog"], modality="text", clock=clock)
    queue.add([Ask(f"r{i}", "c", wanted=wanted) for i in range(TASKS)])
    return queue


def at_once(people: int, work: Callable[[str], list[Task]]) -> dict[str, list[Task]]:
    """What each got who began at the same moment."""
    names = [f"person {i}" for i in range(people)]
    gate = threading.Barrier(people)

    def one(name: str) -> list[Task]:
        gate.wait()
        return work(name)

    with ThreadPoolExecutor(people) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


@pytest.mark.parametrize(("people", "wanted"), [(2, 1), (8, 1), (8, 2)])
def test_as_many_threads_hold_a_task_as_it_wants(
    store: Store, clock: Clock, people: int, wanted: int
):
    queue = made(store, wanted, clock)

    def work(name: str) -> list[Task]:
        return [task for _ in range(4) for task in queue.lease(name, 3)][-3:]

    held = at_once(people, work)
    holders = Counter(task.id for found in held.values() for task in found)
    assert set(holders.values()) == {wanted}
    assert [len(found) for found in held.values()] == [3] * people
    check_history(store)


@pytest.mark.parametrize("wanted", [1, 2])
def test_threads_answer_each_task_as_often_as_it_wants(store: Store, clock: Clock, wanted: int):
    queue = made(store, wanted, clock)

    def work(name: str) -> list[Task]:
        done: list[Task] = []
        while found := queue.lease(name, 2):
            for task in found:
                told = queue.answer(task.id, name, "cat", key=f"{name}/{task.id}")
                assert (told.again, told.late) == (False, False)
            done += found
        return done

    done = at_once(8, work)
    counts = Counter(task.id for found in done.values() for task in found)
    assert len(counts) == TASKS
    # Near the end a person may find the last places held by others, and go.
    assert max(counts.values()) <= wanted
    with store.read() as connection:
        left = connection.execute(select(func.sum(tasks.c.missing))).scalar()
    assert left == TASKS * wanted - sum(counts.values())
    assert left == 0 or wanted > 1
    check_history(store)


def test_the_same_answer_from_many_threads_is_one_event(store: Store, clock: Clock):
    queue = made(store, 2, clock)
    receipts = []

    def work(name: str) -> list[Task]:
        receipts.append(queue.answer(1, "anna", "cat", key="k"))
        return []

    at_once(8, work)
    assert len({told.event for told in receipts}) == 1
    assert Counter(told.again for told in receipts) == {False: 1, True: 7}
    check_history(store)


def test_the_same_records_added_by_many_threads_are_one_task_each(store: Store, clock: Clock):
    queue = Queue.made(store, "q", classes=["cat"], modality="text", clock=clock)
    added = []

    def work(name: str) -> list[Task]:
        added.append(queue.add([Ask(f"r{i}", "c") for i in range(20)]))
        return []

    at_once(6, work)
    assert sorted(added) == [0] * 5 + [20]
    check_history(store)


def test_processes_hold_different_tasks(address: str, clock: Clock):
    """Forked before a connection is there; each writes down what it holds."""
    store = Store(address)
    made(store, 1, clock)
    store.close()
    begin, go = os.pipe()
    children = []
    for number in range(8):
        back, told = os.pipe()
        if not os.fork():
            try:
                queue = Queue(Store(address), "q", clock=clock)
                os.close(go)
                os.read(begin, 1)  # ends for all when the parent closes its end
                found = {task.id for _ in range(5) for task in queue.lease(f"person {number}", 5)}
                os.write(told, " ".join(map(str, found)).encode())
            finally:
                os._exit(0)
        os.close(told)
        children.append(back)
    os.close(begin)
    os.close(go)
    held = [os.fdopen(back).read().split() for back in children]
    for _ in children:
        os.wait()
    assert [len(found) for found in held] == [5] * 8
    assert len({task for found in held for task in found}) == 40
    check_history(Store(address))
