"""Incidents whose processes are killed at any moment, and people who do the same at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaven import incidents
from leaven.core.errors import RunError
from leaven.evaluate.run import Run
from leaven.operate.incidents.doing import do
from leaven.operate.incidents.evidence import altered
from leaven.operate.incidents.incident import BEGUN, DONE, Incidents, folded
from leaven.operate.loop.journal import Journal
from leaven.operate.releases import Releases
from leaven.store.audit import AuditLog
from leaven.store.store import Store
from tests.operate.fate import Fate, Killed
from tests.operate.incident_world import SERVICE, World, rows_of

pytest_plugins = ["tests.store.databases"]

STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pause-labelling", {}), ("pause-loop", {}), ("roll-back", {}), ("sample", {"count": 6}),
    ("revoke", {"person": "ben"}), ("retrain", {}), ("release", {}), ("resume-labelling", {}),
    ("resume-loop", {}),
)  # fmt: skip


@pytest.fixture
def world(store: Store, wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(store, wine, tmp_path)


def test_kills_at_any_transaction_do_nothing_twice(world: World):
    fate = Fate(world.store)
    world.answered_by("ben", rows_of(world, 5), "barbera")
    world.opened()
    for step, settings in STEPS:
        for moment in range(1, 40):  # each time a little later
            fate.left = moment
            try:
                act, _ = do(world.scene(**settings), step)
                break
            except Killed:
                continue
        fate.left = 10**9
        assert act.state == DONE
    assert fate.kills >= 40
    history = Incidents(world.store).history(1)
    told = [(one.kind, one.step) for one in history if one.step]
    assert told == [(kind, step) for step, _ in STEPS for kind in (BEGUN, DONE)]
    kinds = [(one.kind, one.run) for one in Releases(world.store, SERVICE).history()]
    assert kinds == [
        ("live", "wine-a"), ("live", "wine-b"), ("live", "wine-a"), ("retired", "wine-b"),
        ("canary", "wine-mended"),
    ]  # fmt: skip
    asked = world.asked("incident 1")
    assert len(asked) == len(set(asked)) == 6
    assert {one["answers"].name for one in world.fits} == {world.fits[0]["answers"].name}
    loop = [(one.kind, one.outcome) for one in Journal(world.store, SERVICE).history()]
    assert loop == [
        ("paused", "labelling"), ("paused", "loop"), ("resumed", "labelling"), ("resumed", "loop"),
    ]  # fmt: skip
    assert AuditLog(world.store).check().fault is None


def test_an_opening_that_is_killed_is_gone_on_with(world: World):
    fate = Fate(world.store)
    how: dict[str, Any] = {"reason": "bad", "store": world.store.address, "by": "ann"}
    incident = world.opened()
    assert incident.evidence is None
    told = incidents.open_incident(SERVICE, **how)
    assert (told["new"], told["problem"], told["number"]) == (False, "", 1)
    evidence = told["evidence"]
    assert altered(evidence["folder"], evidence["digest"]) == ""
    assert [one.kind for one in Incidents(world.store).history(1)] == ["opened", "frozen"]
    assert fate.kills == 0


def test_people_who_open_at_once_work_on_one_incident(world: World):
    def opened(person: str) -> dict[str, Any]:
        return incidents.open_incident(
            SERVICE, reason=f"{person} saw it", by=person, store=world.store.address,
            out=world.home / "kept",
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(opened, ["ann", "ben", "eve", "kim"]))
    assert {one["number"] for one in told} == {1}
    assert sum(one["new"] for one in told) == 1
    assert {one["problem"] for one in told} == {""}
    kinds = [one.kind for one in Incidents(world.store).history(1)]
    assert kinds == ["opened", "frozen"]
    (folder,) = (world.home / "kept").iterdir()
    assert [one.name for one in folder.iterdir()] == ["evidence"]
    evidence = incidents.show(1, store=world.store.address)["evidence"]
    assert evidence["altered"] == ""


def test_people_who_do_the_same_at_once_do_it_once(world: World):
    world.opened()
    scenes = [replace(world.scene(count=6), by=person) for person in ("ann", "ben", "eve")]

    def both(scene: Any) -> bool:
        store = Store(world.store.address)
        try:
            return do(replace(scene, store=store), "sample")[0].state == DONE
        finally:
            store.close()

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(both, scenes))
    assert len(world.asked("incident 1")) == 6
    kinds = [one.kind for one in Incidents(world.store).history(1)]
    assert kinds == ["opened", BEGUN, DONE]


def test_a_fit_that_another_process_makes_is_waited_for(world: World):
    world.opened()

    def busy(data: Any, **how: Any) -> Any:
        try:
            raise BlockingIOError
        except BlockingIOError as held:
            raise RunError("The run is being made by process 7.") from held

    with pytest.raises(RunError, match="process 7"):
        do(replace(world.scene(), fit=busy), "retrain")
    assert world.act("retrain").state == BEGUN
    assert do(world.scene(by="ben"), "retrain")[1]
    assert (world.act("retrain").by, world.act("retrain").by_end) == ("ann", "ben")


def test_events_of_incidents_are_kept_apart(store: Store):
    kept = Incidents(store)
    for service in ("a", "b"):
        kept.open(service, by="ann", reason=service)
    kept.note(1, "of a", by="ben")
    kept.close(1, by="ben", reason="over")
    again, new = kept.open("a", by="ann", reason="again")
    assert (again.number, new) == (3, True)
    assert [(one.number, one.closed is None) for one in kept.all()] == [
        (3, True), (2, True), (1, False),
    ]  # fmt: skip
    assert [one.number for one in kept.history(1)] == [1, 2, 3]
    assert folded(kept.history(2)).notes == ()
