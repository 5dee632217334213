"""Tasks of a queue as Label Studio gets them, and its annotations as answers, without a server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.sounds import wave_file
from leaven.label.queue import Ask, Queue, Task
from leaven.label.results import history, labels, people, standing
from leaven.label.studio.answers import Pulled, Taker
from leaven.label.studio.client import Client
from leaven.label.studio.config import labelling_config
from leaven.label.studio.media import Media, media_of_record, media_of_shown
from leaven.label.studio.tasks import Asked, asked_in, data_of, open_tasks, scores
from leaven.store.store import Store
from tests.label_studio.hostile import Answer, Heard, hostile

TOKEN = "0123456789abcdef0123456789abcdef01234567"
CLASSES = ("ham", "spam", "two\nlines")


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    made = Queue.made(Store(tmp_path / "q.db"), "mails", classes=CLASSES, modality="text")
    made.add([Ask(f"r{i}", f"c{i}", {"kind": "text", "text": f"t{i}"}) for i in range(3)])
    return made


# What is sent


@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_scores_rise_as_priorities_fall(priorities: list[float]):
    tasks = [Task("r", "c", priority=p) for p in sorted(priorities, reverse=True)]
    found = scores(tasks)
    assert all(a < b for a, b in pairwise(found))
    assert all(0 <= one <= 1 + 1e-9 for one in found)
    assert json.loads(json.dumps(found)) == found, "what arrives is what was sent"


def test_scores_of_two_pushes_keep_their_order():
    both = [Task("r", "c", priority=float(p)) for p in (300, 299, 2, 1, -5)]
    (a,), (b,) = scores(both[1:2]), scores(both[:1])
    assert b < a
    assert scores(both) == sorted(scores([t])[0] for t in both)


def test_open_tasks_are_the_queues_in_its_order(queue: Queue):
    queue.add([Ask("urgent", "c", priority=9.0), Ask("hers", "c", assigned="anna")])
    (first, *_) = queue.lease("ben")
    queue.answer(first.id, "ben", "ham", key="k")
    assert [one.record for one in open_tasks(queue)] == ["r0", "r1", "r2"]
    assert queue.lease("carl", 9)[0].record == "r0", "nothing was leased by looking"


def test_what_a_record_holds_is_data_and_nothing_else(tmp_path: Path):
    bad = "<img src=x onerror=alert(1)>\0\ud800"
    cells = [{"name": "a", "value": bad}, {"name": bad, "value": "1"}, "odd"]
    rows = Queue.made(Store(tmp_path / "q.db"), "rows", classes=CLASSES, modality="tabular")
    found = data_of(rows, Task("r", "c", {"kind": "row", "cells": cells}, reason=bad), None)
    assert found is not None
    json.dumps(found).encode()
    assert found["data"]["row"]["a"] == "<img src=x onerror=alert(1)>\ufffd\ufffd"
    assert all("\0" not in key for key in found["data"]["row"])
    asked = asked_in(found, "rows")
    assert asked == Asked("r", "ask", "")
    assert asked_in(found, "others") is None


@pytest.mark.parametrize("modality", ["text", "image", "audio", "series", "tabular"])
@pytest.mark.parametrize("shown", [{}, {"kind": "none"}, {"text": "", "cells": [], "channels": []},
                                   {"channels": [{"name": "v", "values": [None]}]}])  # fmt: skip
def test_a_record_of_which_there_is_nothing_is_not_sent(
    tmp_path: Path, modality: str, shown: dict[str, Any]
):
    queue = Queue.made(Store(tmp_path / "q.db"), "q", classes=CLASSES, modality=modality)
    assert data_of(queue, Task("r", "c", shown), None) is None


def test_a_series_has_a_column_for_its_steps(tmp_path: Path):
    queue = Queue.made(Store(tmp_path / "q.db"), "q", classes=CLASSES, modality="series")
    two = [{"name": "x", "values": [1.0, None, 3.0]}, {"name": "y", "values": [4.0]}]
    found = data_of(queue, Task("r", "c", {"steps": 401, "channels": two}), None)
    assert found is not None
    assert found["data"]["series"] == {
        "step": [0.0, 200.0, 400.0], "channel 1": [1.0, 2.0, 3.0], "channel 2": [4.0, 4.0, 4.0],
    }  # fmt: skip


def test_a_picture_is_sent_in_full_and_without_what_its_file_held(tmp_path: Path):
    picture = Image.fromarray(np.arange(300 * 200 * 3, dtype=np.uint8).reshape(300, 200, 3))
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    picture.save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.png").write_bytes(b"no picture")
    records = pa.table({"image": ["a.jpg", "b.png", "../outside.png"]})
    dataset = Dataset(
        records, np.array(["a", "b", "c"]), pa.array([None] * 3, pa.string()), "image",
        (), np.array(["1", "2", "3"]), root=tmp_path,
    )  # fmt: skip
    found = media_of_record(dataset, 0)
    assert b"taken at home" not in found.content
    (tmp_path / "sent.png").write_bytes(found.content)
    assert Image.open(tmp_path / "sent.png").size == (200, 300)
    assert Media.name_in(f"upload/3/0a1b2c3d-{found.name}") == found.name
    assert Media.name_in("upload/3/0a1b2c3d-cat.png") is None
    for broken in (1, 2):
        with pytest.raises(DataError, match="cannot be sent"):
            media_of_record(dataset, broken)


def test_a_sound_is_sent_at_its_own_rate():
    samples = np.sin(np.arange(44_100) / 20).astype(np.float32)
    records = pa.table({"audio": pa.array([wave_file(samples, 44_100, exact=False)])})
    dataset = Dataset(
        records, np.array(["a"]), pa.array([None], pa.string()), "audio", (), np.array(["1"])
    )
    found = media_of_record(dataset, 0)
    assert found.content[24:28] == (44_100).to_bytes(4, "little")
    assert len(found.content) > 2 * 44_000


def test_what_a_task_shows_is_only_sent_where_it_is_what_it_says():
    assert media_of_shown({"png": "PHNjcmlwdD4="}, "image") is None
    assert media_of_shown({"png": "%%%"}, "image") is None
    assert media_of_shown({}, "audio") is None


# What comes back


def annotation(number: int, label: str | None, at: float = 0.0, **more: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(1_700_000_000 + at, UTC).isoformat().replace("+00:00", "Z")
    region = {
        "id": "x", "from_name": "class", "to_name": "record", "type": "choices",
        "value": {"choices": [label]},
    }  # fmt: skip
    return {
        "id": number, "completed_by": 1, "was_cancelled": label is None, "lead_time": 2.5,
        "updated_at": moment, "result": [] if label is None else [region],
    } | more  # fmt: skip


def task(record: str, *annotations: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return {
        "id": number or 10 + int(record[1:]), "data": {"uid": record, "content": f"c{record[1:]}"},
        "meta": {"leaven": {"queue": "mails", "kind": "ask", "batch": ""}},
        "annotations": list(annotations),
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[str]:
    """People, and nothing else."""
    users = [{"id": 1, "email": "anna@x.org"}, {"id": 2, "email": "ben@x.org"}]

    def answer(heard: Heard) -> Answer:
        return 200, {}, json.dumps(users).encode()

    with hostile(answer) as (url, _):
        yield url


def take(queue: Queue, server: str, *tasks: dict[str, Any], classes: Any = CLASSES) -> Pulled:
    project = {"id": 7, "created_at": "x", "label_config": labelling_config(classes, "text")}
    taker = Taker(Client(server, TOKEN), queue, project)
    for one in tasks:
        taker.take(one)
    return taker.pulled


def said(queue: Queue) -> dict[tuple[str, str], str | None]:
    return {(one.record, one.person.partition("@")[0]): one.label for one in standing(queue)}


def test_answers_skips_and_people_arrive_once(queue: Queue, server: str):
    there = [
        task("r0", annotation(1, "spam"), annotation(2, "class-2", completed_by=2)),
        task("r1", annotation(3, None)),
    ]
    first = take(queue, server, *there)
    assert (first.answers, first.skips, first.again) == (2, 1, 0)
    assert first.people == ["anna@x.org", "ben@x.org"]
    want = {("r0", "anna"): "spam", ("r0", "ben"): "two\nlines", ("r1", "anna"): None}
    assert said(queue) == want
    again = take(queue, server, *there)
    assert (again.answers, again.skips, again.again) == (0, 0, 3)
    assert said(queue) == want
    assert {one.name: one.seconds for one in people(queue)} == {"anna@x.org": 2.5, "ben@x.org": 2.5}
    assert standing(queue)[0].at == 1_700_000_000, "the event has the annotation's time"


def test_a_changed_annotation_replaces_and_an_older_one_does_not(queue: Queue, server: str):
    take(queue, server, task("r0", annotation(1, "spam", 5)))
    found = take(queue, server, task("r0", annotation(1, "ham", 9)))
    assert (found.answers, found.changed) == (0, 1)
    assert said(queue) == {("r0", "anna"): "ham"}
    found = take(queue, server, task("r0", annotation(1, "ham", 9), annotation(2, "spam", 7)))
    assert (found.answers, found.again) == (1, 1)
    assert said(queue) == {("r0", "anna"): "ham"}, "what was changed last stands"
    take(queue, server, task("r0", annotation(1, "ham", 9), annotation(2, "spam", 7)))
    assert said(queue) == {("r0", "anna"): "ham"}


def test_a_deleted_annotation_no_longer_counts(queue: Queue, server: str):
    take(queue, server, task("r0", annotation(1, "spam", 1), annotation(2, "ham", 2)))
    found = take(queue, server, task("r0", annotation(1, "spam", 1)))
    assert (found.deleted, said(queue)) == (1, {("r0", "anna"): "spam"})
    found = take(queue, server, task("r0"))
    assert (found.deleted, said(queue)) == (1, {})
    assert [one["kind"] for one in history(queue, "r0")][-1] == "undone"
    assert take(queue, server, task("r0")).deleted == 0
    assert labels(queue).num_rows == 0
    assert "r0" in [one.record for one in open_tasks(queue)], "it is asked again"


def test_a_deleted_task_takes_no_answer_with_it(queue: Queue, server: str):
    take(queue, server, task("r0", annotation(1, "spam")))
    assert take(queue, server).deleted == 0
    assert said(queue) == {("r0", "anna"): "spam"}


def test_what_was_said_here_since_is_not_overruled_by_a_deletion(queue: Queue, server: str):
    take(queue, server, task("r0", annotation(1, "spam")))
    number = next(one.task for one in standing(queue))
    queue.answer(number, "anna@x.org", "ham", key="here")
    assert take(queue, server, task("r0")).deleted == 0
    assert said(queue) == {("r0", "anna"): "ham"}


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (annotation(1, "eggs"), "'eggs' is no class"),
        (annotation(1, "two\nlines"), "no class"),
        (annotation(1, "spam", result=[]), "chooses no class"),
        (annotation(1, "spam", result=[{"from_name": "class", "value": {}}]), "no class"),
        (annotation(1, "spam", result=2 * annotation(1, "spam")["result"]), "2 classes"),
        (annotation(1, "spam", result=[None, 3, {"from_name": []}]), "no class"),
        (annotation(1, "spam", result=3), "no class"),
        (annotation(1, ["spam"]), "no class"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_taken_is_told_and_looked_at_again(
    queue: Queue, server: str, odd: dict[str, Any], why: str
):
    for _ in range(2):
        found = take(queue, server, task("r0", odd, annotation(2, "ham", completed_by=2)))
        (unread,) = found.unread
        assert (unread["annotation"], unread["record"]) == (1, "r0")
        assert why in unread["why"]
    assert said(queue) == {("r0", "ben"): "ham"}


def test_a_class_that_came_later_is_taken_then(queue: Queue, server: str):
    wider = (*CLASSES, "eggs")
    there = task("r0", annotation(1, "eggs"))
    assert len(take(queue, server, there, classes=wider).unread) == 1
    Queue.made(queue.store, "mails", classes=["eggs"], modality="text")
    found = take(queue, server, there, classes=wider)
    assert (found.answers, found.unread) == (1, [])
    assert said(queue) == {("r0", "anna"): "eggs"}


@pytest.mark.parametrize("seconds", [None, -1, math.inf, math.nan, "3", 1e12, True])
def test_a_time_that_is_none_is_left_out(queue: Queue, server: str, seconds: Any):
    take(queue, server, task("r0", annotation(1, "spam", lead_time=seconds)))
    assert people(queue)[0].seconds is None
    assert said(queue) == {("r0", "anna"): "spam"}


def test_people_who_are_gone_keep_their_answers(queue: Queue, server: str):
    there = [annotation(1, "spam", completed_by=None), annotation(2, "ham", completed_by=99)]
    take(queue, server, task("r0", *there))
    assert said(queue) == {("r0", "unknown user"): "spam", ("r0", "user 99"): "ham"}


def test_a_person_is_the_same_one_however_they_are_told(queue: Queue, server: str):
    take(queue, server, task("r0", annotation(1, "spam")))
    single = annotation(1, "spam", completed_by={"id": 1, "email": "anna@x.org"})
    assert take(queue, server, task("r0", single)).again == 1
    assert take(queue, server, task("r1", annotation(2, "ham") | {"completed_by": {"id": 2}}))
    assert said(queue) == {("r0", "anna"): "spam", ("r1", "ben"): "ham"}


def test_tasks_of_others_are_left_alone(queue: Queue, server: str):
    strange = [
        {"id": 1, "data": {"text": "mine"}, "annotations": [annotation(1, "spam")]},
        {"id": 2, "data": {"uid": "unknown"}, "annotations": [annotation(2, "spam")]},
        {"id": 3, "data": None, "meta": 3, "annotations": [annotation(3, "spam")]},
        {"id": 4, "data": {"uid": "a\0b", "content": "c"}, "annotations": [annotation(4, "spam")]},
        task("r0", annotation(5, "spam")) | {"meta": {"leaven": {"queue": "other"}}},
    ]
    found = take(queue, server, *strange)
    assert (found.foreign, found.answers, said(queue)) == (5, 0, {})


def test_a_queue_that_was_lost_gets_its_answers_with_the_content(tmp_path: Path, server: str):
    fresh = Queue.made(Store(tmp_path / "new.db"), "mails", classes=CLASSES, modality="text")
    assert take(fresh, server, task("r5", annotation(1, "spam"))).answers == 1
    assert labels(fresh).to_pylist()[0] | {"at": 0} == {
        "id": "r5", "content": "c5", "label": "spam", "origin": "person", "people": "anna@x.org",
        "answers": 1, "agreed": 1.0, "at": 0,
    }  # fmt: skip
