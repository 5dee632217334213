"""What runs cost and bought: prices, points, larger budgets, and the command that tells it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from typer.testing import CliRunner

from leaven.cli import app
from leaven.core.errors import DataError, RunError, SettingError, UnknownNameError
from leaven.core.wording import THIN
from leaven.costs import costs
from leaven.evaluate.folder import folder_bytes
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.run import Run
from leaven.evaluate.tables import read_parquet, write_parquet
from leaven.operate.costs.ahead import budgets, next_compute, steps
from leaven.operate.costs.bought import per_point
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.run import run_cost

PRICES = Prices(currency="EUR", cpu_hour=36.0, gigabyte_month=1.0, label=0.5, people={"ann": 2.0})
BETTER = {"value": 0.06, "low": 0.03, "high": 0.08, "n": 200}


def copied(run: Run, folder: Path, name: str, **cost: Any) -> Run:
    """The run under another name, with other figures of what it took."""
    there = folder / name
    shutil.copytree(run.folder, there)
    story = json.loads((there / "run.json").read_text())
    story["run"]["id"] = name
    story["cost"] |= cost
    (there / "run.json").write_text(json.dumps(story))
    return Run.load(there)


def changed(run: Run, *keys: str, to: Any) -> Run:
    story = json.loads((run.folder / "run.json").read_text())
    place = story
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    (run.folder / "run.json").write_text(json.dumps(story))
    return Run.load(run.folder)


def told(run: Run, prices: Prices) -> Any:
    return run_cost(run.story["run"]["id"], run.folder, run.story, prices)


# What a run keeps of what it took


def test_a_run_keeps_what_it_took(wine: Run):
    cost = wine.story["cost"]
    assert 0 < sum(cost["arms"].values()) < cost["cpu_seconds"]
    assert set(cost["arms"]) == {wine.verdict.method, wine.verdict.baseline}
    assert (cost["gpu_seconds"] > 0) == torch.cuda.is_initialized()
    assert 50e6 < cost["peak_bytes"] < 100e9
    files = folder_bytes(wine.folder) - (wine.folder / "run.json").stat().st_size
    assert cost["bytes"] == files
    stages = wine.story["training"]["stages"]
    assert all(stage["cpu_seconds"] >= 0 for stage in stages)


def test_files_that_only_the_making_needs_and_links_do_not_count(tmp_path: Path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "arrays").write_bytes(b"x" * 500)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"x" * 30)
    (tmp_path / "twice").symlink_to(tmp_path / "model" / "weights")
    assert folder_bytes(tmp_path) == 30


# Prices


def test_without_prices_no_money_is_invented(wine: Run):
    found = told(wine, Prices())
    assert (found.compute, found.total, found.storage) == (None, None, None)
    assert found.labels == 0.0  # none was bought
    assert found.cpu_seconds == wine.story["cost"]["cpu_seconds"]


def test_money_is_what_was_taken_times_its_price(wine: Run, tmp_path: Path):
    run = copied(wine, tmp_path, "one", cpu_seconds=100.0)
    labels = read_parquet(run.folder / "labels.parquet")
    by = ["ann", "ann, ben", "carl"] + ["x"] * (labels.num_rows - 3)
    origins = ["person"] * 3 + ["given"] * (labels.num_rows - 3)
    for name, values in (("by", by), ("origin", origins)):
        at = labels.schema.get_field_index(name)
        labels = labels.set_column(at, name, pa.array(values))
    write_parquet(labels, run.folder / "labels.parquet")
    found = told(run, PRICES)
    assert found.compute == pytest.approx(1.0)
    assert found.answers == Counter({"ann": 2, "ben": 1, "carl": 1})
    assert found.bought == 4
    assert found.labels == 2 * 2.0 + 2 * 0.5
    assert found.total == pytest.approx(6.0)
    assert found.storage == pytest.approx(folder_bytes(run.folder) / 1e9)
    given = PRICES.model_copy(update={"given": 0.1})
    assert told(run, given).labels == pytest.approx(5.0 + 0.1 * (labels.num_rows - 3))


def test_what_has_no_price_is_left_open_where_there_is_some_of_it():
    assert Prices(label=1.0).labels({"ann": 2}) == 2.0
    assert Prices().labels({"ann": 2}) is None
    assert Prices(people={"ann": 1.0}).labels({"ann": 2, "ben": 1}) is None
    assert Prices(cpu_hour=1.0).compute(3600.0, 10.0) is None
    assert Prices(cpu_hour=1.0, gpu_hour=2.0).compute(3600.0, 1800.0) == 2.0
    assert Prices(gigabyte_month=0.2).storage(5e9, 15 * 86400) == pytest.approx(0.5)


def test_a_gpu_that_was_held_costs_as_well(wine: Run, tmp_path: Path):
    run = copied(wine, tmp_path, "gpu", cpu_seconds=100.0, gpu_seconds=1800.0)
    assert told(run, PRICES).compute is None
    assert told(run, PRICES.model_copy(update={"gpu_hour": 4.0})).compute == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("[costs]\ncpu_hours = 1", "Did you mean 'cpu_hour'?"),
        ("[costs]\ncpu_hour = -1", "greater than or equal to 0"),
        ("[costs]\ncpu_hour = inf", "finite"),
        ("[costs]\nlabel = 'much'", "'label' must be a valid number"),
        ('[costs]\ncurrency = "E\\u001bUR"', "'currency' must be"),
        ("costs = 3", "a TOML file with a table [costs]"),
        ("[other]", "a TOML file with a table [costs]"),
        ("[costs", "valid TOML"),
    ],
)
def test_prices_that_are_none_are_named(tmp_path: Path, content: str, wrong: str):
    file = tmp_path / "prices.toml"
    file.write_text(content)
    with pytest.raises(SettingError) as refused:
        Prices.read(file)
    assert wrong in str(refused.value)


def test_prices_are_looked_for_beside_and_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert Prices.read() == Prices()
    (tmp_path / "leaven.toml").write_text("[loop]\ndata = 'a.csv'")
    assert Prices.read() == Prices()
    (tmp_path / "leaven.toml").write_text("[costs]\nlabel = 3")
    assert Prices.read().label == 3.0
    with pytest.raises(SettingError, match="readable"):
        Prices.read("elsewhere.toml")


# A point of accuracy


def test_a_point_costs_the_cost_over_the_gain_with_the_interval_turned():
    found = per_point(12.0, str, Estimate(**BETTER), "it")
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 1.5, 4.0))
    assert "2.0 a point above it" in found.sentence


@pytest.mark.parametrize(
    ("cost", "gain", "says"),
    [
        (12.0, (0.06, -0.01, 0.1), "cannot be told: +6.0 points"),
        (12.0, (0.06, 0.0, 0.1), "cannot be told"),
        (12.0, (0.002, 0.0002, 0.007), "cannot be told"),  # its end is told as 0.0
        (12.0, (-0.06, -0.1, -0.02), "nothing was bought: −6.0 points"),
        (None, (0.06, 0.03, 0.08), "there is no price"),
    ],
)
def test_no_ratio_is_told_where_the_gain_may_be_nothing(cost: Any, gain: Any, says: str):
    found = per_point(cost, str, Estimate(*gain, 100), "it")
    assert found.value is None
    assert says in found.sentence


def test_a_point_over_the_baseline_costs_computing_for_labels_taught_both(
    wine: Run, tmp_path: Path
):
    run = copied(wine, tmp_path, "one", cpu_seconds=120.0)
    run = changed(run, "verdict", "difference", to=BETTER)
    assert told(changed(run, "verdict", "outcome", to="unproven"), PRICES).point.value is None
    run = changed(run, "verdict", "outcome", to="better")
    found = told(run, PRICES)
    assert found.point.value == pytest.approx(1.2 / 6)
    assert "EUR" in found.point.sentence
    unpriced = told(run, Prices()).point
    assert unpriced.value == pytest.approx(20.0)
    assert f"20.0{THIN}s of CPU a point" in unpriced.sentence


# What larger budgets buy


def spoilt(run: Run, share: float) -> Run:
    """The run, as if its model had been wrong on this share of the records that it got right."""
    table = read_parquet(run.folder / "evidence.parquet")
    kept, label = run.verdict.kept, table["label"].to_pylist()
    said = table[kept].to_pylist()
    right = [i for i, (a, b) in enumerate(zip(said, label, strict=True)) if a == b]
    for i in right[: round(share * len(right))]:
        said[i] = "wrong"
    at = table.schema.get_field_index(kept)
    write_parquet(table.set_column(at, kept, pa.array(said)), run.folder / "evidence.parquet")
    return run


def ladder(wine: Run, folder: Path, *shares: float) -> list[Run]:
    """Runs of the same data, each with four times the budget of the last."""
    made = []
    for i, share in enumerate(shares):
        run = spoilt(copied(wine, folder, f"run-{i}", cpu_seconds=10.0 * 4**i), share)
        made.append(changed(run, "recipe", "budget", to=f"{10 * 4**i}s"))
    return made


def test_each_larger_budget_is_held_against_the_one_below(wine: Run, tmp_path: Path):
    runs = ladder(wine, tmp_path, 0.6, 0.2, 0.18)
    found = budgets(runs[1])
    assert [one.story["run"]["id"] for one in found] == ["run-0", "run-1", "run-2"]
    first, second = steps(found, PRICES)
    assert (first.what, first.amount) == ("40s instead of 10s", 30.0)
    assert first.cost == pytest.approx(0.3)
    assert first.gain.low > 0
    assert first.point.value == pytest.approx(0.3 / (100 * first.gain.value))
    assert second.point.value is None
    more = next_compute(found, PRICES)
    assert more is not None
    assert more.amount == 160
    assert 0 <= more.gain.low < more.gain.value < first.gain.value


def test_nothing_is_expected_where_no_budget_was_shown_to_be_better(wine: Run, tmp_path: Path):
    assert next_compute(budgets(ladder(wine, tmp_path, 0.02, 0.0, 0.02)[0]), PRICES) is None
    assert next_compute(budgets(ladder(wine, tmp_path / "two", 0.6, 0.1)[0]), PRICES) is None


def test_budgets_of_other_data_seeds_and_hardly_more_computing_are_left_out(
    wine: Run, tmp_path: Path
):
    runs = ladder(wine, tmp_path, 0.4, 0.2, 0.1, 0.05)
    changed(runs[1], "dataset", "hash", to="another")
    changed(runs[2], "recipe", "seed", to=7)
    changed(runs[3], "cost", "cpu_seconds", to=11.0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert [one.story["run"]["id"] for one in budgets(runs[0])] == ["run-0"]


# The verb and the command


@pytest.fixture
def home(wine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prices and runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaven.toml").write_text(
        "[costs]\ncurrency = 'EUR'\ncpu_hour = 36\ngigabyte_month = 1\nlabel = 0.5"
    )
    ladder(wine, tmp_path / "runs", 0.6, 0.2, 0.18)
    return tmp_path


def test_the_command_tells_runs_in_a_table_and_as_json(home: Path):
    run = CliRunner()
    shown = run.invoke(app, ["costs", "runs/run-0", "runs/run-1"])
    assert shown.exit_code == 0
    assert f"0.10{THIN}EUR" in shown.stdout
    assert "40s instead of 10s: +" in shown.stdout
    assert "What has no price" not in shown.stdout
    answer = json.loads(run.invoke(app, ["costs", "runs/run-0", "--json"]).stdout)
    assert answer["runs"][0]["compute"] == pytest.approx(0.1)
    assert answer["services"] == []


def test_without_a_name_and_a_store_all_runs_are_told_and_how_to_set_prices(home: Path):
    (home / "leaven.toml").unlink()
    found = costs()
    assert [one["run"] for one in found["runs"]] == ["run-0", "run-1", "run-2"]
    assert len(found["budgets"]) == 1
    assert "cpu_hour = …, gigabyte_month = …, label = …" in found["advice"][0]
    assert "gpu_hour" not in found["advice"][0]


def test_what_is_no_run_and_no_service_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(RunError, match="is no run"):
        costs([home])
    with pytest.raises(DataError, match="'nope' is no folder of a run"):
        costs(["nope"])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(DataError, match="Name a run"):
        costs()


def test_the_page_escapes_names_and_has_the_figures(home: Path):
    changed(Run.load("runs/run-0"), "run", "id", to="<script>alert(1)</script>")
    found = costs(["runs/run-0", "runs/run-1"], report="page.html")
    page = Path(found["report"]).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert f"0.40{THIN}EUR" in page


def test_a_run_of_an_earlier_version_is_told_with_gaps(home: Path):
    old = changed(
        Run.load("runs/run-0"), "cost", to={"seconds": 3.0, "cpu_seconds": 2.0, "steps": {}}
    )
    (old.folder / "labels.parquet").unlink()
    (found,) = costs([old.folder])["runs"]
    assert (found["gpu_seconds"], found["peak_bytes"]) == (None, None)
    assert found["compute"] == pytest.approx(0.02)
    assert found["given"] == old.story["dataset"]["labelled"]
    assert CliRunner().invoke(app, ["costs", str(old.folder)]).exit_code == 0


def test_a_service_that_is_not_there_is_named(home: Path):
    from leaven.store.store import Store

    Store("runs/leaven.db").close()
    with pytest.raises(UnknownNameError, match="service"):
        costs(["tickets"])
    assert costs()["services"] == []
