"""Caps: a fit that reaches one stops where its work is kept, and goes on to the same end."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import leaven
from leaven.cli import app
from leaven.core.errors import CapError, SettingError
from leaven.evaluate import spending
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.run import Run
from leaven.evaluate.spending import Caps, Meter, Spent
from leaven.operate.costs.prices import Prices
from leaven.store.store import Store
from tests.operate.loop_world import DAY, SERVICE, World

PRICED = Prices(currency="EUR", cpu_hour=3600.0)


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small table in a folder of its own."""
    rng = np.random.default_rng(0)
    rows = ["a,b,label"]
    for i in range(60):
        x, y = rng.normal(size=2) + 1.5 * np.eye(2)[i % 2]
        rows.append(f"{x:.4f},{y:.4f}," + (f"class {i % 2}" if i < 12 else ""))
    (tmp_path / "points.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "points.csv"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor of which each look uses a second: caps are reached at the same moments."""
    import leaven.evaluate.stages  # noqa: F401 - it would keep the other clock for ever

    clock = itertools.count()
    monkeypatch.setattr(spending, "cpu_now", lambda: float(next(clock)))


def fit(points: Path, out: str = "runs", **how: Any) -> Run:
    return leaven.fit(points, label="label", method="fixmatch", budget="12steps", out=out, **how)


def fit_or_stop(points: Path, hours: float) -> Run | CapError:
    try:
        return fit(points, cpu_hours=hours)
    except CapError as cap:
        return cap


def test_stopped_again_and_again_a_run_ends_as_one_that_was_let_be(points: Path, counted: None):
    whole = fit(points, "whole")
    stops, hours, seen = 0, 0.0, set[str]()
    while True:
        hours += 25 / 3600
        run = fit_or_stop(points, hours)
        if isinstance(run, Run):
            break
        stops += 1
        assert "'cpu_hours' is reached" in str(run)
        assert run.spent["cpu_seconds"] >= hours * 3600
        (folder,) = Path("runs").iterdir()
        assert not (folder / "run.json").exists()
        seen |= {file.name for file in folder.rglob("*") if file.is_file()}
        assert not list(folder.rglob("*.part"))
    assert stops > 2
    assert "checkpoint.safetensors" in seen  # it was stopped within a fit, too
    assert run.story["metrics"] == whole.story["metrics"]
    assert run.story["verdict"] == whole.story["verdict"]
    assert run.story["run"]["id"] == whole.story["run"]["id"]  # caps are no part of a run
    for name in ("model/model.safetensors", "predictions.parquet"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert run.story["cost"]["cpu_seconds"] > stops * 25  # those of all processes


def test_a_baseline_that_was_done_is_there_and_not_fitted_again(points: Path, counted: None):
    hours = 0.0
    while not list(Path().glob("runs/*/work/final-supervised/stage.json")):
        hours += 25 / 3600
        with pytest.raises(CapError):
            fit(points, cpu_hours=hours)
    (kept,) = Path().glob("runs/*/work/final-supervised/model.safetensors")
    before = kept.stat().st_mtime_ns
    with pytest.raises(CapError):
        fit(points, cpu_hours=hours)
    assert kept.stat().st_mtime_ns == before


def test_the_command_says_what_is_reached_and_exits_with_1(points: Path):
    words = ["fit", str(points), "--label", "label", "--method", "fixmatch", "--budget", "12steps"]
    run = CliRunner()
    for more, says in (
        (["--memory", "0.001"], "'memory' is reached: 0.001 GB were allowed"),
        (["--cpu-hours", "1e-9"], "'cpu_hours' is reached"),
    ):
        shown = run.invoke(app, [*words, *more])
        assert shown.exit_code == 1
        assert says in shown.stderr
        assert "the same call goes on from there with a higher cap" in shown.stderr
    answer = run.invoke(app, [*words, "--memory", "0.001", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["error"]["type"] == "CapError"
    assert run.invoke(app, words).exit_code == 0
    assert run.invoke(app, [*words, "--cpu-hours", "1e-9"]).exit_code == 0  # it is done


def test_money_is_capped_by_the_prices_of_a_file(points: Path):
    Path("prices.toml").write_text("[costs]\ncurrency = 'EUR'\ncpu_hour = 1e9")
    with pytest.raises(CapError, match="'money' is reached: 0.5 EUR were allowed"):
        fit(points, money=0.5, prices="prices.toml")
    with pytest.raises(SettingError, match="no price.*Set cpu_hour"):
        fit(points, money=0.5)


@pytest.mark.parametrize("cap", ["cpu_hours", "memory", "money"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cap_that_is_none_is_refused_before_any_work(points: Path, cap: str, value: float):
    with pytest.raises(SettingError, match=f"'{cap}' must be a number above 0"):
        fit(points, prices=PRICED, **{cap: value})
    assert not Path("runs").exists()


def test_an_encoder_that_is_pretrained_first_is_capped_as_well(points: Path, counted: None):
    with pytest.raises(CapError):
        fit(points, pretext="vime", cpu_hours=12 / 3600)
    assert list(Path().glob("runs/*/pretraining/*/work"))


def test_a_gpu_and_memory_are_measured_from_when_they_are_seen(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(spending.time, "monotonic", lambda: now[0])
    holds = [False]
    monkeypatch.setattr(spending, "_holds_gpu", lambda: holds[0])
    meter = Meter(Spent(seconds=10.0, gpu_seconds=4.0, peak_bytes=10**15))
    now[0] = 5.0
    assert meter.spent().gpu_seconds == 4.0
    holds[0] = True
    meter.spent()
    now[0] = 8.0
    found = meter.spent()
    assert (found.seconds, found.gpu_seconds, found.peak_bytes) == (18.0, 7.0, 10**15)


def test_memory_that_came_and_went_since_counts():
    script = """
from leaven.evaluate.spending import Meter, Spent, memory_now
meter, before = Meter(Spent()), memory_now()
held = bytes(b"x" * 200_000_000)
del held
print(meter.memory - before, memory_now() - before)
"""
    # In a process of its own: one that had much more before cannot tell this peak from that.
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    most, left = map(int, ran.stdout.split())
    assert most > 150_000_000 > left


def test_a_clock_of_an_earlier_version_is_gone_on_with(tmp_path: Path):
    with RunFolder(tmp_path / "run") as folder:
        folder.write("clock.json", {"seconds": 50.0, "cpu_seconds": 40.0})
    with RunFolder(tmp_path / "run", caps=Caps(cpu_seconds=41.0)) as folder:
        assert folder.spent.cpu_seconds >= 40.0
        folder.tick()
    assert json.loads((tmp_path / "run/work/clock.json").read_text())["seconds"] >= 50.0


# The loop


@pytest.fixture
def world(wine: Run, tmp_path: Path) -> World:
    return World(Store(str(tmp_path / "leaven.db")), wine, tmp_path)


def limited(world: World, **limits: float) -> None:
    told = world.policy.model_dump()
    told["limits"] |= {"rest_hours": 0} | limits
    world.policy = type(world.policy).build(told)


def stops(spent: float) -> Callable[..., Run]:
    """A fit that needs more than its cap of hours."""

    def fit(data: Any, **how: Any) -> Run:
        raise CapError(f"stopped at {how['cpu_hours']}", {"cpu_seconds": spent})

    return fit


def test_a_fit_of_the_loop_gets_what_is_left_of_the_week(world: World):
    limited(world, cpu_hours=5)
    world.run()
    assert world.fits.asked[0]["cpu_hours"] == 5
    used = world.fits.source.story["cost"]["cpu_seconds"] / 3600
    world.more_records()
    world.clock.now -= 6 * DAY
    world.journal.trigger("ann", "")
    world.run()
    assert world.fits.asked[1]["cpu_hours"] == pytest.approx(5 - used)


def test_a_fit_that_reaches_the_cap_waits_and_goes_on_once_more_is_left(world: World):
    limited(world, cpu_hours=1)
    steps = list(world.loop(stops(3600.0)).run())
    assert steps[-1].state == "fitting"
    assert "It goes on where it stopped" in steps[-1].reason
    number = world.standing().number
    for _ in range(10):  # looking again neither tries, nor fills the history
        assert world.outcomes() == [""]
    assert world.standing().number == number
    assert not world.fits.asked
    limited(world, cpu_hours=2)
    assert world.outcomes()[0] == "fitted"
    assert world.fits.asked[0]["cpu_hours"] == 2


def test_a_fit_that_waited_too_long_ends_the_cycle_and_counts(world: World):
    limited(world, cpu_hours=1, patience_days=3)
    list(world.loop(stops(3600.0)).run())
    world.clock.now += 4 * DAY
    (failed, _) = world.run()
    assert failed.outcome == "failed"
    assert "waited too long" in failed.reason
    world.journal.trigger("ann", "")
    assert "1.00 CPU hours in 7 days" in world.run()[-1].reason
    world.clock.now += 8 * DAY
    assert world.outcomes()[0] == "triggered"


def test_money_of_the_loops_fits_is_capped_by_the_same_prices(world: World):
    limited(world, money=1e-6)
    with pytest.raises(SettingError, match="'money' must be left out"):
        world.loop()
    world.prices = PRICED
    world.run()
    assert world.fits.asked[0]["money"] == 1e-6
    world.more_records()
    world.clock.now -= 6 * DAY
    world.journal.trigger("ann", "")
    assert "EUR in 7 days, the most allowed" in world.run()[-1].reason
    assert world.standing().service == SERVICE
