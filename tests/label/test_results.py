"""What people said, as labels, speed and agreement."""

from __future__ import annotations

from itertools import count

import pytest

from leaven.label import results
from leaven.label.queue import Ask, Queue
from leaven.store.store import Store

NUMBERS = count()


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    made = Queue.made(
        Store("sqlite://"), "mails", classes=["ham", "spam"], modality="text", clock=clock
    )
    made.add(
        [Ask(str(i), f"c{i}", guess=(("spam", 0.8), ("ham", 0.2)), wanted=2) for i in range(4)]
        + [Ask("g", "cg", kind="gold", truth="ham", wanted=2)]
    )
    return made


def say(queue: Queue, record: str, person: str, label: str | None, **more: object) -> None:
    task = results.tasks_of(queue, [record])[record]
    queue.answer(task, person, label, key=str(next(NUMBERS)), **more)  # type: ignore[arg-type]


def test_the_label_of_most_people_counts_and_an_even_split_does_not(queue: Queue):
    for person, label in (("ann", "spam"), ("bob", "spam"), ("eve", "ham")):
        say(queue, "0", person, label)
    say(queue, "1", "ann", "ham")
    say(queue, "1", "bob", "spam")
    say(queue, "2", "ann", None)
    say(queue, "g", "ann", "spam")
    rows = results.labels(queue).to_pylist()
    assert [(row["id"], row["content"], row["label"]) for row in rows] == [("0", "c0", "spam")]
    assert rows[0]["people"] == "ann, bob, eve"
    assert rows[0]["agreed"] == pytest.approx(2 / 3)
    assert rows[0]["origin"] == "person"
    assert results.disputed(queue) == ["1"]


def test_a_final_answer_decides(queue: Queue):
    say(queue, "1", "ann", "ham")
    say(queue, "1", "bob", "spam")
    say(queue, "1", "eve", "spam", final=True)
    assert results.disputed(queue) == []
    assert results.labels(queue)["label"].to_pylist() == ["spam"]


def test_the_queue_is_counted(queue: Queue, clock: Clock):
    say(queue, "0", "ann", "spam")
    clock.now += 10
    say(queue, "1", "ann", "spam")
    clock.now += 1000  # away
    say(queue, "2", "ann", "ham")
    clock.now += 20
    say(queue, "3", "ann", None)
    say(queue, "0", "bob", "spam")
    told = results.summary(queue, "ann")
    assert (told.open, told.done, told.skipped, told.mine) == (4, 1, 1, 3)
    assert told.per_hour == pytest.approx(360)
    assert results.summary(queue, "nobody").per_hour is None
    for record in "012":
        say(queue, record, "eve", "ham", note="from a.csv")
        clock.now += 0.01
    assert results.summary(queue, "eve").per_hour is None, "an import says nothing of her speed"


def test_agreement_is_that_of_records_with_two_answers(queue: Queue):
    assert results.summary(queue).agreement is None
    for record, ours, theirs in (("0", "ham", "ham"), ("1", "spam", "spam"), ("2", "ham", "spam")):
        say(queue, record, "ann", ours)
        say(queue, record, "bob", theirs)
    found = results.summary(queue).agreement
    assert found is not None
    # 1 - (observed 2/6) / (expected 2 * 3 * 3 / (6 * 5))
    assert found.value == pytest.approx(1 - (2 / 6) / (18 / 30))


def test_people_are_told_by_what_they_did(queue: Queue):
    say(queue, "0", "ann", "spam", seconds=2.0)
    say(queue, "1", "ann", "ham", seconds=6.0)
    say(queue, "g", "ann", "ham", seconds=4.0)
    say(queue, "2", "ann", None)
    queue.undo("ann")
    say(queue, "g", "bob", "spam")
    ann, bob = results.people(queue)
    assert (ann.name, ann.answered, ann.skipped, ann.undone, ann.seconds) == ("ann", 3, 0, 1, 4.0)
    assert ann.gold is not None
    assert (ann.gold.value, ann.gold.n) == (1.0, 1)
    assert ann.with_model is not None
    assert (ann.with_model.value, ann.with_model.n) == (0.5, 2)
    assert bob.gold is not None
    assert bob.gold.value == 0.0


def test_the_history_of_a_record_has_every_event(queue: Queue):
    say(queue, "0", "ann", "spam", seconds=2.0)
    queue.undo("ann")
    say(queue, "0", "ann", "ham")
    kinds = [(one["kind"], one["label"]) for one in results.history(queue, "0")]
    expected = [("asked", None), ("answered", "spam"), ("undone", "spam"), ("answered", "ham")]
    assert kinds == expected
    assert results.history(queue, "0")[1]["guess"] == "spam"
