"""Compute that runs away in a loop, and the arithmetic of indicators on both databases."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from leaven import looping
from leaven.core.errors import CapError, LeavenError
from leaven.evaluate.folder import write_json
from leaven.evaluate.run import Run
from leaven.evaluate.tables import write_parquet
from leaven.operate.loop.fits import fits
from leaven.operate.objectives.checking import check, known_alerts
from leaven.operate.objectives.config import Objectives, Slo
from leaven.operate.objectives.falling import ALL, largest_drop
from leaven.operate.objectives.indicator import Subject
from leaven.operate.objectives.indicators import compute
from leaven.operate.objectives.judging import Finding, judge
from leaven.store.store import Store
from tests.operate.loop_world import SERVICE, Fits, World
from tests.operate.test_health import DIGEST
from tests.operate.test_health import World as Health
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

NAMES = ("fit-cost", "restarts", "disk")
PROMISED = Objectives.build(
    {
        "alerts": {"grace": 0, "settle": 0},
        "slo": [{"name": name, "indicator": name} for name in NAMES],
    }
)


@pytest.fixture
def lite(tmp_path: Path, whole_sqlite: Path) -> Store:
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    return Store(file)


@pytest.fixture
def world(lite: Store, wine: Run, tmp_path: Path) -> World:
    """A loop that has made its first run, which is live."""
    made = World(lite, wine, tmp_path, fit={"label": "label", "budget": "2m"})
    made.run()
    return made


def look(world: World) -> dict[str, str]:
    """The alerts that are open after a look, and what they say."""
    world.clock.now += 1  # of two looks at one moment the second is none
    check(world.store, [SERVICE], PROMISED, clock=world.clock, sleep=lambda _: None)
    return {one["slo"]: one["finding"]["sentence"] for one in known_alerts(world.store)}


class Killed(BaseException):
    """What ends the process."""


def cut_off(world: World, *, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> Any:
    """A fit that works for so long, and is killed then."""

    def fit(data: Any, *, out: Path, progress: Any, **how: Any) -> Run:
        world.clock.now += seconds
        work = out / "run" / "work"
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / "clock.json", {"seconds": seconds, "cpu_seconds": seconds * 0.9})
        meanwhile()
        raise Killed

    return fit


def begin(world: World, fit: Any) -> None:
    with pytest.raises(Killed):
        list(world.loop(fit).run())


def test_a_fit_that_goes_on_and_on_is_seen_while_it_does_and_a_pause_ends_it(world: World):
    assert look(world) == {}
    seen: list[dict[str, str]] = []
    world.more_records()
    begin(world, cut_off(world, seconds=5 * 60, meanwhile=lambda: seen.append(look(world))))
    begin(world, cut_off(world, seconds=3 * 3600, meanwhile=lambda: seen.append(look(world))))
    assert seen[0] == {}
    said = seen[1]["fit-cost"].replace("\u202f", " ")
    assert "The fit of cycle 2 has taken 3 h of time; 2 min would be usual." in said
    assert "Its last sign of life was" in said
    looping.pause(SERVICE, by="ann", reason="it runs away", store=world.store.address)
    assert look(world) == {}
    looping.resume(SERVICE, by="ann", store=world.store.address)
    assert "fitted" in world.outcomes()
    assert look(world) == {}


def test_a_fit_that_cost_many_times_what_others_did_is_told_until_the_next_is_usual(
    world: World, wine: Run
):
    class Dear(Fits):
        def __call__(self, data: Any, *, out: Path, progress: Any, **how: Any) -> Run:
            run = super().__call__(data, out=out, progress=progress, **how)
            story = json.loads((run.folder / "run.json").read_text())
            story["cost"]["cpu_seconds"] = 7200.0
            (run.folder / "run.json").write_text(json.dumps(story))
            return Run.load(run.folder)

    world.more_records()
    list(world.loop(Dear(wine)).run())
    said = look(world)["fit-cost"].replace("\u202f", " ")
    assert "The fit of cycle 2 took 2 h of CPU time" in said
    world.releases.rollback(by="ann", seen=world.releases.state(), reason="too dear")
    world.run()
    world.more_records()
    world.run()
    assert look(world) == {}


def test_fits_that_never_end_are_counted_until_one_does(store: Store, wine: Run, tmp_path: Path):
    world = World(store, wine, tmp_path)
    world.run()
    world.more_records()
    for tries in range(1, 5):
        begin(world, cut_off(world, seconds=10))
        assert ("restarts" in look(world)) == (tries > 3)  # one of them may go on
    (last,) = [fit for fit in fits(world.journal.history()) if fit.ended is None]
    assert (last.tries, last.lost) == (4, 3)
    assert world.outcomes()[0] == "fitted"
    assert look(world) == {}
    world.releases.rollback(by="ann", seen=world.releases.state(), reason="not wanted")
    world.run()
    world.more_records()
    for _ in range(5):
        begin(world, cut_off(world, seconds=10))
    assert world.outcomes()[0] == "failed"  # the cap has stopped it
    assert look(world)["restarts"].startswith("Fits of the loop that were begun")


def test_a_fit_that_a_cap_has_stopped_waits_and_does_not_run_away(world: World):
    def capped(data: Any, *, out: Path, progress: Any, **how: Any) -> Run:
        raise CapError("'cpu_hours' is reached.", {"cpu_seconds": 60.0})

    world.more_records()
    steps = list(world.loop(capped).run())
    assert steps[-1].outcome == ""
    (last,) = [fit for fit in fits(world.journal.history()) if fit.ended is None]
    assert (last.goes_on, last.lost) == (False, 0)
    world.clock.now += 86_400
    assert look(world) == {}


def test_a_disk_without_room_is_told_before_it_is_full(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as full:
        full.setattr(compute, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
        assert "1.0 MB are free" in look(world)["disk"].replace("\u202f", " ")
    assert look(world) == {}


# Truth, on both databases


@pytest.fixture
def health(store: Store, clock: Clock, tmp_path: Path) -> Health:
    return Health(store, clock, tmp_path)


def found(health: Health, name: str) -> Finding:
    told = {"dataset": {"name": "tickets"}}
    folder = str(health.folder)
    subject = Subject(health.store, "tickets", "tickets", "run", folder, told, health.clock())
    (finding,) = judge(Slo(name=name, indicator=name), subject, "")
    return finding


def test_truth_that_came_by_itself_is_held_against_what_was_drawn(health: Health):
    for name in ("feedback-bias", "feedback-mix", "explored-truth", "held-out-gap"):
        assert found(health, name).state == "unknown"
    health.answer(500, flipped=0.25)
    alone = found(health, "feedback-bias")
    assert (alone.state, alone.n) == ("met", 0), alone.sentence
    health.answer(500, explored=False)
    health.answer(50, explored=False, caused=True)
    health.answer(50, explored=False, route="review")
    bias = found(health, "feedback-bias")
    assert (bias.state, bias.n) == ("broken", 1000)
    assert bias.low > 0.02
    drawn = found(health, "explored-truth")
    assert (drawn.state, drawn.n, drawn.value) == ("met", 1050, pytest.approx(500 / 1050))
    health.answer(300, explored=False, truth=False)
    assert found(health, "feedback-bias").n == 1000


def test_labels_count_as_caused_only_where_nobody_told_the_same_otherwise(health: Health):
    assert "labels of the live run cannot be read at" in found(health, "caused-labels").sentence
    labels = {"content": ["c1", "c2", "c3", "c4"], "label": ["ham"] * 4,
              "origin": ["given", "person", "rule", "given"]}  # fmt: skip
    write_parquet(pa.table(labels), health.folder / "labels.parquet")
    created = {"run": {"created": "2033-05-18T03:33:20+00:00"}, "dataset": {"findings": []}}
    write_json(health.folder / "run.json", created)
    before = health.clock()
    for content, caused in (("c1", True), ("c2", True), ("c2", False), ("c3", True)):
        health.answer(1, content=content, caused=caused, truth=True)
    told = found(health, "caused-labels")
    with health.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT content, label, caused FROM feedback").all()
    caused = {(row.content, row.label) for row in rows if row.caused}
    own = {(row.content, row.label) for row in rows if not row.caused}
    expected = {("c1", "ham"), ("c2", "ham"), ("c4", "ham")} & (caused - own)
    assert told.value == pytest.approx(len(expected) / 3)
    assert health.clock() > before
    created["run"]["created"] = "2000-01-01T00:00:00+00:00"  # it was made before all that
    write_json(health.folder / "run.json", created)
    assert found(health, "caused-labels").value == 0
    assert DIGEST in {one.digest for one in health.releases.history()}


def test_what_is_not_there_is_unknown_and_nothing_falls_over(health: Health):
    health.answer(30)
    for file in ("run.json", "predictions.parquet", "labels.parquet"):
        (health.folder / file).write_text("{")
    for name in ("leaks", "revealing", "pseudo-label-drift", "pseudo-label-mix", "fit-cost",
                 "caused-labels", "entropy"):  # fmt: skip
        assert found(health, name).state == "unknown", name
        assert "failed" not in found(health, name).sentence


# Whether precision has fallen


def test_a_fall_is_shown_rarely_where_there_is_none_and_soon_where_there_is():
    rng = np.random.default_rng(0)
    batches = np.repeat(np.arange(6), 40)
    groups = {f"class {i}": batches % 2 == i for i in range(2)}
    false = 0
    for _ in range(80):
        right = rng.random(240) < 0.93
        looks = (largest_drop(right[:n], batches[:n], batches[:n] >= 0,
                              {k: v[:n] for k, v in groups.items()}, most=0.03)
                 for n in (80, 120, 160, 200, 240))  # fmt: skip
        false += any(one.shown and one.value > 0.03 for one in looks if one)
    assert false <= 80 * 0.05
    right = rng.random(240) < np.where(batches < 3, 0.97, 0.75)
    drop = largest_drop(right, batches, batches >= 0, groups, most=0.03)
    assert drop.shown
    assert drop.since in (2, 3, 4)
    mine = largest_drop(right, batches, batches < 3, groups, most=0.03)
    assert (mine.group, mine.shown) == (ALL, False)  # the run before had not fallen
    assert largest_drop(right[:40], batches[:40], [True] * 40, {}) is None


def test_a_fit_that_an_earlier_version_began_has_no_folder_and_is_still_counted(lite: Store):
    assert fits([]) == []
    with pytest.raises(LeavenError):
        compute._history(Subject(lite, SERVICE, SERVICE, "r", "f", {}, 0.0))
