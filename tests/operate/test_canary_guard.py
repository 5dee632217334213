"""The guard on a real store: what it reads, that it decides once, and what truth is exported."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from leaven import guarding
from leaven.cli import app
from leaven.core.errors import DataError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.data.joined_labels import join_labels
from leaven.evaluate.tables import write_table
from leaven.operate.canary.guard import GUARD, Guard, looks
from leaven.operate.canary.policy import Policy
from leaven.operate.production_labels import production_labels
from leaven.operate.registry import Registered
from leaven.operate.releases import Releases
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

#: Wide margins, for a few hundred rows.
POLICY = Policy(
    steps=(10, 50, 100), requests=50, minutes=1, errors=0.1, slow=0.2, agreement=0.3, classes=0.4,
    confidence=0.3, accuracy=0.2, calibration=0.2,
)  # fmt: skip


def run(name: str) -> Registered:
    told = {"verdict": {"outcome": "better", "sentence": "It is better."}}
    return Registered(name, name.ljust(64, "0"), Path(), 0.0, "ann", told)


class World:
    """A store with a live run and a canary, and the log of a server that never ran."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self._rng = store, clock, random.Random(0)
        self.releases = Releases(store, "tickets", clock=clock)
        self.releases.release(run("old"), by="ann", seen=self.releases.state())
        self.releases.release(run("new"), by="ann", seen=self.releases.state(), canary=0.1)
        self._number = 0

    def guard(self, policy: Policy | None = POLICY) -> Guard:
        return Guard(self.store, "tickets", policy, clock=self.clock)

    def traffic(self, number: int, *, right: float = 0.9, truth: bool = False, **more: Any) -> None:
        """Requests of new keys at the share of the canary, which is right so often."""
        canary = self.releases.state().canary
        share = canary.share if canary else 0.5
        rows, told, failed = [], [], []
        self.clock.now += 1
        for _ in range(number):
            position, true = self._rng.random(), self._rng.choice("ab")
            place = "canary" if position < share else "live"
            wrong = "a" if true == "b" else "b"
            said = {
                "canary": true if self._rng.random() < right else wrong,
                "live": true if self._rng.random() < 0.9 else wrong,
            }
            other = "live" if place == "canary" else "canary"
            name = f"n{self._number}"
            self._number += 1
            one = self.row(name, place, said[place], position, truth) | more
            if place == "canary" and more.get("status"):
                failed.append({k: one[k] for k in failures.c.keys() if k in one})  # noqa: SIM118
                continue
            one.pop("status", None)
            rows += [one]
            if truth:
                agrees = said["live"] == said["canary"]
                quiet = self.row(name, "mirror", said[other], position, truth, of=other)
                rows.append(quiet | {"agrees": agrees})
                told.append(self.truth(name, true))
        with self.store.write() as connection:
            for table, some in ((predictions, rows), (feedback, told), (failures, failed)):
                if some:
                    connection.execute(insert(table), some)

    def row(
        self, name: str, place: str, label: str, position: float | None, explored: bool,
        of: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        run = "new" if (of or place) == "canary" else "old"
        return {
            "name": name, "request": name, "service": "tickets", "at": self.clock(), "run": run,
            "digest": run.ljust(64, "0"), "place": place, "content": name, "label": label,
            "probability": 0.9, "probabilities": [0.9, 0.1], "route": "answer",
            "explored": explored, "logged": 1.0, "agrees": None, "position": position,
            "seconds": 0.001,
        }  # fmt: skip

    def truth(self, name: str, label: str, **more: Any) -> dict[str, Any]:
        return {
            "service": "tickets", "prediction": name, "content": name, "label": label,
            "caused": False, "origin": "production", "person": "ann", "at": self.clock(),
        } | more  # fmt: skip


@pytest.fixture
def world(address: str, clock: Clock) -> World:
    return World(Store(address), clock)


def test_a_good_canary_goes_step_by_step_to_the_end_and_each_says_why(world: World):
    guard = world.guard()
    assert guard.look().decision.action == "hold"
    seen = []
    for _ in range(12):
        world.traffic(400, truth=True)
        world.clock.now += 61
        look = guard.look()
        if look.decision.action != "hold":
            seen.append((look.decision.action, look.decision.share))
        if look.decision.action == "promote":
            break
    assert seen == [("ramp", 0.5), ("promote", 1.0)]
    history = world.releases.history()
    assert [(one.kind, one.share, one.person) for one in history[2:]] == [
        ("canary", 0.5, GUARD), ("live", None, GUARD),
    ]  # fmt: skip
    assert all("Accuracy: Of " in one.reason for one in history[2:])
    assert guard.look() is None
    kept = looks(world.store, "tickets")
    assert [(one["number"], one["action"]) for one in kept] == [(2, "ramp"), (3, "promote")]
    assert kept[0]["told"]["policy"]["minutes"] == 1
    assert world.guard(None).policy == POLICY


def test_who_looks_once_sees_what_one_sees_who_looked_on(world: World):
    guard = world.guard()
    for _ in range(4):
        world.traffic(100, truth=True)
        on = guard.look()
    once = world.guard().look(act=False)
    assert once.signals == on.signals
    assert world.releases.last() == 2


def test_a_canary_that_fails_or_errs_is_taken_back_at_once(world: World):
    world.traffic(300, status=500)
    look = world.guard().look()
    assert (look.decision.action, look.answered > 10) == ("roll back", True)
    (*_, last) = world.releases.history()
    assert (last.kind, last.person, last.run) == ("retired", GUARD, "new")
    assert last.reason.startswith("Errors: 100.0")
    world.releases.release(run("newer"), by="ann", seen=world.releases.state(), canary=0.1)
    assert world.guard().look().answered == 0  # another canary, other evidence


def test_wrong_answers_show_by_truth_alone(world: World):
    for _ in range(5):
        world.traffic(60, right=0.4, truth=True)
    policy = POLICY.model_copy(update={"ignore": ("agreement", "calibration")})
    look = world.guard(policy).look()
    assert look.decision.action == "roll back"
    assert look.decision.reason.startswith("Accuracy: ")


def test_what_is_no_fair_evidence_is_not_counted(world: World):
    """Named models, truth that was caused or of records that nobody drew, and former models."""
    at = world.clock.now + 1
    heard = [world.row(f"x{i}", "canary", "a", None, True) for i in range(50)]  # chose its model
    heard += [world.row(f"y{i}", "canary", "a", i / 1000, False) for i in range(50)]
    heard += [world.row(f"z{i}", "canary", "a", i / 1000, True) for i in range(50)]
    quiet = [
        world.row(one["name"], "mirror", "b", one["position"], one["explored"], of="live")
        | {"agrees": False}
        for one in heard
    ]
    other = [world.row(f"w{i}", "live", "a", 0.5, False) | {"digest": "?"} for i in range(50)]
    early = [world.row(f"v{i}", "canary", "a", i / 999, True) | {"at": -1.0} for i in range(50)]
    told = [world.truth(f"x{i}", "b", at=at) for i in range(50)]
    told += [world.truth(f"y{i}", "b", at=at) for i in range(50)]
    told += [world.truth(f"z{i}", "b", at=at, caused=True) for i in range(50)]
    with world.store.write() as connection:
        connection.execute(insert(predictions), [*heard, *quiet, *other, *early])
        connection.execute(insert(feedback), told)
    look = world.guard().look(act=False)
    by_name = {one.name: one for one in look.signals}
    assert look.answered == 50
    assert by_name["errors"].live == 0
    assert by_name["accuracy"].canary == 0
    assert by_name["agreement"].canary == 50


def test_of_two_guards_at_once_one_decides(address: str, clock: Clock):
    world = World(Store(address), clock)
    world.traffic(300, status=500)
    guards = [Guard(Store(address), "tickets", POLICY, clock=clock) for _ in range(4)]
    start, told = threading.Barrier(4), []

    def look(guard: Guard) -> None:
        start.wait()
        found = guard.look()
        told.append(None if found is None else found.decision.action)

    threads = [threading.Thread(target=look, args=(guard,)) for guard in guards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("roll back") == 1
    assert set(told) <= {"roll back", "hold", None}
    assert [one.kind for one in world.releases.history()] == ["live", "canary", "retired"]


def test_evidence_of_the_arms_begins_anew_with_each_step_and_pairs_count_on(world: World):
    world.traffic(200, truth=True)
    guard = world.guard()
    before = guard.look(act=False)
    world.clock.now += 1
    world.releases.widen(0.5, by="ann", seen=world.releases.state())
    world.clock.now += 1
    after = guard.look(act=False)
    assert (before.number, after.number, after.answered) == (2, 3, 0)
    paired = [[one.canary for one in look.signals if one.name == "agreement"]
              for look in (before, after)]  # fmt: skip
    assert paired[0] == paired[1] == [200]


# Truth as labels


def labels_of(world: World, *told: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    rows = [world.row(one["prediction"], "live", "a", None, i == 0) for i, one in enumerate(told)]
    with world.store.write() as connection:
        connection.execute(insert(predictions), rows)
        connection.execute(insert(feedback), list(told))
    table, ambiguous = production_labels(world.store, "tickets")
    return table.to_pylist(), ambiguous


def test_truth_becomes_labels_one_a_content_and_what_was_caused_is_marked(world: World):
    world.clock.now = 5.0
    rows, ambiguous = labels_of(
        world,
        world.truth("p1", "a", content="c1"),
        world.truth("p2", "b", content="c1", person="ben"),
        world.truth("p3", "a", content="c1"),
        world.truth("p4", "a", content="c2"),
        world.truth("p5", "b", content="c2"),
        world.truth("p6", "b", content="c3", caused=True),
        world.truth("p7", "b", content="c4", caused=True),
        world.truth("p8", "a", content="c4"),
        world.truth("p9", "a", content="c5", service="others"),
    )
    assert ambiguous == 1
    assert [(row["content"], row["label"], row["caused"]) for row in rows] == [
        ("c1", "a", False), ("c3", "b", True), ("c4", "a", False),
    ]  # fmt: skip
    first = rows[0]
    assert (first["answers"], first["people"], first["explored"]) == (3, "ann, ben", True)
    assert (first["origin"], first["agreed"]) == ("production", pytest.approx(2 / 3))


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_fit_takes_the_labels_and_leaves_out_what_was_caused(
    tmp_path: Path, clock: Clock, ending: str
):
    world = World(Store("sqlite://"), clock)
    data = Dataset.from_arrays(
        ["card lost", "parcel late", "no login", "a refund"], ["a"] + [None] * 3
    )
    contents = data.content.tolist()
    labels_of(
        world,
        world.truth("p1", "b", content=contents[1]),
        world.truth("p2", "b", content=contents[2], caused=True),
        world.truth("p3", "b", content="elsewhere"),
    )
    file = tmp_path / f"truth.{ending}"
    write_table(production_labels(world.store, "tickets")[0], file)
    joined = join_labels(data, file)
    assert joined.labels.to_pylist() == ["a", "b", None, None]
    found = {one.name: one.count for one in joined.findings}
    assert (found["labels-caused"], found["labels-unmatched"]) == (1, 1)


# Verbs and commands


def test_the_commands_say_what_is_known_and_what_is_missing(tmp_path: Path, clock: Clock):
    store = str(tmp_path / "leaven.db")
    with pytest.raises(DataError, match="Nothing was released yet"):
        guarding.status(store=store)
    world = World(Store(store), clock)
    world.traffic(300, truth=True)

    def asked(*words: str) -> str:
        told = CliRunner().invoke(app, [*words, "--store", store])
        assert told.exit_code == 0, told.output
        return " ".join(told.output.split()).replace("\u202f", " ")

    shown = asked("canary", "status")
    assert "new answers 10 % of the requests beside old" in shown
    assert "The guard would wait. Waiting for evidence: " in shown
    told = json.loads(asked("canary", "status", "--json", "--set", "errors=0.5"))
    assert (told["look"]["policy"]["errors"], told["looks"]) == (0.5, [])
    assert {one["name"] for one in told["look"]["signals"]} >= {"errors", "accuracy"}
    world.traffic(300, status=500)
    assert "The guard would roll it back. Errors: " in asked("canary", "status")
    assert world.releases.last() == 2
    assert "The guard rolled it back. Errors: " in asked("canary", "guard")
    assert "the guard rolled back with new: Errors: " in asked("canary", "status")
    out = tmp_path / "truth.csv"
    assert "300 labels from production" in asked("feedback", "--out", str(out))
    assert len(out.read_text().splitlines()) == 301
    with pytest.raises(UnknownNameError):
        guarding.guard("tickts", store=store)
    with pytest.raises(UnknownNameError, match="Did you mean 'errors'"):
        guarding.guard(changes={"erors": 1}, store=store)
