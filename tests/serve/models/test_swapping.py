"""Hot swap, canary, shadow, rollback: no request is lost, none is answered by a mixture."""

from __future__ import annotations

import gc
import shutil
import signal
import threading
import time
import weakref
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sqlalchemy import select

from leaven import releasing
from leaven.evaluate.run import Run
from leaven.operate.manifest import read_manifest
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.serve.models import routing
from leaven.serve.models.routing import place_of_key
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.serve.models.released import Client, Process, copied, eventually, release, said, served

Pair = tuple[Run, Run]


def digest(run: Run) -> str:
    return read_manifest(run.folder / "model").digest


def live(client: Client) -> str:
    return client.get("/status").json()["live"]["run"]


_SOON = 10.0  # seconds in which a decision is followed on a machine that is busy with tests


def test_a_burst_through_promotions_and_rollbacks_loses_nothing_and_mixes_nothing(
    pair: Pair, store: str
):
    first, second = pair
    release(first, store)
    words, _ = said(20, seed=3)
    expected = {run.story["run"]["id"]: run.predict(words).max(1) for run in pair}
    times: list[tuple[float, str]] = [(time.monotonic(), "first")]
    answers: list[tuple[float, float, int, httpx.Response]] = []
    heard: set[str | None] = set()
    with served(store) as client:

        def burst(place: int) -> None:
            with httpx.Client(base_url=client.base_url, timeout=30) as own:
                i = 0
                while i < 50 or (len(heard) < 2 and i < 5000):
                    which = (i + 7 * place) % len(words)
                    sent = time.monotonic()
                    answer = own.post("/predict", json={"text": words[which]})
                    answers.append((sent, time.monotonic(), which, answer))
                    heard.add(answer.json().get("run"))
                    i += 1

        threads = [threading.Thread(target=burst, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for decide in (
                lambda: release(second, store, canary=0.5),
                lambda: releasing.promote(by="ben", store=store),
                lambda: releasing.rollback(by="cy", store=store),
            ):
                at = time.monotonic()  # it may be followed before we hear that it is done
                told = decide()
                times.append((at, told["live"]["run"]))
                if told["canary"]:
                    times.append((at, told["canary"]["run"]))
                time.sleep(0.12)
    assert len(answers) >= 200
    assert {answer.status_code for *_, answer in answers} == {200}
    for sent, received, which, answer in answers:
        run = answer.json()["run"]
        ends = [at for at, _ in times[1:]] + [float("inf")]
        stood = [
            name for (at, name), end in zip(times, ends, strict=True)
            if at <= received and end >= sent - _SOON
        ]  # fmt: skip
        assert run in stood
        found = answer.json()["predictions"][0]["probability"]
        assert found == pytest.approx(expected[run][which], abs=1e-5)
    assert heard == {"first", "second"}


def test_a_rollback_is_followed_without_reading_a_model(pair: Pair, store: str):
    first, second = pair
    release(first, store)
    release(second, store)
    with served(store, every=0.2) as client:
        assert client.ask().json()["run"] == "second"
        assert client.get("/status").json()["back"]["run"] == "first"  # so nothing is to be read
        releasing.rollback(by="night", store=store)
        began = time.monotonic()
        while client.ask().json()["run"] != "first":
            assert time.monotonic() - began < _SOON
        assert client.ask().json()["version"] == digest(first)


def test_a_canary_gets_its_share_is_sticky_and_keeps_its_keys(pair: Pair, store: str):
    first, second = pair
    release(first, store)
    state = release(second, store, canary=0.3)
    with served(store) as client:
        keys = [f"customer {i}" for i in range(80)]
        where = [client.ask(**{"X-Request-Key": key}).json()["run"] for key in keys]
        low, high = binom.interval(0.9999, len(keys), 0.3)
        assert low <= where.count("second") <= high
        again = [client.post("/predict", json={"records": [{"text": "card"}], "key": key})
                 for key in keys[:20]]  # fmt: skip
        assert [one.json()["run"] for one in again] == where[:20]
        releases = Releases(Store(store), "tickets")
        releases.widen(0.6, by="ann", seen=releases.state())
        assert eventually(lambda: client.get("/status").json()["share"] == 0.6)
        wider = [client.ask(**{"X-Request-Key": key}).json()["run"] for key in keys]
        assert all(new == "second" for new, old in zip(wider, where, strict=True) if old != "first")
        low, high = binom.interval(0.9999, len(keys), 0.6)
        assert low <= wider.count("second") <= high
    assert state["canary"]["share"] == 0.3


@settings(max_examples=30)
@given(st.text(), st.text(max_size=80))
def test_a_key_lies_in_one_place(key: str, salt: str):
    assert 0 <= place_of_key(key, salt) < 1
    assert place_of_key(key, salt) == place_of_key(key, salt)


def test_a_shadow_is_logged_beside_the_answer_and_never_heard(pair: Pair, store: str):
    first, second = pair
    release(first, store)
    release(second, store, shadow=True)
    with served(store) as client:
        answers = [client.ask(word).json() for word in ("invoice", "parcel", "login")]
        assert {one["run"] for one in answers} == {"first"}
        version = digest(second)
        asked = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}
        refused = client.post(f"/v2/models/tickets/versions/{version}/infer", json=asked)
        assert refused.status_code == 404

        def rows() -> list:
            with Store(store).read() as connection:
                return connection.execute(select(predictions)).all()

        assert eventually(lambda: len(rows()) == 6)
        heard = {row.name: row for row in rows() if row.place == "live"}
        quiet = {row.name: row for row in rows() if row.place == "shadow"}
    assert heard.keys() == quiet.keys() == {one["predictions"][0]["id"] for one in answers}
    for name, row in quiet.items():
        assert (row.run, row.digest, row.content) == ("second", version, heard[name].content)
        assert row.agrees == (row.label == heard[name].label)
        assert row.probability < heard[name].probability  # it is three times as hot


def test_a_model_that_was_changed_never_serves_and_what_stood_goes_on(
    pair: Pair, store: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(routing, "_AGAIN", 0.1)
    first, second = pair
    release(first, store)
    with served(store) as client:
        file = second.folder / "model" / "model.safetensors"
        kept = file.read_bytes()
        release(second, store)
        assert eventually(lambda: live(client) == "second")
        releasing.rollback(by="ann", store=store)
        assert eventually(lambda: live(client) == "first")
        file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        service = client.service
        releases = Releases(Store(store), "tickets")
        found = Registry(Store(store)).get("second")
        releases.release(found, by="mallory", seen=releases.state(), override="quick")
        assert eventually(lambda: "was changed" in service.watch.problem)
        ready = client.get("/v2/health/ready")
        assert ready.status_code == 200
        assert "'model.safetensors' was changed" in ready.json()["problem"]
        assert "was changed" in client.get("/status").json()["problem"]
        assert [client.ask().json()["run"] for _ in range(5)] == ["first"] * 5
        file.write_bytes(kept)
        assert eventually(lambda: live(client) == "second")
        assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_model_goes_with_its_last_request(pair: Pair, store: str, tmp_path: Path):
    first, second = pair
    third = copied(first, tmp_path, "third", 2.0)
    release(first, store)
    with served(store) as client:
        client.ask()
        old = weakref.ref(client.service.routing.live)
        held = client.service.routing
        for run in (second, third):
            release(run, store)
            name = run.story["run"]["id"]
            assert eventually(lambda name=name: live(client) == name)
            client.ask()
        assert eventually(lambda: client.service.routing.back.run == "second")
        assert old() is held.live  # a request that began earlier
        del held

        def is_gone() -> bool:
            gc.collect()
            return old() is None

        assert eventually(is_gone)


def test_without_its_store_it_goes_on_with_what_it_has(pair: Pair, store: str):
    first, second = pair
    release(first, store)
    with served(store) as client:
        name = client.ask().json()["predictions"][0]["id"]
        assert client.service.log.flush(5)
        client.service.log._store.close()
        for ending in ("", "-wal", "-shm"):
            file = Path(store + ending)
            if file.exists():
                shutil.move(file, f"{store}-away{ending}")
        Path(store).write_bytes(b"no database, however long one looks at it" * 100)
        assert eventually(lambda: client.service.watch.problem != "")
        answers = [client.ask() for _ in range(10)]
        assert {one.status_code for one in answers} == {200}
        lost = client.post("/feedback", json={"id": name, "label": "login"})
        assert lost.status_code == 503
        assert int(lost.headers["retry-after"]) > 0
        client.service.log._store.close()
        for ending in ("", "-wal", "-shm"):
            file = Path(f"{store}-away{ending}")
            Path(store + ending).unlink(missing_ok=True)
            if file.exists():
                shutil.move(file, store + ending)
        release(second, store)
        assert eventually(lambda: live(client) == "second")
        again = client.post("/feedback", json={"id": name, "label": "login"})
        assert again.json() == {"id": name, "label": "login", "again": False}
        assert client.service.log.flush(5)
        assert client.service.log.written == 11


def test_nothing_live_is_said_and_mended(pair: Pair, store: str):
    Store(store)
    with served(store) as client:
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 503
        refused = client.ask()
        assert refused.status_code == 503
        assert "Nothing is live" in refused.json()["error"]
        assert refused.headers["retry-after"] == "1"
        release(pair[0], store)
        assert eventually(lambda: client.get("/v2/health/ready").status_code == 200)


def test_a_server_that_was_killed_comes_back_and_one_that_is_told_to_end_answers_first(
    pair: Pair, store: str
):
    release(pair[0], store)
    process = Process(store)
    assert httpx.post(f"{process.address}/predict", json={"text": "card"}).status_code == 200
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process = Process(store, process.port)
    rows = [{"text": f"{word} {i}"} for i, word in enumerate(said(150)[0])]
    answers: list[int] = []

    def ask() -> None:
        told = httpx.post(f"{process.address}/predict", json={"records": rows}, timeout=30)
        answers.append(len(told.json()["predictions"]))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    with httpx.Client(base_url=process.address) as client:
        for thread in threads:
            thread.start()
        assert eventually(lambda: client.get("/status").json()["accepted"] == 6)
    process.send(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    process.wait()
    assert answers == [150] * 6
    with Store(store).read() as connection:
        logged = connection.execute(select(predictions.c.name)).all()
    assert len(logged) in (6 * 150, 6 * 150 + 1)  # one of the server that was killed, perhaps
