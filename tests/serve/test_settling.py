"""Settling what people differ on: what is shown, one decision a record, and all of it undone."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from leaven.core.errors import DataError, SettingError
from leaven.label.queue import Queue
from leaven.label.results import disputed, history, labels
from leaven.serve.settling import SettleDesk, settled, who_said
from tests.serve.serving import WINDOW, Client, Member, a_queue, a_team, asks, served


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """On r0 to r3 Ann and Ben differ, on r4 they agree; r5 is gold and r6 waits."""
    made = a_queue(tmp_path / "labels.db", 0)
    made.add(asks(5, wanted=2))
    made.add(asks(6, wanted=2, kind="gold", truth="ham")[5:] + asks(7, wanted=2)[6:])
    for task in range(1, 7):
        made.answer(task, "ann", "ham", key=f"ann {task}", seconds=2.5)
        made.answer(task, "ben", "ham" if task == 5 else "spam", key=f"ben {task}")
    return made


def records(desk: SettleDesk, *have: int, unsent: tuple[int, ...] = ()) -> list[str]:
    return [task.record for task in desk.take(WINDOW, have, unsent)]


def test_disputes_come_three_at_a_time_and_go_when_decided(queue: Queue):
    desk = SettleDesk(queue, "rita")
    assert records(desk) == ["r0", "r1", "r2"]
    assert records(desk, 3, 1) == ["r2", "r0", "r1"]  # in the order of the window
    assert records(desk, unsent=(1,)) == ["r1", "r2", "r3"]
    receipt = desk.answer(1, 0, key="key-0001", seconds=1.0)
    assert (receipt.late, desk.answer(1, 0, key="key-0001", seconds=1.0).again) == (False, True)
    assert records(desk) == ["r1", "r2", "r3"]
    assert desk.progress() | {"words": ""} == {
        "done": 1, "all": 4, "mine": 1, "skipped": 0, "words": "",
    }  # fmt: skip
    assert (settled(queue), desk.last()) == (1, 1)
    with pytest.raises(SettingError, match="'choice' must be a class from 0 to 1"):
        desk.answer(2, 2, key="key-0002", seconds=None)
    with pytest.raises(DataError, match="has no task 99"):
        desk.again(99)


def test_what_is_put_aside_comes_last_and_all_is_taken_back(queue: Queue):
    desk = SettleDesk(queue, "rita")
    for task in (1, 2):
        desk.answer(task, None, key=f"key-000{task}", seconds=None)
    assert records(desk) == ["r2", "r3", "r0"]
    back = desk.undo(1, WINDOW)
    assert back is not None
    assert records(desk) == ["r0", "r2", "r3"]
    desk.answer(1, 0, key="key-0003", seconds=None)
    assert desk.undo(1, WINDOW) is not None
    assert desk.undo(1, WINDOW) is None  # sent twice
    assert desk.undo(5, WINDOW) is None  # nobody's decision
    assert "r0" in disputed(queue)
    for task in (1, 3, 4):
        desk.answer(task, 0, key=f"key-001{task}", seconds=None)
    assert records(desk) == ["r1"]
    assert [one["kind"] for one in history(queue, "r1")] == ["asked", "answered", "answered"]


def test_the_reviewers_own_answer_stands_again_when_the_decision_is_taken_back(queue: Queue):
    desk = SettleDesk(queue, "ben")
    desk.answer(1, 0, key="key-0001", seconds=None)
    assert [one.label for one in who_said(queue, ["r0"])["r0"]] == ["ham", "ham"]
    desk.undo(1, WINDOW)
    assert [(one.person, one.label) for one in who_said(queue, ["r0"])["r0"]] == [
        ("ann", "ham"), ("ben", "spam"),
    ]  # fmt: skip
    assert "r0" in disputed(queue)


def test_one_more_is_asked_and_the_record_comes_after_the_others(queue: Queue):
    desk = SettleDesk(queue, "rita")
    assert desk.again(1)
    assert not desk.again(1)
    assert records(desk) == ["r1", "r2", "r3"]
    other = SettleDesk(queue, "sam")
    assert records(other) == ["r1", "r2", "r3"]
    assert {task.record for task in queue.lease("carl", 9)} == {"r0", "r6"}
    queue.answer(1, "carl", "spam", key="carl")
    assert "r0" not in disputed(queue)


def test_what_two_reviewers_decide_is_told_to_the_second(queue: Queue):
    with served(queue, people=a_team(queue, rita="reviewer", sam="reviewer")) as address:
        rita, sam = Member(address, "rita"), Member(address, "sam")
        shown = [
            [one["task"] for one in who.post("/settle/tasks", window=WINDOW).json()["tasks"]]
            for who in (rita, sam)
        ]
        assert shown == [[1, 2, 3], [1, 2, 3]]
        told = [
            who.post("/settle/answer", task=1, choice=choice, key=f"key-000{choice}").json()
            for choice, who in enumerate((rita, sam))
        ]
        assert [one["late"] for one in told] == [False, True]
        left = rita.post("/settle/tasks", window=WINDOW, have=[1, 2, 3]).json()
        assert [one["task"] for one in left["tasks"]] == [2, 3, 4]
        assert left["progress"]["words"] == "3 to settle · 1 settled"
        back = sam.post("/settle/undo", task=1, window=WINDOW).json()["task"]
        assert "(decided)" in back["html"]
        assert sam.post("/settle/undo", task=1, window=WINDOW).json() == {"task": None}
    assert history(queue, "r0")[-1]["kind"] == "undone"
    assert labels(queue).column("label").to_pylist()[0] == "ham"  # Rita's stands


def test_a_card_tells_who_said_what_and_hides_nothing_else(queue: Queue):
    with served(queue) as address:
        client = Client(address)
        cards = client.post("/settle/tasks", window=WINDOW).json()["tasks"]
        html = cards[0]["html"]
        assert re.findall(r"<bdi>(ann|ben)</bdi></th><td><b><bdi>(\w+)</bdi>", html) == [
            ("ann", "ham"), ("ben", "spam"),
        ]  # fmt: skip
        assert html.count("1 person") == 2
        assert "in 2 s" in html.replace("\u202f", " ")
        plain = client.post("/tasks", window=WINDOW).json()["tasks"]
        assert not any("ann" in one["html"] for one in plain)
        said = client.http.get("/said", params={"record": "r0"}).json()
        assert [one["person"] for one in said] == ["leaven", "ann", "ben"]
        assert client.http.get("/said").json() == []


def test_of_many_classes_those_that_people_said_have_keys(tmp_path: Path):
    classes = [f"class {i}" for i in range(40)]
    queue = a_queue(tmp_path / "many.db", 1, classes)
    queue.answer(1, "ann", "class 38", key="1")
    queue.answer(1, "ben", "class 39", key="2")
    desk = SettleDesk(queue, "rita")
    (task,) = desk.take(WINDOW, [], [])
    keys = dict(re.findall(r'data-choice="(\d+)" data-key="(\d)"', desk.card(task)))
    assert (keys["38"], keys["39"], keys["1"], len(keys)) == ("1", "2", "3", 10)


def test_a_dear_list_of_disputes_is_used_for_a_while_but_not_after_a_decision(queue: Queue):
    ticks = itertools.count()
    desk = SettleDesk(queue, "rita", now=lambda: float(next(ticks)))
    assert records(desk) == ["r0", "r1", "r2"]
    SettleDesk(queue, "sam").answer(1, 0, key="key-0001", seconds=None)
    assert "r0" in records(desk, unsent=(2,))  # it has not looked again
    desk.answer(2, 0, key="key-0002", seconds=None)
    assert records(desk) == ["r2", "r3"]
