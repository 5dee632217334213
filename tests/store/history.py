"""What must hold of every store at every moment, the time that the tests set, a row to write."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection, insert, select

from leaven.store.store import Store
from leaven.store.tables import answers, events, leases, queues, tasks


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def check_history(store: Store, now: float = 0.0) -> None:
    """Assert that what stands (`answers`, `tasks.missing`, `leases`) follows from `events`.

    Replayed in plain Python, task by task. Leases that ended before `now` hold nothing.
    """
    with store.read() as connection:
        asked = connection.execute(select(tasks)).all()
        past = connection.execute(select(events).order_by(events.c.id)).all()
        said = connection.execute(select(answers)).all()
        held = connection.execute(select(leases)).all()
    standing, withdrawn, first = {}, set(), Counter()
    for event in past:
        place = (event.task, event.person)
        if event.kind == "asked":
            first[event.task] += 1
        elif event.kind == "withdrawn":
            withdrawn.add(event.task)
        elif event.kind in ("undone", "revoked"):
            assert standing.pop(place)[0] == event.label
        elif event.kind != "asked again":
            assert event.kind in ("answered", "skipped", "adjudicated")
            assert (event.label is None) == (event.kind == "skipped")
            standing[place] = (event.label, event.kind == "adjudicated", event.id)
    assert {(row.task, row.person): (row.label, row.final, row.event) for row in said} == standing
    assert first == {task.id: 1 for task in asked}
    keys = [event.key for event in past if event.key is not None]
    assert len(keys) == len(set(keys))
    labelled, final = Counter(), set()
    for (task, _), (label, is_final, _) in standing.items():
        labelled[task] += label is not None
        if is_final:
            final.add(task)
    holders = Counter(lease.task for lease in held if lease.until > now)
    for task in asked:
        closed = task.id in withdrawn or task.id in final
        assert task.missing == (0 if closed else max(task.wanted - labelled[task.id], 0))
        assert holders[task.id] <= task.wanted
    assert not {(lease.task, lease.person) for lease in held} & standing.keys()


def add(connection: Connection, name: str) -> None:
    """Write a row, a queue of this name."""
    row = {"name": name, "created": 0.0, "modality": "text", "question": "?", "classes": []}
    connection.execute(insert(queues).values(**row))


def kept(store: Store) -> list[str]:
    """The names of the rows that are there."""
    with store.read() as connection:
        return sorted(connection.execute(select(queues.c.name)).scalars())
