"""The queue by its rules, on SQLite and on PostgreSQL: leases, answers, undoing, odd input."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.label.queue import Ask, Queue, Task, queue_names
from leaven.store.store import Store
from leaven.store.tables import answers, events, leases, tasks
from tests.store.history import Clock, check_history

pytest_plugins = ["tests.store.databases"]

CLASSES = ("cat", "dog")
KEYS = map("key {}".format, count())


@pytest.fixture
def queue(store: Store, clock: Clock) -> Queue:
    """A queue without tasks."""
    return made(store, clock)


def made(store: Store, clock: Clock, name: str = "animals") -> Queue:
    return Queue.made(store, name, classes=CLASSES, modality="image", clock=clock)


def asks(*records: str, **told: object) -> list[Ask]:
    return [Ask(record, f"hash of {record}", **told) for record in records]  # type: ignore[arg-type]


def names(found: list[Task]) -> list[str]:
    return [task.record for task in found]


def say(queue: Queue, task: Task | int, person: str, label: str | None = "cat", **told: object):
    number = task if isinstance(task, int) else task.id
    return queue.answer(number, person, label, **{"key": next(KEYS), **told})  # type: ignore[arg-type]


def missing(queue: Queue) -> dict[str, int]:
    with queue.store.read() as connection:
        found = connection.execute(select(tasks.c.record, tasks.c.missing))
        return {row.record: row.missing for row in found}


# What is asked


def test_a_task_comes_back_as_it_was_asked(queue: Queue, clock: Clock):
    ask = Ask(
        "r/1 é\n", "c" * 64, {"image": "a.png", "n": [1, None]}, (("dog", 0.75), ("cat", 0.25)),
        "is near the boundary", "gold", "first", "dog", -1.5, 2, "anna", {"run": "r", "n": 1e-9},
    )  # fmt: skip
    assert queue.add([ask]) == 1
    (task,) = queue.lease("anna", seconds=7)
    assert {name: getattr(task, name) for name in Ask.__dataclass_fields__} == vars(ask)
    assert task.until == clock.now + 7


def test_the_most_urgent_comes_first_and_the_older_of_equals(queue: Queue):
    queue.add([*asks("a", "b"), *asks("c", priority=2.0), *asks("d", priority=float("-inf"))])
    assert names(queue.lease("anna", 3)) == ["c", "a", "b"]
    assert names(queue.lease("ben", 9)) == ["d"]
    assert queue.lease("carl") == []


def test_what_is_held_comes_before_what_is_more_urgent(queue: Queue):
    queue.add(asks("a", "b", "c"))
    queue.lease("anna", 2)
    queue.add(asks("d", priority=1.0))
    assert names(queue.lease("anna", 3)) == ["a", "b", "d"]
    assert names(queue.lease("anna", 1)) == ["d"]


def test_a_record_is_asked_once_in_a_batch_and_once_at_a_time(queue: Queue):
    assert queue.add(asks("a", "a", "b", batch="1")) == 2
    assert queue.add(asks("a", "b", "c", batch="2")) == 1
    assert queue.add(asks("a", batch="2", kind="audit")) == 1
    say(queue, 1, "anna")
    assert queue.add(asks("a", batch="1")) == 0
    assert queue.add(asks("a", batch="3")) == 1
    check_history(queue.store)


def test_each_event_tells_the_reason_of_its_task(queue: Queue):
    many = [Ask(f"r{i}", "c", reason=f"reason {i}") for i in range(2500)]
    assert queue.add(many) == 2500
    assert queue.add(many) == 0
    with queue.store.read() as connection:
        joined = select(tasks.c.record, tasks.c.reason, events.c.note)
        rows = connection.execute(joined.join(events, events.c.task == tasks.c.id)).all()
    assert {row.record: row.note for row in rows} == {ask.record: ask.reason for ask in many}
    assert len(rows) == 2500


def test_an_ask_that_cannot_be_kept_is_refused_and_none_of_its_company_is_kept(queue: Queue):
    nan = float("nan")
    for wrong, said in [
        (Ask("a", "c", wanted=0), "'wanted' must be at least 1"),
        (Ask("a", "c", priority=nan), "'priority' must be a number"),
        (Ask("a", "c" * 65), "'content' must be text of at most 64"),
        (Ask("a\0", "c"), "'record' must be text"),
        (Ask("\ud800", "c"), "'record' must be text"),
        (Ask("a", "c", batch="b" * 81), "'batch' must be text of at most 80"),
        (Ask("a", "c", reason="\udfff"), "'reason' must be text. Got"),
        (Ask("a", "c", kind="k" * 21), "'kind' must be text of at most 20"),
        (Ask("a", "c", kind="gold"), "'truth' must be the known answer"),
        (Ask("a", "c", assigned=""), "'assigned' must be a name"),
        (Ask("a", "c", truth="bird"), "'label' must be one of: cat, dog. Got 'bird'"),
        (Ask("a", "c", guess=(("dgo", 1.0),)), "Did you mean 'dog'?"),
    ]:
        with pytest.raises(SettingError, match=r".") as raised:
            queue.add([*asks("good"), wrong])
        assert said in str(raised.value)
    for plain in ({"shown": {"x": nan}}, {"origin": {"x": {1}}}, {"guess": (("cat", nan),)}):
        with pytest.raises(DataError, match="The task of 'a' cannot be kept: .* plain JSON"):
            queue.add([*asks("good"), Ask("a", "c", **plain)])
    assert queue.lease("anna") == []


def test_queues_do_not_mix(store: Store, clock: Clock):
    first, second = made(store, clock, "1"), made(store, clock, "2")
    first.add(asks("a"))
    second.add(asks("a", "b"))
    assert names(first.lease("anna", 9)) == ["a"]
    (mine, _) = second.lease("anna", 9)
    with pytest.raises(DataError, match="The queue '1' has no task"):
        say(first, mine, "anna")
    say(second, mine, "anna")
    assert first.undo("anna") is None
    assert first.withdraw(["b"]) == 0
    assert (first.release("anna"), second.release("anna")) == (1, 1)
    assert queue_names(store) == ["1", "2"]
    check_history(store)


def test_a_queue_grows_by_classes_also_for_those_who_have_it_open(queue: Queue, clock: Clock):
    queue.add(asks("a", "b"))
    again = Queue.made(
        queue.store, "animals", classes=["dog", "fox", "fox", "cat"], modality="image"
    )
    assert again.classes == ("cat", "dog", "fox")
    say(queue, 1, "anna", "fox")
    assert queue.classes == ("cat", "dog", "fox")
    with pytest.raises(UnknownNameError, match="cat, dog, fox. Got 'owl'"):
        say(queue, 2, "anna", "owl")


def test_a_queue_is_of_one_modality_and_has_a_name(store: Store, queue: Queue):
    with pytest.raises(DataError, match="holds image records. Got text records"):
        Queue.made(store, "animals", classes=CLASSES, modality="text")
    with pytest.raises(UnknownNameError, match="Did you mean 'animals'"):
        Queue(store, "animal")
    for name in ("", " ", "a\0", "\ud800", "n" * 201):
        with pytest.raises(SettingError, match="a name of 1 to 200 printable"):
            Queue.made(store, name, classes=CLASSES, modality="image")
    assert Queue.made(store, "n" * 200, classes=["x", "x"], modality="text").classes == ("x",)


# Who holds what


def test_a_place_is_held_by_one_until_the_lease_ends(queue: Queue, clock: Clock):
    queue.add(asks("a"))
    (task,) = queue.lease("anna", seconds=10)
    clock.now += 9.75
    assert queue.lease("ben") == []
    clock.now = task.until
    assert names(queue.lease("ben", seconds=10)) == ["a"]
    assert queue.lease("anna") == []
    clock.now += 5
    assert queue.lease("ben", seconds=10)[0].until == clock.now + 10
    assert (queue.release("ben"), queue.release("ben")) == (1, 0)
    assert names(queue.lease("anna")) == ["a"]


def test_as_many_hold_a_task_as_may_still_answer_it(queue: Queue):
    queue.add(asks("a", wanted=2))
    assert [names(queue.lease(person)) for person in ("anna", "ben", "carl")] == [["a"], ["a"], []]
    say(queue, 1, "anna")
    assert [queue.lease(person) for person in ("anna", "carl")] == [[], []]
    queue.release("ben")
    assert names(queue.lease("carl")) == ["a"]
    say(queue, 1, "carl", None)
    assert queue.lease("carl") == []
    assert names(queue.lease("ben")) == ["a"]
    say(queue, 1, "ben", "dog")
    assert missing(queue) == {"a": 0}
    check_history(queue.store)


def test_a_task_for_one_person_is_given_to_nobody_else(queue: Queue):
    queue.add(asks("a", assigned="anna"))
    assert queue.lease("ben") == []
    assert names(queue.lease("anna")) == ["a"]


def test_the_end_of_a_lease_of_another_queue_is_not_our_business(store: Store, clock: Clock):
    """Of two queues, each writes its own rows: nothing waits for the other."""
    first, second = made(store, clock, "1"), made(store, clock, "2")
    first.add(asks("a"))
    first.lease("anna", seconds=1)
    clock.now += 2
    second.lease("anna")
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(leases)).scalar() == 1
    assert names(first.lease("ben")) == ["a"]


def test_numbers_that_make_no_lease_are_refused(queue: Queue):
    queue.add(asks("a"))
    for wanted in (0, -1, 1001, 10**12):
        with pytest.raises(SettingError, match="'count' must be from 1 to 1000"):
            queue.lease("anna", wanted)
    for seconds in (float("nan"), float("inf"), -1.0):
        for call in (queue.lease, queue.undo):
            with pytest.raises(SettingError, match="'seconds' must be a number of seconds"):
                call("anna", seconds=seconds)


# What people say


def test_an_answer_sent_twice_counts_once(queue: Queue):
    queue.add(asks("a", "b", wanted=2))
    once = queue.answer(1, "anna", "cat", key="k", seconds=2.5)
    twice = queue.answer(1, "anna", "cat", key="k", seconds=99.0)
    assert (once.again, twice.again) == (False, True)
    assert once.event == twice.event
    for task, person, label in [(2, "anna", "cat"), (1, "ben", "cat"), (1, "anna", "dog")]:
        with pytest.raises(SettingError, match="'key' must be a number that no other answer has"):
            queue.answer(task, person, label, key="k")
    assert missing(queue) == {"a": 1, "b": 2}
    queue.undo("anna")
    assert queue.answer(1, "anna", "cat", key="k").again  # a late repeat undoes no undoing
    assert missing(queue) == {"a": 2, "b": 2}
    check_history(queue.store)


def test_an_answer_is_late_where_all_were_there_and_it_replaces_none(queue: Queue, clock: Clock):
    queue.add(asks("a"))
    queue.lease("anna", seconds=10)
    clock.now += 20
    queue.lease("ben")
    assert not say(queue, 1, "anna").late  # without a lease
    assert not say(queue, 1, "anna", "dog").late  # the second thought of the same person
    assert say(queue, 1, "ben").late
    assert not say(queue, 1, "ben", "dog").late
    assert missing(queue) == {"a": 0}
    check_history(queue.store)


def test_a_final_answer_ends_a_task_and_its_undoing_opens_it(queue: Queue):
    queue.add(asks("a", wanted=3))
    say(queue, 1, "anna", "cat")
    say(queue, 1, "ben", "dog")
    say(queue, 1, "judge", "dog", final=True, note="a dog's\nears")
    assert missing(queue) == {"a": 0}
    assert queue.lease("carl") == []
    queue.undo("judge")
    assert missing(queue) == {"a": 1}
    with pytest.raises(SettingError, match="'label' must be a class of the queue in a final"):
        say(queue, 1, "judge", None, final=True)
    check_history(queue.store)


def test_undoing_goes_back_one_answer_a_time(queue: Queue):
    queue.add(asks("a", "b"))
    say(queue, 1, "anna")
    say(queue, 2, "anna", None)
    for record in ("b", "a"):
        task = queue.undo("anna")
        assert task is not None
        assert task.record == record
    assert queue.undo("anna") is None
    assert names(queue.lease("anna", 9)) == ["a", "b"]
    check_history(queue.store)


def test_undoing_after_others_answered_leaves_theirs(queue: Queue):
    queue.add(asks("a"))
    say(queue, 1, "anna")
    say(queue, 1, "ben", "dog")
    task = queue.undo("anna")
    assert task is not None
    assert task.until == 0.0  # Ben's answer is all that is wanted
    assert missing(queue) == {"a": 0}
    assert say(queue, 1, "anna", "dog").late
    check_history(queue.store)


def test_undoing_a_skip_does_not_take_the_place_of_who_came_after(queue: Queue, clock: Clock):
    queue.add(asks("a"))
    say(queue, 1, "anna", None)
    (theirs,) = queue.lease("ben", seconds=10)
    mine = queue.undo("anna")
    assert mine is not None
    assert mine.until == 0.0
    check_history(queue.store)
    assert names(queue.lease("ben")) == ["a"]
    assert queue.lease("anna") == []
    say(queue, mine, "anna", None)
    clock.now += 1000  # the lease has ended, but its row is there
    again = queue.undo("anna", seconds=5)
    assert again is not None
    assert again.until == clock.now + 5
    assert theirs.id == again.id


def test_what_is_withdrawn_is_asked_of_nobody_and_its_answers_stay(queue: Queue):
    queue.add(asks("a", "b", wanted=2))
    queue.lease("anna", 2)
    say(queue, 1, "ben")
    assert queue.withdraw(["a", "a", "nothing", *map(str, range(1200)), "a"], note="a copy") == 1
    assert queue.withdraw(["a"]) == 0
    assert queue.withdraw([]) == 0
    assert names(queue.lease("anna", 9)) == ["b"]
    assert say(queue, 1, "anna", "dog").late
    queue.undo("anna")
    queue.undo("ben")
    assert missing(queue) == {"a": 0, "b": 2}
    assert queue.add(asks("a", batch="another")) == 1
    check_history(queue.store)


def test_what_is_no_answer_is_refused_and_leaves_nothing(queue: Queue):
    queue.add(asks("a"))
    for task in (0, -1, 2, 2**31, 2**63, 10**30):
        with pytest.raises(DataError, match=f"The queue 'animals' has no task {task}."):
            say(queue, task, "anna")
    with pytest.raises(UnknownNameError, match="'label' must be one of: cat, dog. Got 'dgo'"):
        say(queue, 1, "anna", "dgo")
    with pytest.raises(UnknownNameError, match="Got ''"):
        say(queue, 1, "anna", "")
    for key in ("", "k" * 81, "\0", "\ud800"):
        with pytest.raises(SettingError, match="'key' must be a name of 1 to 80"):
            say(queue, 1, "anna", key=key)
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingError, match="'seconds' must be"):
            say(queue, 1, "anna", seconds=seconds)
    for note in ("\0", "a\udfff"):
        with pytest.raises(SettingError, match="'note' must be text"):
            say(queue, 1, "anna", note=note)
        with pytest.raises(SettingError, match="'note' must be text"):
            queue.withdraw(["a"], note=note)
    with queue.store.read() as connection:
        assert connection.execute(select(events.c.kind)).scalars().all() == ["asked"]


ODD = [
    "O'Neil; DROP TABLE tasks;--", "李 雷", "%_\\", "ы\u200dя", "\U0001f469\u200d\U0001f52c" * 60,
    '"', "{}", "a" * 200, "A", "a",
]  # fmt: skip


def test_people_of_odd_names_are_all_different(queue: Queue):
    queue.add(asks("a", wanted=len(ODD)))
    for person in ODD:
        assert names(queue.lease(person)) == ["a"]
    for person in ODD:
        say(queue, 1, person)
    with queue.store.read() as connection:
        assert set(connection.execute(select(answers.c.person)).scalars()) == set(ODD)
    assert missing(queue) == {"a": 0}


@pytest.mark.parametrize("person", ["", " ", "\t", "a\0", "a\nb", "\x7f", "\ud83d", "a" * 201])
def test_what_is_no_name_is_refused(queue: Queue, person: str):
    for call in (queue.lease, queue.undo):
        with pytest.raises(SettingError, match="'person' must be a name of 1 to 200 printable"):
            call(person)
    for step in (lambda: say(queue, 1, person), lambda: queue.add([], person=person)):
        with pytest.raises(SettingError, match="'person' must be"):
            step()
    with pytest.raises(SettingError, match="'person' must be"):
        queue.withdraw([], person=person)


def test_the_next_of_many_tasks_is_found_by_the_index(queue: Queue):
    """Each statement of a lease reads as few rows as it gives: none sorts or scans the tasks."""
    numbers = range(100_000)
    with queue.store.write(queue.id) as connection:  # as `add` does, without the events
        row: dict[str, Any] = dict.fromkeys(("content", "kind", "batch", "reason"), "")
        row |= {"queue": queue.id, "shown": {}, "guess": [], "origin": {}, "created": 0.0}
        row |= {"wanted": 1, "missing": 1}
        first = tasks.insert().values(**row, record="r", priority=1.0).returning(tasks.c.id)
        connection.execute(first)
        many = (
            "INSERT INTO tasks (id, record, priority, {0}) "
            "SELECT n, 'r' || n, n * 7919 % 1000 / 500.0, {0} FROM tasks, "
            "(WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < :most) "
            "SELECT n FROM c) AS numbers"
        ).format(", ".join(row))
        connection.execute(text(many), {"most": len(numbers)})
    with queue.store.write() as connection:
        connection.execute(text("ANALYZE"))
    for person in ("anna", "ben"):
        queue.lease(person, 3)
    seen: list[tuple[str, object]] = []

    def keep(_c: object, _d: object, statement: str, told: object, *_: object) -> None:
        seen.append((statement, told))

    event.listen(queue.store._engine, "before_cursor_execute", keep)
    (task,) = queue.lease("carl")
    event.remove(queue.store._engine, "before_cursor_execute", keep)
    assert task.priority == 1.998
    lite = queue.store._engine.dialect.name == "sqlite"
    explained = []
    for statement, told in seen:
        if statement.startswith(("SELECT tasks", "DELETE")):
            with queue.store.read() as connection:
                how = "EXPLAIN QUERY PLAN " if lite else "EXPLAIN "
                plan = connection.exec_driver_sql(how + statement, told).all()
            explained.append("\n".join(str(step[-1]) for step in plan))
    ended, held, free = explained
    assert "ix_tasks_next" in free
    for plan in (ended, held, free):
        assert "SCAN tasks" not in plan
        assert "Seq Scan on tasks" not in plan
    assert "ORDER BY" not in free
    assert "Sort" not in free
