"""A canary behind the real server: a bad one is taken back by itself, a good one becomes live."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from leaven import serving
from leaven.core.errors import RunError, SettingError, StoreError, UnknownNameError
from leaven.evaluate.run import Run
from leaven.operate.canary.guard import GUARD, Guard
from leaven.operate.canary.policy import Policy
from leaven.operate.releases import Releases
from leaven.serve.models import answering
from leaven.serve.models.answering import Settings
from leaven.serve.models.guarding import GuardWatch
from leaven.serve.models.loading import Loaded
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.serve.models.released import Client, copied, eventually, release, said, served

#: What a test has time for: few requests, so wide margins.
POLICY = {
    "requests": 20, "minutes": 0, "steps": [50, 100], "errors": 0.2, "slow": 0.2, "latency": 5,
    "quick": 10, "agreement": 0.3, "classes": 0.45, "confidence": 0.3, "accuracy": 0.25,
    "calibration": 0.25,
}  # fmt: skip


def policy(**changes: Any) -> Policy:
    return Policy.build(POLICY | changes)


def changed(run: Run, change: Callable[[dict[str, Any]], object]) -> Run:
    """The run with another predictor."""
    path = run.folder / "model" / "predictor.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    return Run.load(run.folder)


def events(store: str) -> list[tuple[str, str, float | None]]:
    told = Releases(Store(store), "tickets").history()
    return [(one.person, one.kind, one.share) for one in told]


class Traffic:
    """Sends requests of new keys, and truth of what was explored."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told = zip(*said(3000, seed=5), strict=True)
        self._keys = itertools.count()
        self.statuses: list[int] = []

    def send(self, number: int, *, truth: bool = False) -> None:
        for (words, label), key in zip(
            itertools.islice(self._told, number), self._keys, strict=False
        ):
            answer = self._client.ask(words, **{"X-Request-Key": f"customer {key}"})
            self.statuses.append(answer.status_code)
            if answer.status_code == 200 and truth:
                (one,) = answer.json()["predictions"]
                told = {"id": one["id"], "label": label}
                assert self._client.post("/feedback", json=told).status_code == 200


def sent_until(traffic: Traffic, is_so: Callable[[], bool], most: int, **how: Any) -> int:
    """Requests until it is so, `most` at most."""
    for number in range(0, most, 20):
        if is_so():
            return number
        traffic.send(20, **how)
    eventually(is_so)
    return most


def watched(store: str, told: Policy) -> GuardWatch:
    return GuardWatch(Guard(Store(store), "tickets", told), every=0.1)


def rolled_back(store: str) -> bool:
    return events(store)[-1][:2] == (GUARD, "retired")


def why(store: str) -> str:
    return Releases(Store(store), "tickets").history()[-1].reason


def test_a_canary_with_wrong_labels_is_taken_back_though_it_is_quick(
    texts: Run, tmp_path: Path, store: str
):
    good = copied(texts, tmp_path, "good", 1.0)
    bad = changed(
        copied(texts, tmp_path, "bad", 1.0),
        lambda told: told["classes"].append(told["classes"].pop(0)),
    )
    release(good, store)
    release(bad, store, canary=0.3)
    how = {"settings": Settings(mirror=1.0), "guard": watched(store, policy())}
    with served(store, **how) as client:
        traffic = Traffic(client)
        n = sent_until(traffic, lambda: rolled_back(store), 400)
        assert rolled_back(store), n
        assert eventually(lambda: client.get("/status").json()["canary"] is None)
        told = client.get("/status").json()["guard"]
    assert set(traffic.statuses) == {200}
    assert "answered otherwise" in why(store)
    assert told["problem"] == ""


def asked(monkeypatch: pytest.MonkeyPatch, run: str, before: Callable[[], object]) -> None:
    """Let something happen before the model of this run answers."""
    ask = Loaded.ask

    def changed_ask(self: Loaded, records: Any) -> Any:
        if self.run == run:
            before()
        return ask(self, records)

    monkeypatch.setattr(Loaded, "ask", changed_ask)


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def work(self) -> None:
        self.now += 0.03


CLOCK = Clock()


def fail() -> None:
    raise RunError("its weights are no numbers")


@pytest.mark.parametrize(
    ("before", "told", "said_why"),
    [
        (fail, policy(errors=0.1), "Errors: "),
        (CLOCK.work, policy(quick=0.02, latency=1, ignore=["errors"]), "Latency: "),
    ],
    ids=["errors", "latency"],
)
def test_a_canary_that_fails_or_is_slow_is_taken_back(
    before: Callable[[], object], told: Policy, said_why: str,
    texts: Run, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    release(copied(texts, tmp_path, "good", 1.0), store)
    release(copied(texts, tmp_path, "bad", 1.0), store, canary=0.3)
    with served(store, settings=Settings(mirror=0), guard=watched(store, told)) as client:
        told_time = SimpleNamespace(perf_counter=lambda: CLOCK.now)
        monkeypatch.setattr(answering, "time", told_time)
        asked(monkeypatch, "bad", before)
        traffic = Traffic(client)
        n = sent_until(traffic, lambda: rolled_back(store), 600)
    assert rolled_back(store), n
    assert why(store).startswith(said_why)
    with Store(store).read() as connection:
        kept = connection.execute(select(failures)).all()
    failed = [status for status in traffic.statuses if status == 422]
    assert len(kept) == len(failed)
    assert {(row.place, row.run, row.status) for row in kept} <= {("canary", "bad", 422)}
    assert bool(failed) == (before is fail)


def test_a_canary_that_names_one_class_only_is_taken_back(
    texts: Run, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
):
    release(copied(texts, tmp_path, "good", 1.0), store)
    release(copied(texts, tmp_path, "bad", 1.0), store, canary=0.3)
    told = policy(ignore=["agreement", "confidence"], classes=0.3)
    with served(store, settings=Settings(mirror=0), guard=watched(store, told)) as client:
        ask = Loaded.ask

        def first_class(self: Loaded, records: Any) -> Any:
            answers = ask(self, records)
            if self.run != "bad":
                return answers
            return [one._replace(probabilities=np.array([0.8, 0.1, 0.1])) for one in answers]

        monkeypatch.setattr(Loaded, "ask", first_class)
        traffic = Traffic(client)
        sent_until(traffic, lambda: rolled_back(store), 600)
    assert why(store).startswith("Classes: 'billing' is 100.0")


def test_a_good_canary_becomes_live_once_truth_has_shown_it(texts: Run, tmp_path: Path, store: str):
    release(copied(texts, tmp_path, "old", 1.0), store)
    release(copied(texts, tmp_path, "new", 0.9), store, canary=0.3)
    settings = Settings(explore=0.5, mirror=0)
    with served(store, settings=settings, guard=watched(store, policy())) as client:
        traffic = Traffic(client)

        def ramped() -> bool:
            return (GUARD, "canary", 0.5) in events(store)

        sent_until(traffic, ramped, 800)
        assert ramped()
        traffic.send(120)
        assert events(store)[-1] == (GUARD, "canary", 0.5)  # nobody told what was true

        def waits_for_truth() -> bool:
            waits = client.service.guard.last.decision.waits
            return any(one.startswith("accuracy: ") and "leaven promote" in one for one in waits)

        assert eventually(waits_for_truth)
        sent_until(traffic, lambda: events(store)[-1] == (GUARD, "live", None), 600, truth=True)
        assert eventually(lambda: client.ask().json()["run"] == "new")
    assert "Accuracy: " in why(store)
    assert set(traffic.statuses) == {200}


def test_what_both_are_asked_stands_beside_the_answer_and_truth_is_joined_to_what_was_heard(
    texts: Run, tmp_path: Path, store: str
):
    release(copied(texts, tmp_path, "old", 1.0), store)
    new = copied(texts, tmp_path, "new", 3.0)
    version = release(new, store, canary=0.5)["canary"]["digest"]
    with served(store, settings=Settings(mirror=1.0)) as client:
        answers = [client.ask("card", **{"X-Request-Key": str(i)}).json() for i in range(8)]
        asked = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}
        named = client.post(f"/v2/models/tickets/versions/{version}/infer", json=asked)
        assert named.status_code == 200

        def rows() -> list[Any]:
            with Store(store).read() as connection:
                return list(connection.execute(select(predictions)).all())

        assert eventually(lambda: len(rows()) == 17)
        one = answers[0]["predictions"][0]
        told = {"id": one["id"], "label": one["label"]}
        assert client.post("/feedback", json=told).json()["again"] is False
    heard = {row.name: row for row in rows() if row.place in ("live", "canary")}
    quiet = {row.name: row for row in rows() if row.place == "mirror"}
    assert {one["run"] for one in answers} == {"old", "new"}
    for name, row in quiet.items():
        assert {row.run, heard[name].run} == {"old", "new"}
        assert (row.position, row.seconds) == (heard[name].position, None)
        assert row.agrees == (row.label == heard[name].label)
    alone = [row for row in heard.values() if row.name not in quiet]
    assert [(row.place, row.position) for row in alone] == [("canary", None)]  # it chose its model
    assert all(row.seconds > 0 for row in heard.values())
    assert all((row.position < 0.5) == (row.place == "canary") for row in heard.values()
               if row.position is not None)  # fmt: skip


def test_what_goes_wrong_while_looking_is_told_and_the_next_look_mends_it(
    texts: Run, store: str, monkeypatch: pytest.MonkeyPatch
):
    release(texts, store)
    watch = watched(store, policy())
    look = Guard.look
    for failed in (StoreError("The store is locked."), RuntimeError("it broke")):

        def broken(self: Guard, failed: Exception = failed) -> None:
            raise failed

        monkeypatch.setattr(Guard, "look", broken)
        watch.look()
        assert str(failed).rstrip(".") in watch.told()["problem"]
    monkeypatch.setattr(Guard, "look", look)
    watch.look()
    assert watch.told() == {"problem": "", "action": None, "reason": ""}


def test_a_policy_that_cannot_be_used_is_said_before_anything_is_served(
    texts: Run, store: str, tmp_path: Path
):
    release(texts, store)
    file = tmp_path / "policy.toml"
    file.write_text("[canary]\nerors = 0.1\n")
    with pytest.raises(UnknownNameError, match="Did you mean 'errors'"):
        serving.serve(store=store, port=0, policy=file)
    with pytest.raises(SettingError, match="'mirror' must be a share"):
        serving.serve(store=store, port=0, mirror=2)
