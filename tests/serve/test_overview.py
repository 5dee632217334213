"""The progress and the records to look at: what each may know; gold looks like all else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaven.label.queue import Ask, Queue
from leaven.serve.cards import card
from leaven.store.people import ROLES
from tests.serve.serving import WINDOW, Member, a_queue, a_team, asks, served


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """Two of four are gold; Ann has answered all of them and Ben two, one of them gold."""
    made = a_queue(tmp_path / "labels.db", 0)
    made.add(asks(2, wanted=3) + asks(4, wanted=3, kind="gold", truth="ham")[2:])
    for task in (1, 2, 3, 4):
        made.answer(task, "ann", "ham", key=f"ann {task}", seconds=4.0)
    for task, label in ((1, "spam"), (3, "spam")):
        made.answer(task, "ben", label, key=f"ben {task}", seconds=8.0)
    return made


def progress(address: str, person: str) -> dict[str, Any]:
    member = Member(address, person)
    told: dict[str, Any] = member.http.get("/progress.json").json()
    told["people"] = {one["name"]: one for one in told["people"]}
    told["html"] = member.http.get("/progress").text
    return told


def test_gold_is_for_reviewers_and_for_who_is_done(queue: Queue):
    people = a_team(
        queue, vic="viewer", ann="annotator", ben="annotator", rita="reviewer", root="admin"
    )
    with served(queue, people=people) as address:
        for person in ("rita", "root"):
            told = progress(address, person)
            found = told["people"]
            assert (found["ann"]["gold"]["value"], found["ben"]["gold"]["value"]) == (1.0, 0.0)
            assert found["ann"]["gold"]["n"] == 2
            assert found["ann"]["agrees"] == {"value": 0.0, "low": None, "high": None, "n": 1}
            assert told["disputed"] == 1
            assert "known answers met" in told["html"]
        ann, ben, vic = (progress(address, person) for person in ("ann", "ben", "vic"))
        assert ann["people"]["ann"]["gold"]["value"] == 1.0  # nothing is left to ask her
        for told in (ann, ben, vic):
            assert "gold" not in told["people"]["ben"]
            assert told["people"]["ben"] == {
                "name": "ben", "answered": 2, "seconds": 8.0, "is_own": told is ben,
            }  # fmt: skip
            assert told["disputed"] is None
        for told in (ben, vic):
            assert "gold" not in told["people"]["ann"]
            assert "known answers" not in told["html"]
        queue.answer(2, "ben", None, key="a skip ends it too")
        queue.answer(4, "ben", "ham", key="the last")
        assert progress(address, "ben")["people"]["ben"]["gold"]["value"] == 0.5
        queue.add([Ask("another", "c", wanted=2)])
        assert "gold" not in progress(address, "ben")["people"]["ben"]


def test_the_numbers_are_those_of_the_queue(queue: Queue):
    curve = [(20, 0.71, 0.6, 0.8), (60, 0.785, 0.7, 0.85)]
    with served(queue, people=a_team(queue, vic="viewer"), curve=curve) as address:
        told = progress(address, "vic")
    assert (told["done"], told["open"], told["skipped"]) == (0, 4, 0)
    assert told["agreement"]["n"] == 2
    assert told["curve"] == [list(point) for point in curve]
    html = told["html"].replace("\u202f", " ")
    assert "0 of 4 records done, 4 wait" in html
    assert "40 more labels: +7.5 points" in html


def test_an_empty_queue_and_hostile_names_are_shown(tmp_path: Path):
    queue = a_queue(tmp_path / "labels.db", 0)
    with served(queue, people=a_team(queue, root="admin")) as address:
        root = Member(address, "root")
        assert "Nobody has answered yet" in root.http.get("/progress").text
        assert "nothing to look at" in root.http.get("/cards").text
        queue.add(asks(1))
        queue.answer(1, "<script>x</script>", "ham", key="1")
        assert "<script>x" not in root.http.get("/progress").text


def test_records_are_looked_at_twenty_at_a_time_without_answers(queue: Queue):
    queue.add(asks(60, batch="2")[10:])
    with served(queue, people=a_team(queue, vic="viewer")) as address:
        vic = Member(address, "vic")
        seen, path = [], "/cards"
        while path:
            html = vic.http.get(path).text
            assert 'class="answer' not in html
            assert "The model says:" in html
            numbers = [part.partition('"')[0] for part in html.split('data-task="')[1:]]
            assert len(numbers) <= 20
            seen += numbers
            path = html.split('class="more"><a href="')[1].split('"')[0] if "more" in html else ""
        assert seen == [str(i) for i in range(1, 55)]
        for wrong in ("x", "-1", "1e9", "9" * 40, "\u0661"):
            answer = vic.http.get("/cards", params={"after": wrong})
            assert answer.status_code == 422


def test_nothing_on_a_page_tells_a_gold_question_from_any_other(tmp_path: Path):
    """The same record asked as either kind: the card and all that is sent with it are equal."""
    shown = {"kind": "text", "text": "hello"}
    told = []
    for kind, truth, assigned in (
        ("ask", None, None),
        ("gold", "ham", "ann"),
        ("audit", None, None),
    ):
        queue = a_queue(tmp_path / f"{kind}.db", 0)
        guess = [("spam", 0.8), ("ham", 0.2)]
        ask = Ask(
            "r", "hash", shown, guess, "Drawn at random", kind=kind, truth=truth,
            assigned=assigned, origin={"strategy": kind},
        )  # fmt: skip
        queue.add([ask])
        with served(queue, people=a_team(queue, ann="annotator", rita="reviewer")) as address:
            ann = Member(address, "ann")
            looked = ann.http.get("/cards").text.partition("<main>")[2]
            given = ann.post("/tasks", window=WINDOW).json()
            kept = ann.post("/answer", task=1, choice=1, key="key-0001", seconds=1).json()
            after = ann.post("/tasks", window=WINDOW).json()
            back = ann.post("/undo", task=1, window=WINDOW).json()
            told.append((looked, given, kept, after, back))
        assert len(queue.lease("ann")) == 1
    assert told[0] == told[1] == told[2]
    assert card(queue.lease("ann")[0], ("ham", "spam")) in told[0][1]["tasks"][0]["html"]


def test_what_a_page_links_to_is_what_its_reader_may_open(queue: Queue):
    people = a_team(queue, **{role: role for role in ROLES})
    with served(queue, people=people) as address:
        seen = []
        for role in ROLES:
            member = Member(address, role)
            bar = member.http.get("/progress").text.partition('class="ways"')[2]
            ways = [
                part.partition('"')[0] for part in bar.partition("</nav>")[0].split('href="')[1:]
            ]
            assert all(member.http.get(path).status_code == 200 for path in ways)
            seen.append(ways)
    assert seen[0] == ["/progress", "/cards"]
    assert seen[1] == ["/", "/progress", "/cards"]
    assert seen[2] == seen[3] == ["/", "/settle", "/progress", "/cards"]
    assert seen[4] == ["/", "/settle", "/progress", "/cards", "/users"]
