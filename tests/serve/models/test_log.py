"""What was answered is written down behind the answers, and truth that comes later is kept once."""

from __future__ import annotations

import itertools
import sqlite3
from typing import Any

import pytest
from sqlalchemy import select

from leaven.core.errors import DataError
from leaven.core.wording import percent
from leaven.evaluate.run import Run
from leaven.label.queue import Queue
from leaven.serve.models.answering import Settings
from leaven.serve.models.log import BATCH, PredictionLog
from leaven.serve.models.truth import keep_truth
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from tests.serve.models.released import release, served

pytest_plugins = ["tests.store.databases"]


def rows(store: str, table: Any = predictions) -> list[Any]:
    with Store(store).read() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def a_row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "request": "r", "service": "tickets", "at": 1.0, "run": "run",
        "digest": "d" * 64, "place": "live", "content": "c" * 32, "label": "a",
        "probability": 0.5, "probabilities": [0.5, 0.5], "route": "answer", "explored": False,
        "logged": 1.0, "agrees": None,
    } | more  # fmt: skip


def test_each_answer_is_a_row_that_says_who_gave_it(texts: Run, store: str):
    release(texts, store)
    with served(store) as client:
        told = client.post("/predict", json={"records": ["card", "parcel late"], "id": "r"}).json()
    found = rows(store)
    assert [row.name for row in found] == [one["id"] for one in told["predictions"]]
    for row, one in zip(found, told["predictions"], strict=True):
        assert (row.request, row.service, row.run) == ("r", "tickets", told["run"])
        assert (row.digest, row.place, row.content) == (told["version"], "live", one["input"])
        assert (row.label, row.probability) == (one["label"], one["probability"])
        assert row.probabilities == list(one["probabilities"].values())
        assert (row.route, row.explored, row.logged, row.agrees) == ("answer", False, 1.0, None)


def test_a_share_is_logged_and_what_is_explored_always(texts: Run, store: str):
    release(texts, store)
    settings = Settings(log_share=0.5, explore=0.25)
    with served(store, settings=settings) as client:
        # What is drawn for a record: is it explored, and if not, is it logged?
        draws = itertools.cycle([0.1, 0.9, 0.4, 0.9, 0.6])
        client.service._draw = lambda: next(draws)
        told = client.post("/predict", json={"records": ["card"] * 6}).json()["predictions"]
    assert [one["explored"] for one in told] == [True, False, False] * 2
    found = {row.name: row for row in rows(store)}
    logged = [one["id"] in found for one in told]
    assert logged == [True, True, False] * 2
    assert [row.explored for row in found.values()] == [True, False] * 2
    assert [row.logged for row in found.values()] == [1.0, 0.5] * 2


def test_what_the_model_is_unsure_of_goes_to_people_once(texts: Run, store: str):
    release(texts, store)
    with served(store, settings=Settings(abstain=0.99)) as client:
        words = ["today", "today", "invoice invoice refund charged payment card price"]
        told = client.post("/predict", json={"records": words}).json()["predictions"]
        assert client.service.log.flush(5)
        client.post("/predict", json={"text": "today"})
    unsure = told[0]
    assert (unsure["abstained"], unsure["route"]) == (True, "review")
    with served(store, settings=Settings(abstain=0.99)) as client:  # forgot whom it asked
        client.ask("today")
    queue = Queue(Store(store), "tickets")
    tasks = {task.content: task for task in queue.lease("ann", 10)}
    asked = tasks[unsure["input"]]
    assert asked.record == unsure["input"][:16] == texts.dataset(["today"]).ids[0]
    share = percent(unsure["probability"], 0)
    assert asked.reason == f"The model in production was unsure: {share}"
    assert (asked.kind, asked.batch, asked.shown["text"]) == ("ask", BATCH, "today")
    assert asked.guess[0] == (unsure["label"], pytest.approx(unsure["probability"]))
    assert asked.origin["run"] == texts.story["run"]["id"]
    assert len(tasks) == len({one["input"] for one in told if one["abstained"]})


def test_truth_is_joined_kept_once_and_never_changed(texts: Run, store: str):
    release(texts, store)
    with served(store) as client:
        one = client.ask().json()["predictions"][0]

        def tell(**more: Any) -> Any:
            return client.post("/feedback", json={"id": one["id"], "label": "login"} | more)

        assert [tell().json()["again"] for _ in range(3)] == [False, True, True]
        for changed in ({"label": "billing"}, {"caused": True}):
            refused = tell(**changed)
            assert refused.status_code == 409
            assert "The first counts" in refused.json()["error"]
        other = client.ask("parcel").json()["predictions"][0]["id"]
        assert tell(id=other, caused=True).status_code == 200
        for bad, status in (
            ({"id": "unknown"}, 404), ({"label": "logni"}, 422), ({"caused": 1}, 422),
            ({"id": ""}, 422), ({"id": "\0"}, 422), ({"more": 1}, 422), ({"label": None}, 422),
        ):  # fmt: skip
            assert tell(**bad).status_code == status
    found = rows(store, feedback)
    assert [(row.prediction, row.content, row.label, row.caused) for row in found] == [
        (one["id"], one["input"], "login", False),
        (other, texts.dataset(["parcel"]).content[0], "login", True),
    ]
    assert {(row.origin, row.service, row.person) for row in found} == {
        ("production", "tickets", "production")
    }


def test_truth_of_another_service_or_of_a_shadow_is_none(address: str):
    kept = Store(address)
    log = PredictionLog(kept, "tickets")
    log.add([a_row("a", service="others"), a_row("b", place="shadow"), a_row("c")])
    log.add([a_row("c", label="never")])  # one that is there already is no second one
    log.close()
    assert (log.dropped, log.problem) == (0, "")
    told = {"caused": False, "person": "ann"}
    assert keep_truth(kept, "tickets", "a", "x", **told) is None
    assert keep_truth(kept, "tickets", "b", "x", **told) is None
    assert keep_truth(kept, "tickets", "c", "x", **told) is False
    assert keep_truth(kept, "tickets", "c", "x", **told) is True
    with pytest.raises(DataError, match="'c' is 'x'"):
        keep_truth(kept, "tickets", "c", "y", **told)


def test_a_log_that_cannot_be_written_waits_drops_the_newest_and_counts_them(store: str):
    kept = Store(store)
    with sqlite3.connect(store) as held:
        held.execute("PRAGMA busy_timeout = 0")
        held.execute("BEGIN IMMEDIATE")  # nobody else can write
        log = PredictionLog(kept, "tickets", most=5)
        log.add([a_row(str(i)) for i in range(3)])
        log.add([a_row(str(i)) for i in range(3, 9)])
        assert not log.flush(0.3)
        assert (log.written, log.dropped) == (0, 4)
        held.rollback()
    assert log.flush(5)
    log.add([a_row("last")])
    log.close()
    assert [row.name for row in rows(store)] == ["0", "1", "2", "3", "4", "last"]
    assert log.dropped == 4


def test_a_record_that_cannot_be_asked_about_does_not_stand_in_the_way(texts: Run, store: str):
    kept = Store(store)
    Queue.made(kept, "tickets", classes=["a"], modality="image")  # of other records than these
    release(texts, store)
    with served(store, settings=Settings(abstain=0.99)) as client:
        assert client.ask("today").json()["predictions"][0]["route"] == "review"
        assert client.service.log.flush(5)
        assert (client.service.log.written, client.service.log.dropped) == (1, 1)
        client.ask("tomorrow")
        assert client.service.log.flush(5)
        assert (client.service.log.written, client.service.log.asked) == (2, 0)
