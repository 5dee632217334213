"""Faults, in seconds: nothing wrong is answered, and what is looked for is found."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from sqlalchemy import insert
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from benchmarks.serving_evidence import Outage, Stood, judged, stood_of
from benchmarks.serving_load import Load, Row, Target, asked
from leaven import releasing
from leaven.evaluate.run import Run
from leaven.operate.manifest import read_manifest
from leaven.operate.releases import Releases
from leaven.serve.models import door, people_route
from leaven.serve.models.answering import Worker
from leaven.store.people import Token
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from tests.serve.models.released import eventually, release, said, served

CLASSES = ("a", "b")
EXPECTED = {
    "s": {"one": (CLASSES, np.array([[0.9, 0.1]])), "two": (CLASSES, np.array([[0.2, 0.8]]))}
}
STOOD = {"s": [Stood("one", 100, 200), Stood("two", 200, float("inf"))]}
ANSWER = Row(
    "s", "single", 150, 151, 200, None, "one", "live", 0, [0], [("p", {"a": 0.9, "b": 0.1})]
)
TRUTH = Row("s", "truth", 160, 161, 200, truth=("p", "a"))


@pytest.fixture
def kept(store: str) -> Store:
    """Where the answer is logged and its truth kept."""
    found = Store(store)
    row = {
        "name": "p", "request": "p", "service": "s", "at": 150, "run": "r", "digest": "one",
        "place": "live", "content": "c", "label": "a", "probability": 0.9,
        "probabilities": [0.9, 0.1], "route": "answer", "explored": False, "logged": 1.0,
    }  # fmt: skip
    truth = {"service": "s", "prediction": "p", "content": "c", "label": "a", "caused": False,
             "origin": "production", "person": "ann", "at": 161}  # fmt: skip
    with found.write() as connection:
        connection.execute(insert(predictions), [row])
        connection.execute(insert(feedback), [truth])
    return found


def test_each_violation_is_found(kept: Store):
    def found(*rows: Row, outages: tuple[Outage, ...] = (), kills: tuple[float, ...] = ()):
        return judged(rows, STOOD, EXPECTED, kept, outages, kills)

    good = found(ANSWER, TRUTH)
    assert (good.answers, good.acknowledged, good.late) == (1, 1, [])
    counts = ("wrong_version", "wrong_answer", "lost_truth", "doubled_truth", "forbidden", "cut",
              "not_logged", "misattributed", "unacknowledged", "refused_truth")  # fmt: skip
    assert [getattr(good, name) for name in counts] == [0] * len(counts)
    late = replace(ANSWER, sent=204, received=204.5)
    assert found(late).late == [4]
    assert (found(late).wrong_version, found(replace(late, sent=206)).wrong_version) == (0, 1)
    away = Outage("away", 190, 220)
    assert found(replace(late, sent=221, received=222), outages=(away,)).late == [1]
    two = {"version": "two", "said": [("p", {"a": 0.2, "b": 0.8})]}
    assert found(replace(ANSWER, **two)).wrong_version == 1  # it had not stood yet
    assert found(replace(ANSWER, sent=199, received=201, **two)).wrong_version == 0
    assert found(replace(ANSWER, sent=199, received=201, **two)).misattributed == 1
    assert found(replace(ANSWER, said=[("p", {"a": 0.2, "b": 0.8})])).wrong_answer == 1
    assert found(replace(ANSWER, said=[("q", {"a": 0.9, "b": 0.1})])).not_logged == 1
    assert found(replace(TRUTH, truth=("p", "b"))).lost_truth == 1
    assert found(replace(TRUTH, truth=("q", "a"))).lost_truth == 1
    assert found(replace(TRUTH, status=404)).refused_truth == 1
    assert found(replace(TRUTH, status=503, retry="5")).unacknowledged == 1
    assert found(replace(TRUTH, status=503, retry="5")).forbidden == 0
    assert found(replace(TRUTH, status=503)).forbidden == 1
    assert found(replace(ANSWER, status=503, retry="1", said=[])).forbidden == 1
    assert found(replace(ANSWER, status=500, said=[])).forbidden == 1
    cut = replace(ANSWER, status=0, said=[])
    assert (found(cut).cut_elsewhere, found(cut, kills=(150.5,)).cut_elsewhere) == (1, 0)
    assert "wrong version 0, wrong answer 0" in good.lines()


def test_under_load_through_swaps_and_a_store_that_is_held(pair: tuple[Run, Run], store: str):
    first, second = pair
    words = said(30, seed=5)[0]
    release(first, store)
    with served(store) as client:
        target = Target(
            "tickets", int(client.base_url.port or 0), [{"text": one} for one in words],
            list(first.classes),
        )  # fmt: skip
        load = Load([target], 2.0, connections=2, pace=0.02)
        rows: list[Row] = []
        sending = threading.Thread(target=lambda: rows.extend(asked(load)))
        sending.start()
        release(second, store, canary=0.5)
        assert eventually(lambda: client.get("/status").json()["canary"] is not None)
        with sqlite3.connect(store, isolation_level=None) as held:
            held.execute("BEGIN IMMEDIATE")
            threading.Event().wait(0.4)
            held.execute("ROLLBACK")
        releasing.promote(by="ben", store=store)
        assert eventually(lambda: client.get("/status").json()["live"]["run"] == "second")
        releasing.rollback(by="cy", store=store)
        sending.join(60)
        assert client.service.log.flush(10)
    expected = {
        read_manifest(run.folder / "model").digest: (run.classes, run.predict(words))
        for run in pair
    }
    kept = Store(store)
    stood = {"tickets": stood_of("tickets", Releases(kept, "tickets").history())}
    found = judged(rows, stood, {"tickets": expected}, kept, [], [])
    assert {row.version for row in rows if row.said} == expected.keys()
    assert found.acknowledged > 0
    for name in ("wrong_version", "wrong_answer", "lost_truth", "doubled_truth", "forbidden", "cut",
                 "not_logged", "misattributed", "unacknowledged", "refused_truth"):  # fmt: skip
        assert getattr(found, name) == 0, (name, found.lines())


def test_a_store_that_hangs_keeps_nobody_waiting_who_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(door, "_PATIENCE", 30)  # until the store hangs
    now, answers, asked_for = [0.0], threading.Event(), []
    answers.set()

    def bearer(secret: str) -> Token:
        asked_for.append(secret)
        answers.wait(30)
        return Token("load", "viewer", 0.0, None, None, None)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await Response()(scope, receive, send)

    async def statuses() -> list[int]:
        known = door.Door(application, SimpleNamespace(bearer=bearer), None, clock=lambda: now[0])
        found = []
        transport = httpx.ASGITransport(known)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            for at, secret in ((0, "a"), (6, "a"), (7, "a"), (7, "b"), (12, "a"), (700, "a")):
                now[0] = at
                headers = {"authorization": f"Bearer {secret}"}
                found.append((await client.get("/status", headers=headers)).status_code)
                answers.clear()
                monkeypatch.setattr(door, "_PATIENCE", 0.05)
        answers.set()
        return found

    assert asyncio.run(statuses()) == [200, 200, 200, 503, 200, 503]
    assert asked_for == ["a", "a", "b", "a", "a"]  # not again a second after it had hung


def test_truth_of_what_another_worker_may_still_write_is_not_refused_for_good(
    pair: tuple[Run, Run], store: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people_route, "_LAG", 0.1)
    release(pair[0], store)
    with served(store) as client:
        late = {"id": "not yet there", "label": "billing"}
        client.service.worker = Worker(1, 2)
        assert client.post("/feedback", json=late).status_code == 404
        client.service.log._tell("The store was away a moment ago.")
        refused = client.post("/feedback", json=late)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "The log is behind its answers" in refused.json()["error"]
        client.service.worker = Worker(1, 1)  # whose own log has nothing that waits
        assert client.post("/feedback", json=late).status_code == 404
