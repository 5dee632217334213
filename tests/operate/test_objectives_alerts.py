"""Alerts: opened once and told once, by any number of lookers, over dead routes and kills."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from leaven.core.errors import DataError, SettingError
from leaven.operate.objectives import outbox, silences
from leaven.operate.objectives.alerting import take_in
from leaven.operate.objectives.checking import known_alerts, last_looks
from leaven.operate.objectives.config import Objectives
from leaven.operate.objectives.judging import Finding
from leaven.store.alert_tables import alert_notices, alerts
from leaven.store.audit import AuditLog
from leaven.store.store import Store
from tests.operate.receivers import Receiver, listening
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

#: A grace of 100 s, closed after 200 s, reminded after 1000 s.
ALERTS = {"grace": 100, "settle": 200, "remind": 1000}
receiver = pytest.fixture(listening)
dead = pytest.fixture(listening)


def found(slo: str = "calibration", state: str = "broken", **more: Any) -> Finding:
    told = {
        "service": "tickets", "dataset": "mail", "slo": slo, "indicator": slo,
        "severity": "ticket", "state": state, "sentence": f"{slo} is {state}.", "target": 0.05,
        "command": "leaven releases tickets", "runbook": f"docs/runbooks/{slo}.md", "at": 0.0,
        "value": 0.1, "low": 0.08, "high": 0.12, "n": 90,
    }  # fmt: skip
    return Finding(**(told | more))


class World:
    """Looks at what the test says is there."""

    def __init__(self, store: Store, clock: Clock, *urls: str, **more: Any) -> None:
        self.store, self.clock, self.paused = store, clock, []
        routes = [
            {"name": f"hook {i}", "kind": "webhook", "url": url} | more
            for i, url in enumerate(urls)
        ]
        self.told = Objectives.build({"alerts": ALERTS, "route": routes})

    def look(self, *findings: Finding, wait: float = 0.0) -> int:
        """Wait, look, and send; returns how many messages were taken."""
        self.clock.now += wait
        now = self.clock()
        take_in(self.store, [replace(one, at=now) for one in findings], self.told, now)
        return self.send()

    def send(self) -> int:
        routes = {route.name: route for route in self.told.route}
        return outbox.send(self.store, routes, clock=self.clock, sleep=self.paused.append)

    def open(self) -> list[str]:
        return [one["slo"] for one in known_alerts(self.store)]


@pytest.fixture
def world(store: Store, clock: Clock, receiver: Receiver) -> World:
    return World(store, clock, receiver.url)


@pytest.fixture
def lite(whole_sqlite: Path, tmp_path: Path, clock: Clock, receiver: Receiver) -> World:
    """The same on SQLite alone, for what both databases do alike."""
    file = tmp_path / "labels.db"
    file.write_bytes(whole_sqlite.read_bytes())
    return World(Store(file), clock, receiver.url)


def test_an_alert_opens_after_its_grace_is_told_once_and_closes_when_it_is_fine(
    world: World, receiver: Receiver
):
    began = world.clock()
    world.look(found())
    world.look(found(), wait=60)
    assert world.open() == []
    world.look(found(state="unsure"), wait=20)  # not shown: the grace begins anew
    world.look(found(), wait=20)
    began = world.clock()
    world.look(found(), wait=99)
    assert world.open() == []
    assert world.look(found(), wait=1) == 1
    for _ in range(5):
        assert world.look(found(), wait=60) == 0
    assert receiver.events == [[("calibration", "ticket", "opened")]]
    (told,) = receiver.told
    (news,) = told["news"]
    assert (told["service"], told["dataset"], told["severity"]) == ("tickets", "mail", "ticket")
    assert (news["began"], news["value"], news["low"], news["high"]) == (began, 0.1, 0.08, 0.12)
    assert (news["runbook"], news["command"]) == (
        "docs/runbooks/calibration.md", "leaven releases tickets",
    )  # fmt: skip
    assert "calibration is broken." in told["text"]
    for _ in range(2):
        world.look(found(state="unknown"), wait=250)
    assert world.open() == ["calibration"]  # nothing is known: nothing is well again
    world.look(found(state="met"), wait=60)
    world.look(found(), wait=150)  # it came back before it had settled: the same alert
    world.look(found(state="met"), wait=60)
    world.look(found(state="met"), wait=199)
    assert world.open() == ["calibration"]
    world.look(found(state="met"), wait=1)
    assert world.open() == []
    assert [one[0][2] for one in receiver.events] == ["opened", "reminder", "resolved"]
    assert "is met." in receiver.told[-1]["news"][0]["sentence"]
    assert [one["closed"] for one in known_alerts(world.store, closed=True)] == [world.clock()]


def test_what_belongs_together_is_one_message(lite: World, receiver: Receiver):
    three = (found("a"), found("b"), found("c", service="other"))
    lite.look(*three)
    assert lite.look(*three, wait=100) == 2
    assert sorted(map(len, receiver.events)) == [1, 2]
    lite.look(*three, found("d", grace=0.0), wait=10)
    assert receiver.events[-1] == [
        ("a", "ticket", "stands"), ("b", "ticket", "stands"), ("d", "ticket", "opened"),
    ]  # fmt: skip
    said = receiver.told[-1]["subject"]
    assert said == "[ticket] tickets: 1 alert opened (a, b, d)"


def test_people_are_reminded(lite: World, receiver: Receiver):
    lite.look(found(grace=0.0))
    lite.look(found(), wait=999)
    assert len(receiver.came) == 1
    lite.look(found(), wait=1)
    lite.look(found(), wait=999)
    assert receiver.events[1:] == [[("calibration", "ticket", "reminder")]]


def test_a_route_takes_its_severities_and_a_page_does_for_its_ticket(
    lite: World, receiver: Receiver
):
    both = (found("errors", severity="page", grace=0.0), found("errors", grace=0.0))
    lite.look(*both, found("x", severity="note", grace=0.0))
    assert receiver.events == [[("errors", "page", "opened"), ("x", "note", "opened")]]
    well = replace(both[0], state="met")
    lite.look(well, both[1], wait=10)
    lite.look(well, both[1], wait=200)
    assert receiver.events[1] == [
        ("errors", "page", "resolved"), ("errors", "ticket", "opened"), ("x", "note", "stands"),
    ]  # fmt: skip
    only = World(lite.store, lite.clock, receiver.url, severities="page")
    only.look(found("y", grace=0.0), wait=10)
    assert len(receiver.came) == 2


def test_of_two_who_look_at_once_one_tells(address: str, store: Store, receiver: Receiver):
    clock, both = Clock(), threading.Barrier(4)
    world = World(store, clock, receiver.url)
    world.look(found("a"), found("b"))
    clock.now += 100

    def look() -> None:
        mine = World(Store(address), clock, receiver.url)
        both.wait()
        mine.look(found("a"), found("b"))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(look) for _ in range(4)]:
            done.result()
    assert len(receiver.came) == 1
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(alerts)).scalar() == 2


def test_what_was_seen_earlier_does_not_undo_what_was_seen_later(lite: World):
    lite.look(found(grace=0.0))
    now = lite.clock.now
    take_in(lite.store, [found(state="met", at=now + 500)], lite.told, now + 500)
    take_in(lite.store, [found(at=now + 400)], lite.told, now + 500)
    (look,) = last_looks(lite.store)
    assert (look["state"], look["broken"]) == ("met", now)
    take_in(lite.store, [found(state="met", at=now + 700)], lite.told, now + 700)
    assert lite.open() == []


def test_a_clock_that_is_a_day_ahead_stops_nobody_from_looking(lite: World):
    now = lite.clock.now
    take_in(lite.store, [found(state="met", at=now + 86_400)], lite.told, now)
    lite.look(found(grace=0.0))
    assert lite.open() == ["calibration"]


def test_what_comes_and_goes_is_damped(lite: World, receiver: Receiver):
    for _ in range(40):
        lite.look(found(grace=0.0), wait=30)
        lite.look(found(state="met"), wait=30)
        lite.look(found(state="met"), wait=200)
    opened = [one for one in receiver.events if one[0][2] == "opened"]
    assert len(opened) == 2  # of 40
    lite.look(found(state="met"), wait=6 * 3600)
    assert lite.open() == []


def test_what_was_broken_days_ago_begins_its_grace_anew(lite: World):
    lite.look(found())
    lite.look(found(), wait=2 * 86_400)
    assert lite.open() == []
    lite.look(found(), wait=100)
    assert lite.open() == ["calibration"]


def test_an_objective_that_is_no_longer_looked_at_is_closed_after_a_day(
    lite: World, receiver: Receiver
):
    lite.look(found("gone", grace=0.0))
    lite.look(found("here", grace=0.0), wait=86_000)
    assert lite.open() == ["gone", "here"]
    lite.look(found("here"), wait=500)
    assert lite.open() == ["here"]
    assert ("gone", "ticket", "resolved") in receiver.events[-1]
    assert "Nobody looks at this objective any more." in receiver.told[-1]["text"]


# Routes that fail


def test_a_dead_route_loses_nothing_and_keeps_the_order(
    lite: World, receiver: Receiver, dead: Receiver
):
    world = World(lite.store, lite.clock, dead.url, receiver.url)
    dead.answers = [500] * 100
    world.look(found(grace=0.0))
    assert world.paused == [1.0, 4.0]  # three tries
    for _ in range(3):
        world.look(found(), wait=1000)
    world.look(found("other", grace=0.0), wait=10)
    world.look(found(state="met"), found("other"), wait=10)
    world.look(found(state="met"), found("other"), wait=200)
    assert dead.came == []
    assert [len(receiver.events), receiver.events[0][0][2]] == [6, "opened"]
    (told,) = outbox.waiting(lite.store)
    assert told.route == "hook 0"
    assert told.messages == 3  # of one that heard nothing, nobody is reminded
    assert told.since == 1000.0
    assert "127.0.0.1 answered 500: ok" in told.problem
    dead.answers = []
    world.clock.now += 900
    assert world.send() == 3
    assert [one[0][:1] + one[0][2:] for one in dead.events] == [
        ("calibration", "opened"), ("calibration", "stands"), ("calibration", "resolved"),
    ]  # fmt: skip
    assert outbox.waiting(lite.store) == []
    assert world.send() == 0


def test_a_refusal_is_not_tried_at_once_again_and_pauses_grow(lite: World, receiver: Receiver):
    receiver.answers = [403] * 3
    lite.look(found(grace=0.0))
    assert lite.paused == []
    assert len(receiver.answers) == 2
    lite.clock.now += 29
    lite.send()
    assert len(receiver.answers) == 2
    lite.clock.now += 1
    lite.send()
    lite.clock.now += 59
    lite.send()
    assert len(receiver.answers) == 1


def test_a_route_that_falls_over_is_a_route_that_did_not_take_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    def fall(*_: object) -> None:
        raise ValueError("no such \0 luck \ud800")

    monkeypatch.setattr(type(world.told.route[0]), "send", fall)
    world.look(found(grace=0.0))
    (told,) = outbox.waiting(world.store)
    assert told.problem == "The route failed: ValueError: no such \ufffd luck ?"


def test_a_message_whose_sender_was_killed_is_sent_again_by_the_same_key(
    address: str, world: World, receiver: Receiver
):
    now = world.clock.now
    take_in(world.store, [found(grace=0.0, at=now)], world.told, now)
    receiver.block = threading.Event()
    if not (child := os.fork()):
        World(Store(address), Clock(), receiver.url).send()
        os._exit(0)
    assert receiver.arrived.wait(30)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    receiver.block.set()
    receiver.block = None
    assert world.send() == 0  # it may still be under way
    world.clock.now += 301
    assert world.send() == 1
    keys = {headers["Idempotency-Key"] for _, headers, _ in receiver.came}
    with world.store.read() as connection:
        assert keys == {*connection.execute(select(alert_notices.c.key)).scalars()}


# Silences


def quiet(world: World, seconds: float, **more: Any) -> silences.Silence:
    told: dict[str, Any] = {"service": None, "slo": None, "by": "ann", "reason": "a move"} | more
    return silences.silence(world.store, seconds=seconds, now=world.clock(), **told)


def test_a_silenced_alert_is_told_when_the_silence_ends(world: World, receiver: Receiver):
    quiet(world, 500, slo="a")
    two = (found("a", grace=0.0), found("b", grace=0.0))
    world.look(*two)
    assert world.open() == ["a", "b"]
    assert receiver.events == [[("b", "ticket", "opened")]]
    world.look(*two, wait=499)
    assert len(receiver.came) == 1
    world.look(*two, wait=1)
    assert receiver.events[1] == [("a", "ticket", "opened"), ("b", "ticket", "stands")]
    (entry,) = AuditLog(world.store).entries(what="alerts")
    assert (entry.who, entry.what) == ("ann", "alerts.silenced")
    assert "a move" in entry.details


def test_what_was_never_told_is_not_told_when_it_ends(lite: World, receiver: Receiver):
    quiet(lite, 10_000, service="tickets")
    lite.look(found(grace=0.0))
    lite.look(found(state="met"), wait=10)
    lite.look(found(state="met"), wait=200)
    assert (lite.open(), receiver.came) == ([], [])


def test_a_silence_can_be_ended_and_needs_a_reason(lite: World, receiver: Receiver):
    made = quiet(lite, 10_000)
    lite.look(found(grace=0.0))
    silences.end_silence(lite.store, made.id, by="ben", now=lite.clock())
    lite.look(found(), wait=1)
    assert len(receiver.came) == 1
    with pytest.raises(DataError, match=f"No silence {made.id} holds"):
        silences.end_silence(lite.store, made.id, by="ben", now=lite.clock())
    for wrong in ({"reason": " "}, {"by": ""}, {"seconds": 0}, {"seconds": 1e9}):
        with pytest.raises(SettingError):
            quiet(lite, **({"seconds": 60} | wrong))
