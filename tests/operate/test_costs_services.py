"""What services cost: what serving took by release and hour, answers of people, fits, storage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from leaven import releasing
from leaven.cli import app
from leaven.core.errors import StoreError
from leaven.costs import costs
from leaven.evaluate.run import Run
from leaven.label.queue import Ask, Queue
from leaven.operate.costs.ledger import bought, served
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.service import release_costs, spending
from leaven.operate.loop.journal import Journal
from leaven.operate.metrics.looking import Period
from leaven.operate.metrics.standing import version
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.serve.models.costing import CostLog
from leaven.serve.models.metering import Meter
from leaven.serve.spent import spent_chart
from leaven.store.cost_tables import serving_costs
from leaven.store.store import Store
from tests.operate.test_costs import copied, spoilt
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

HOUR, DAY = 3600.0, 86400.0
BEGAN = 1000 * DAY
PRICES = Prices(currency="EUR", cpu_hour=36.0, gigabyte_month=1.0, label=0.5)


def ask(number: int) -> Ask:
    return Ask(
        record=str(number), content=f"{number:064d}", shown={}, guess=(("barolo", 0.5),),
        reason="", batch="one", priority=0.5, origin={},
    )  # fmt: skip


class World:
    """A service with two releases, questions that people answered, and what serving took."""

    def __init__(self, store: Store, wine: Run, home: Path) -> None:
        self.store, self.clock = store, Clock()
        self.releases = Releases(store, "wine", clock=self.clock)
        self.queue = Queue.made(
            store, "wine", classes=("barolo", "barbera"), modality="tabular", clock=self.clock
        )
        self.queue.add([ask(i) for i in range(6)])
        self.first = spoilt(copied(wine, home, "first", cpu_seconds=100.0), 0.5)
        self.second = copied(wine, home, "second", cpu_seconds=200.0)
        self.clock.now = BEGAN
        self.release(self.first)
        self.clock.now = BEGAN + DAY
        self.answer("ann", 4)
        self.clock.now = BEGAN + 2 * DAY
        self.release(self.second)
        self.answer("ben", 1)

    def release(self, run: Run) -> None:
        found = Registry(self.store, clock=self.clock).add(run, person="ann")
        seen = self.releases.state()
        self.releases.release(found, by="ann", seen=seen, override="for a test")

    def answer(self, person: str, number: int) -> None:
        for i in range(number):
            task = self.queue.lease(person)[0]
            self.queue.answer(task.id, person, "barolo", key=f"{person} {self.clock.now} {i}")

    def serves(self, run: Run, hour: int, cpu: float, answered: int, process: str = "a") -> None:
        """A row of an hour since the beginning."""
        digest = Registry(self.store).get(run.story["run"]["id"]).digest
        row = {
            "service": "wine", "run": run.story["run"]["id"], "version": version(digest),
            "hour": int(BEGAN // HOUR) + hour, "process": process, "cpu_seconds": cpu,
            "answered": answered,
        }  # fmt: skip
        with self.store.write() as connection:
            connection.execute(insert(serving_costs).values(row))


@pytest.fixture
def world(store: Store, wine: Run, tmp_path: Path) -> World:
    return World(store, wine, tmp_path)


def test_what_serving_took_adds_up_over_processes_and_hours(world: World):
    world.serves(world.first, 0, 10.0, 100)
    world.serves(world.first, 0, 20.0, 200, "b")
    world.serves(world.first, 1, 5.0, 50)
    world.serves(world.second, 1, 3.0, 30)
    told = {one.run: one for one in served(world.store, "wine", BEGAN, BEGAN + DAY)}
    assert (told["first"].cpu_seconds, told["first"].answered) == (35.0, 350.0)
    assert (told["second"].cpu_seconds, told["second"].answered) == (3.0, 30.0)
    half = served(world.store, "wine", BEGAN + HOUR / 2, BEGAN + HOUR)
    assert [(one.cpu_seconds, one.answered) for one in half] == [(15.0, 150.0)]
    assert served(world.store, "other", BEGAN, BEGAN + DAY) == []
    assert served(world.store, "wine", BEGAN + 2 * HOUR, BEGAN + DAY) == []


def test_answers_are_bought_once_and_skips_are_free(world: World):
    task = world.queue.lease("carl")[0]
    world.queue.answer(task.id, "carl", "barolo", key="first")
    world.queue.answer(task.id, "carl", None, key="skipped")
    world.queue.answer(task.id, "carl", "barbera", key="again")
    found = bought(world.store, ["wine"], BEGAN, world.clock.now + 1)
    assert found == {"ann": 4, "ben": 1, "carl": 1}
    assert bought(world.store, ["wine"], BEGAN, BEGAN + DAY) == {}
    assert bought(world.store, ["other"], BEGAN, BEGAN + 9 * DAY) == {}


def test_a_service_is_split_into_what_it_was_spent_on(world: World):
    world.serves(world.first, 1, 50.0, 1000)
    told = spending(world.store, "wine", BEGAN, BEGAN + 3 * DAY, PRICES)
    parts = {one.name: one for one in told.parts}
    assert parts["fits"].cost == pytest.approx(3.0)
    assert parts["serving"].cost == pytest.approx(0.5)
    assert parts["labels"].cost == pytest.approx(2.5)
    kept = sum(one.told["cost"]["bytes"] for one in Registry(world.store).all())
    assert parts["storage"].amount == kept
    assert parts["storage"].cost == pytest.approx(kept / 1e9 * 3 / 30)
    assert told.total == pytest.approx(6.0 + kept / 1e10)
    assert told.per_thousand == pytest.approx(told.total)
    early = spending(world.store, "wine", BEGAN, BEGAN + HOUR, PRICES)
    assert early.parts[0].amount == 100.0  # the second run came later


def test_without_prices_amounts_are_told_and_what_is_left_out(world: World):
    told = spending(world.store, "wine", BEGAN, BEGAN + 3 * DAY, Prices())
    assert (told.total, told.per_thousand) == (None, None)
    assert told.unpriced == ("fits", "labels", "storage")  # serving took nothing
    some = spending(world.store, "wine", BEGAN, BEGAN + 3 * DAY, Prices(label=1.0))
    assert some.total == 5.0
    assert some.unpriced == ("fits", "storage")


def test_a_release_is_held_against_the_one_before_it(world: World):
    world.serves(world.second, 50, 36.0, 400)
    first, second = release_costs(world.store, "wine", BEGAN + 3 * DAY, PRICES)
    assert first.live == ((BEGAN, BEGAN + 2 * DAY),)
    assert second.live == ((BEGAN + 2 * DAY, BEGAN + 3 * DAY),)
    assert (first.answers, second.answers) == ({"ann": 4}, {"ben": 1})
    assert second.per_thousand == pytest.approx(0.36 / 0.4)
    assert first.gain is None
    assert second.gain.low > 0
    # Its fit, and the labels that were bought while the former was live.
    assert second.point.value == pytest.approx((2.0 + 2.0) / (100 * second.gain.value))
    shutil.rmtree(world.first.folder)
    gone = release_costs(world.store, "wine", BEGAN + 3 * DAY, PRICES)[1]
    assert gone.gain is None
    assert "cannot be told" in gone.point.sentence


def test_a_run_that_is_live_again_has_both_times(world: World):
    world.clock.now = BEGAN + 3 * DAY
    world.releases.rollback(by="ann", seen=world.releases.state())
    first, second = release_costs(world.store, "wine", BEGAN + 4 * DAY, PRICES)
    assert first.live == ((BEGAN, BEGAN + 2 * DAY), (BEGAN + 3 * DAY, BEGAN + 4 * DAY))
    assert second.live == ((BEGAN + 2 * DAY, BEGAN + 3 * DAY),)


def test_fits_of_the_loop_count_also_where_they_came_to_nothing(world: World):
    journal = Journal(world.store, "wine", clock=world.clock)
    lease = journal.take(60.0)
    assert lease is not None
    for outcome, told in (
        ("fitted", {"id": "second", "cpu_seconds": 200.0}),
        ("failed", {"cpu_seconds": 40.0, "gpu_seconds": 1.0}),
        ("failed", {}),
    ):
        standing = journal.move(journal.standing(), lease, "triggered", "", {})
        standing = journal.move(standing, lease, "fine", "", {})
        standing = journal.move(standing, lease, outcome, "", told)
        if outcome == "fitted":
            standing = journal.move(standing, lease, "held back", "", {})
            journal.move(standing, lease, "nothing", "", {})
    told = spending(world.store, "wine", BEGAN, BEGAN + 9 * DAY, PRICES)
    assert told.parts[0].amount == 100.0 + 200.0 + 40.0  # no fit twice
    assert told.parts[0].cost is None  # a GPU was held, and has no price


def test_the_command_and_its_page_tell_services(world: World, tmp_path: Path):
    world.serves(world.first, 1, 50.0, 1000)
    file = tmp_path / "prices.toml"
    file.write_text("[costs]\ncurrency = 'E<b>R'\ncpu_hour = 36\nlabel = 0.5\ngigabyte_month = 1")
    words = ["costs", "wine", "--store", world.store.address, "--prices", str(file)]
    shown = CliRunner().invoke(app, [*words, "--report", str(tmp_path / "page.html")])
    assert shown.exit_code == 0, shown.output
    assert "1 000".replace(" ", "\u202f") + " records answered" in shown.stdout
    page = (tmp_path / "page.html").read_text()
    assert "E<b>R" not in page
    assert "E&lt;b&gt;R per 1000 answers" in page
    answer = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [one["run"] for one in answer["services"][0]["releases"]] == ["first", "second"]
    assert costs(store=world.store.address)["services"][0]["total"] is None


# What a server writes down


def logged(store: Store) -> list[tuple[str, float, int]]:
    table = serving_costs.c
    with store.read() as connection:
        rows = connection.execute(select(table.run, table.cpu_seconds, table.answered))
        return sorted(map(tuple, rows))


class Serving:
    """What a log of costs looks at, with times that the test sets."""

    def __init__(self, store: Store) -> None:
        self.cpu, self.clock, self.meter = 0.0, Clock(), Meter("wine")
        self.live = SimpleNamespace(run="first", digest="a" * 64, larger=None)
        self.other = SimpleNamespace(run="second", digest="b" * 64, larger=None)
        self.watch = SimpleNamespace(routing=SimpleNamespace(live=self.live))
        self.log = self.made(store)

    def made(self, store: Store) -> CostLog:
        watch: Any = self.watch
        return CostLog(store, "wine", watch, self.meter, clock=self.clock, cpu=lambda: self.cpu)

    def answers(self, model: Any, number: int, place: str = "live") -> None:
        told = SimpleNamespace(abstained=False, explored=False)
        self.meter.answered(model, place, [told] * number)  # type: ignore[list-item]


def test_cpu_is_shared_by_answers_and_the_live_run_bears_the_waiting(tmp_path: Path):
    store = Store(str(tmp_path / "leaven.db"))
    serving = Serving(store)
    serving.cpu = 10.0
    serving.answers(serving.live, 30)
    serving.answers(serving.other, 10, "canary")
    serving.log.look()
    assert logged(store) == [("first", 7.5, 30), ("second", 2.5, 10)]
    serving.cpu = 12.0
    serving.log.look()
    assert logged(store) == [("first", 9.5, 30), ("second", 2.5, 10)]
    serving.clock.now += 3600
    serving.cpu, serving.watch.routing = 13.0, None
    serving.log.look()  # nothing is loaded: who is loaded first bears it
    serving.watch.routing = SimpleNamespace(live=serving.other)
    serving.log.look()
    assert logged(store) == [("first", 9.5, 30), ("second", 1.0, 0), ("second", 2.5, 10)]


def test_what_cannot_be_written_waits_and_nothing_is_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    store = Store(str(tmp_path / "leaven.db"))
    serving = Serving(store)
    serving.cpu = 4.0
    serving.answers(serving.live, 8)
    with monkeypatch.context() as down:

        def fails(*_: object) -> None:
            raise StoreError("The store is down.")

        down.setattr(store, "write", fails)
        for _ in range(3):
            serving.log.look()
    assert caplog.text.count("The store is down.") == 1
    serving.clock.now += 7200
    serving.log.look()
    serving.log.look()
    assert logged(store)[-1] == ("first", 4.0, 8)
    assert sum(answered for _, _, answered in logged(store)) == 8
    again = serving.made(store)  # a process that begins anew has rows of its own
    serving.cpu += 1.0
    again.look()
    assert sum(cpu for _, cpu, _ in logged(store)) == 5.0


def test_a_server_writes_its_costs_at_the_end_and_shows_them_on_the_board(
    wine: Run, tmp_path: Path
):
    from tests.serve.models.released import served as serves

    address = str(tmp_path / "leaven.db")
    releasing.release(wine, by="ann", override="for a test", store=address)
    prices = Prices(currency="<i>", cpu_hour=1.0)
    with serves(address, "wine", prices=prices) as client:
        row = {f"x{i}": 1.0 for i in range(13)}
        assert client.post("/predict", json={"records": [row] * 5}).is_success
        client.service.costs.look()
        page = client.get("/dashboards/executive").text
        assert "per 1000 answers" in page
        assert "&lt;i&gt; in this time" in page
        assert "<i>" not in page
        assert "per 1000 answers" not in client.get("/dashboards/debug").text
        assert client.post("/predict", json={"records": [row] * 2}).is_success
    ((run, cpu, answered),) = logged(Store(address))
    assert (run, answered) == (wine.story["run"]["id"], 7)
    assert 0 < cpu < 60


def test_the_chart_of_a_service_without_prices_is_in_cpu_seconds(world: World):
    world.serves(world.first, 1, 50.0, 1000)
    chart = spent_chart(world.store, "wine", Period(BEGAN, BEGAN + 3 * DAY), Prices())
    assert chart["title"] == "It took 350.0 CPU seconds in this time"
    assert "Without a price in [costs] of leaven.toml: fits (300.0" in chart["note"]
    assert "cannot be told" in chart["note"]
