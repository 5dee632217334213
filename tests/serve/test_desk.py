"""The desk and the cards: who holds what over time, and how any record is shown without harm."""

from __future__ import annotations

import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.label.queue import Queue, Task
from leaven.serve.cards import card
from leaven.serve.desk import LEASE, Desk
from leaven.serve.plots import bought, bought_title, series
from tests.serve.serving import a_queue, said

_VOID = {"img", "br", "wbr", "meta", "link", "input"}
_KINDS = {
    "img": {"src", "alt", "loading", "decoding"},
    "audio": {"controls", "preload", "src", "aria-label"},
}


class Read(HTMLParser):
    """The tags of a card; a script, a handler, or a tag left open fails."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "style", "iframe", "object", "embed", "form", "a", "base"}
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in {"src", "href"}:
                assert (value or "").startswith("data:")
        assert set(dict(attrs)) <= _KINDS.get(tag, set(dict(attrs)))
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def keys(self) -> dict[str, str]:
        """Each key and the position of the class that it chooses."""
        return {
            str(told["data-key"]): str(told["data-choice"])
            for _, told in self.tags
            if "data-key" in told
        }


def a_task(shown: dict[str, Any] | None = None, **more: Any) -> Task:
    told: dict[str, Any] = {"shown": shown or {"kind": "text", "text": "a"}, "id": 7}
    return Task("r", "hash", **(told | more))


class Hands:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def queue(tmp_path: Path, clock: Hands) -> Queue:
    return Queue(a_queue(tmp_path / "labels.db").store, "q", clock=clock)


def test_a_silent_window_counts_as_closed(queue: Queue, clock: Hands):
    desk = Desk(queue, "me", now=clock)
    gone = [task.id for task in desk.take("one", [], [])]
    clock.now = LEASE - 1
    here = [task.id for task in desk.take("two", [], [])]
    assert not {*gone} & {*here}
    clock.now = LEASE + 1
    assert {task.id for task in desk.take("two", here[1:], [])} >= {*here[1:]}
    assert len(desk.take("three", [], [])) == 2


def test_where_nothing_else_is_left_a_still_window_yields(queue: Queue, clock: Hands):
    desk = Desk(queue, "me", now=clock)
    assert len(desk.take("one", [], [])) == 3
    here = [task.id for task in desk.take("two", [], [])]
    for task in here:
        desk.answer(task, 0, key=f"key-000{task}", seconds=None)
    clock.now = 59
    assert desk.take("two", [], []) == []
    clock.now = 61
    taken = [task.id for task in desk.take("two", [], [])]
    assert taken == [1, 2, 3]
    assert desk.take("one", taken, []) == []


def test_a_lease_that_ran_out_is_not_kept_for_a_window(queue: Queue, clock: Hands):
    desk = Desk(queue, "ann", now=clock)
    held = [task.id for task in desk.take("one", [], [])]
    clock.now = LEASE + 1
    others = [task.id for task in queue.lease("bob", 3)]
    assert others == held
    assert [task.id for task in desk.take("one", held, [])] == [4, 5]


def test_answers_that_are_under_way_are_not_asked_again(queue: Queue):
    desk = Desk(queue, "me")
    held = [task.id for task in desk.take("one", [], [])]
    more = [task.id for task in desk.take("one", held[2:], held[:2])]
    assert more == [3, 4, 5]
    assert desk.take("one", [], [1, 2, 3, 4, 5]) == []


def test_an_undo_takes_back_what_it_names_and_nothing_the_second_time(queue: Queue):
    desk = Desk(queue, "me")
    for task in desk.take("one", [], []):
        desk.answer(task.id, 1, key=f"key-{task.id}", seconds=None)
    assert desk.last() == 3
    assert desk.undo(4, "one") is None
    for _ in range(2):
        back = desk.undo(2, "one")
    assert back is None
    assert sorted(said(queue)) == ["r0", "r2"]
    back = desk.undo(3, "one")
    assert back is not None
    assert back.id == 3
    assert desk.last() == 1
    assert 3 not in {task.id for task in desk.take("two", [], [])}  # the first window has it


def test_a_dear_summary_is_used_for_a_while(queue: Queue):
    """Each look at the clock takes a second, so a summary takes one as well."""
    ticks = itertools.count()
    desk = Desk(queue, "me", now=lambda: float(next(ticks)))
    assert desk.summary(exact=False).done == 0
    desk.answer(1, 0, key="key-0001", seconds=None)
    assert desk.summary(exact=False).done == 0
    assert desk.summary().done == 1
    for task in (2, 3):
        desk.answer(task, 0, key=f"key-000{task}", seconds=None)
    seen = [desk.summary(exact=False).done for _ in range(40)]
    assert (seen[0], seen[-1]) == (1, 3)


def test_places_differ_by_queue_and_person(tmp_path: Path, queue: Queue):
    other = a_queue(tmp_path / "other.db")
    places = {Desk(queue, "me").place, Desk(queue, "you").place, Desk(other, "me").place}
    assert len(places) == 3
    assert Desk(Queue(queue.store, "q"), "me").place in places


_WORDS = st.text(st.characters(codec="utf-8", categories=None), max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '" onclick="x',
        "'><img src=x onerror=y>",
        "\u202eevil",
        "x" * 3000,
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=8,
)
_SHOWN = st.fixed_dictionaries(
    {"kind": st.sampled_from(["text", "row", "image", "series", "vector", "audio", "x"]) | _WORDS},
    optional={
        "text": _VALUES, "spans": _VALUES, "cells": st.lists(_VALUES, max_size=3) | st.lists(
            st.fixed_dictionaries({"name": _WORDS, "value": _VALUES}), max_size=3),
        "unusual": _VALUES, "png": _VALUES, "wav": _VALUES, "values": _VALUES,
        "channels": st.lists(
            st.fixed_dictionaries({"name": _WORDS, "values": st.lists(st.floats() | st.none())}),
            max_size=3,
        ),
        "neighbours": _VALUES | st.lists(
            st.fixed_dictionaries({"label": _WORDS, "shown": _VALUES, "record": _WORDS}),
            max_size=2,
        ),
    },
)  # fmt: skip


@settings(max_examples=60)
@given(_SHOWN, st.lists(_WORDS, min_size=1, max_size=14, unique=True), _WORDS, st.data())
def test_no_record_name_or_reason_does_harm(
    shown: dict[str, Any], classes: list[str], word: str, data: st.DataObject
):
    names = data.draw(st.lists(st.sampled_from([*classes, "gone"]), max_size=4, unique=True))
    task = Task(word, "hash", shown, [(name, 0.25) for name in names], word, id=7)
    read = Read(card(task, classes))
    keys = read.keys()
    assert len(keys) == min(len(classes), 10)
    assert {int(choice) for choice in keys.values()} <= set(range(len(classes)))
    guesses = [
        t for _, t in read.tags if "guess" in (t.get("class") or "").split() and "data-key" in t
    ]
    known = [name for name in names if name in classes]
    assert [t["data-choice"] for t in guesses] == [str(classes.index(n)) for n in known[:1]]


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (["a", "b"], {"1": "0", "2": "1"}),
        (list("0123456789"), {str(i): str(i) for i in range(10)}),
        (["3", "1"], {"3": "0", "1": "1"}),
        ([f"c{i}" for i in range(10)], {str((i + 1) % 10): str(i) for i in range(10)}),
    ],
)
def test_classes_keep_their_keys_whatever_is_guessed(classes: list[str], keys: dict[str, str]):
    for guess in ([], [(classes[-1], 0.9)], [(classes[0], 0.5), (classes[1], 0.5)]):
        assert Read(card(a_task(guess=guess), classes)).keys() == keys


def test_of_many_classes_the_likeliest_have_keys():
    classes = [f"c{i}" for i in range(40)]
    guess = [("c30", 0.5), ("c7", 0.3)]
    keys = Read(card(a_task(guess=guess), classes)).keys()
    assert [keys[key] for key in "1234567890"] == ["30", "7", *"01234568"[:8]]


def test_spans_are_marked_and_unusual_cells_said():
    text = card(a_task({"kind": "text", "text": "buy <now>", "spans": [[4, 99]]}), ["a"])
    assert "buy <mark>&lt;now&gt;</mark>" in text
    cells = [{"name": "age", "value": 7}, {"name": "sum", "value": 9}]
    row = card(a_task({"kind": "row", "cells": cells, "unusual": ["sum"]}), ["a"])
    assert re.findall(r'class="unusual"[^>]*><bdi>(\d)</bdi>', row) == ["9"]


def test_a_row_of_many_columns_says_how_many_are_left_out():
    cells = [{"name": f"n{i}", "value": i} for i in range(205)]
    assert "and 5 more columns" in card(a_task({"kind": "row", "cells": cells}), ["a"])


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.none()


@settings(max_examples=40)
@given(st.lists(st.tuples(_WORDS, st.lists(_NUMBERS, min_size=1, max_size=9)), min_size=1))
def test_a_series_is_drawn_within_its_frame(channels: list[tuple[str, list[float | None]]]):
    drawn = str(series(channels[:6], 328))
    height = float(re.search(r'height="(\d+)"', drawn)[1])
    for path in re.findall(r'points="([^"]*)"', drawn):
        for x, y in (map(float, point.split(",")) for point in path.split()):
            assert 0 <= x <= 328
            assert 0 <= y <= height
    Read(drawn)


@pytest.mark.parametrize("curve", [[(5, 0.5, 0.2, 0.8)], [(5, 0.5, 0.5, 0.5), (5, 1.0, 1.0, 1.0)]])
def test_a_curve_of_one_place_is_drawn(curve: list[tuple[int, float, float, float]]):
    drawn = str(bought(curve, bought_title(curve), 328))
    assert not {"nan", "inf"} & set(re.split(r"[^a-z]+", drawn))
    assert math.isfinite(len(Read(drawn).tags))
