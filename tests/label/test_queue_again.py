"""Asking once more where people differ, deciding, and taking back exactly what is named."""

from __future__ import annotations

from itertools import count

import pytest

from leaven.core.errors import SettingError
from leaven.label.queue import Ask, Queue
from leaven.label.results import disputed, history, labels, standing
from leaven.store.store import Store
from tests.store.history import Clock, check_history

pytest_plugins = ["tests.store.databases"]

KEYS = map("key {}".format, count())


@pytest.fixture
def queue(store: Store, clock: Clock) -> Queue:
    return Queue.made(store, "q", classes=("cat", "dog"), modality="text", clock=clock)


def say(queue: Queue, task: int, person: str, label: str | None, **told: bool) -> int:
    return queue.answer(task, person, label, key=next(KEYS), **told).event


def said(queue: Queue) -> set[tuple[str, str | None]]:
    return {(one.person, one.label) for one in standing(queue)}


def test_a_dispute_is_asked_of_one_more_who_has_not_answered(queue: Queue):
    queue.add([Ask("a", "c", wanted=2, assigned=None), Ask("b", "c", wanted=2)])
    for task in (1, 2):
        say(queue, task, "anna", "cat")
        say(queue, task, "ben", "dog" if task == 1 else "cat")
    assert disputed(queue) == ["a"]
    assert queue.ask_again(disputed(queue), person="rita", note="they differ") == 1
    assert queue.ask_again(["a", "a"]) == 0  # it is waiting now
    assert [queue.lease(person) for person in ("anna", "ben")] == [[], []]
    assert queue.left("anna") == 0
    assert [task.record for task in queue.lease("carl", 5)] == ["a"]
    assert queue.left("dora") == 1  # also while Carl holds it
    assert queue.lease("dora") == []
    say(queue, 1, "carl", None)
    assert [task.record for task in queue.lease("dora")] == ["a"]
    say(queue, 1, "dora", "dog")
    assert disputed(queue) == []
    assert labels(queue).column("label").to_pylist() == ["dog", "cat"]
    assert queue.lease("eve") == []
    event = [one for one in history(queue, "a") if one["kind"] == "asked again"]
    assert [(one["person"], one["note"]) for one in event] == [("rita", "they differ")]
    check_history(queue.store)


def test_what_needs_no_further_answer_is_not_asked_again(queue: Queue):
    queue.add([Ask(name, "c") for name in "abcd"] + [Ask("e", "c", kind="gold", truth="cat")])
    for task in (1, 2, 3, 5):
        say(queue, task, "anna", "cat")
    say(queue, 2, "rita", "dog", final=True)
    say(queue, 3, "ben", "dog")
    queue.undo("anna", task=3)
    queue.undo("ben", task=3)
    queue.withdraw(["c"])
    say(queue, 3, "anna", "cat")
    assert queue.ask_again(["b", "c", "d", "e", "nothing", *map(str, range(2500))]) == 0
    assert queue.ask_again([]) == 0
    assert queue.ask_again(["a"]) == 1
    with pytest.raises(SettingError, match="'person' must be"):
        queue.ask_again(["a"], person="")
    check_history(queue.store)


def test_the_task_with_most_answers_is_asked_again_of_anybody(queue: Queue):
    queue.add([Ask("a", "c", batch="1", wanted=2)])
    say(queue, 1, "anna", "cat")
    say(queue, 1, "ben", "dog")
    queue.add([Ask("a", "c", batch="2", assigned="anna")])
    say(queue, 2, "anna", "dog")
    say(queue, 1, "anna", "cat")
    assert queue.ask_again(["a"]) == 1
    (task,) = queue.lease("carl")
    assert (task.id, task.assigned) == (1, None)


def test_an_undo_that_names_its_task_may_be_sent_again(queue: Queue):
    queue.add([Ask(name, "c") for name in "abc"])
    for task in (1, 2, 3):
        say(queue, task, "anna", "cat")
    for _ in range(3):
        queue.undo("anna", task=2)
    assert {one.record for one in standing(queue)} == {"a", "c"}
    for task in (0, -1, 99, 2**31, 10**30):
        assert queue.undo("anna", task=task) is None
    assert queue.undo("ben", task=1) is None
    assert len(standing(queue)) == 2
    check_history(queue.store)


def test_undoing_a_decision_gives_back_what_it_replaced(queue: Queue):
    queue.add([Ask("a", "c", wanted=2)])
    say(queue, 1, "anna", "cat")
    say(queue, 1, "rita", "dog")
    say(queue, 1, "rita", "cat", final=True)
    say(queue, 1, "rita", "dog", final=True)
    assert disputed(queue) == []
    back = queue.undo("rita", task=1)
    assert back is not None
    assert back.until == 0.0
    assert said(queue) == {("anna", "cat"), ("rita", "dog")}
    queue.undo("rita", task=1)
    say(queue, 1, "rita", None)
    say(queue, 1, "rita", "cat", final=True)
    assert queue.undo("rita", task=1) is not None
    assert said(queue) == {("anna", "cat"), ("rita", None)}
    say(queue, 1, "rita", "dog")
    say(queue, 1, "rita", "dog", final=True)
    queue.undo("rita", task=1)
    assert disputed(queue) == ["a"]
    check_history(queue.store)


def test_who_decides_after_another_is_told_so(queue: Queue):
    queue.add([Ask("a", "c", wanted=2)])
    say(queue, 1, "anna", "cat")
    say(queue, 1, "ben", "dog")
    first = queue.answer(1, "rita", "cat", key="1", final=True)
    again = queue.answer(1, "rita", "dog", key="2", final=True)
    other = queue.answer(1, "sam", "cat", key="3", final=True)
    assert (first.late, again.late, other.late) == (False, False, True)
    assert labels(queue).column("label").to_pylist() == ["cat"]
    check_history(queue.store)
