"""The budget: what it buys, what happens when the machine is slower than it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leaven import api
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.evaluate import stages
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.spending import Meter, Spent
from leaven.evaluate.stages import Cost, Pace, Stage, plan_pace, renew_pace

NONE = np.zeros(0, np.int64)


def stage(name: str, method: str, final: bool) -> Stage:
    return Stage(name, name, method, method, NONE, NONE, NONE, final)


FOLDS = [stage(f"{m}-{i}", m, False) for i in range(4) for m in ("supervised", "fixmatch")]
FINALS = [stage(f"final-{m}", m, True) for m in ("supervised", "fixmatch")]
COSTS = {"supervised": Cost(1.0, 0.01), "fixmatch": Cost(1.0, 0.04)}


@pytest.fixture
def still(monkeypatch):
    """A clock that stands at what was spent before."""
    monkeypatch.setattr(Meter, "seconds", property(lambda meter: meter._before.seconds))


def test_steps_are_so_many_that_all_fits_fill_the_budget(monkeypatch, still, tmp_path: Path):
    monkeypatch.setattr(stages, "_try", lambda name, problem, seconds: COSTS[name])
    problem: Any = None
    with RunFolder(tmp_path / "run") as folder:
        pace = plan_pace(Recipe(budget="100s"), problem, FOLDS + FINALS, folder)
        planned = sum(pace.seconds(each) or 0.0 for each in FOLDS + FINALS)
        assert planned == pytest.approx(96, abs=1.0)  # the rest is for predictions and report
        assert pace.steps(FOLDS[0]) == round(pace.final / 2)
        monkeypatch.setattr(stages, "_try", None)
        assert plan_pace(Recipe(budget="100s"), problem, FOLDS + FINALS, folder) == pace


def test_a_budget_in_steps_is_kept_to_the_step(tmp_path: Path):
    problem: Any = None
    with RunFolder(tmp_path / "run") as folder:
        pace = plan_pace(Recipe(budget="90steps"), problem, FOLDS + FINALS, folder)
    assert pace.steps(FINALS[1]) == 90
    assert pace.steps(FOLDS[1]) == 45
    assert pace.seconds(FINALS[1]) is None


def test_the_final_fits_get_what_the_folds_left_but_no_fewer_steps(still, tmp_path: Path):
    took = [
        {"method": each.method, "setup": 1.0, "steps": 100, "seconds": 1.0 + 100 * seconds}
        for each, seconds in zip(FOLDS, [0.01, 0.08] * 4, strict=True)
    ]
    with RunFolder(tmp_path / "slow") as folder:
        slow = renew_pace(Recipe(budget="50s"), Pace(200, COSTS), FINALS, took, folder)
        again = renew_pace(Recipe(budget="50s"), Pace(1, COSTS), FINALS, [{}], folder)
    # 48 s less the setup of two fits, at 0.01 + 0.08 s a step.
    assert slow.final == pytest.approx((48 - 2) / 0.09, abs=3)
    assert again == slow, "a run that is continued keeps its pace"
    with RunFolder(tmp_path / "late") as folder:
        folder._meter = Meter(Spent(49.0))
        late = renew_pace(Recipe(budget="50s"), Pace(200, COSTS), FINALS, took, folder)
    assert late.final == late.least == 100


def test_the_last_fit_is_shortened_only_when_it_would_be_late():
    def kept(left: float, each: float) -> int:
        state: Any = SimpleNamespace(step=100, total=1000)
        stages._keep_to(left, each, state, 300)
        total: int = state.total
        return total

    assert kept(left=90.0, each=0.1) == 1000
    assert kept(left=90.0, each=0.102) == 1000, "a little slower is no reason"
    assert kept(left=90.0, each=0.2) == 550
    assert kept(left=1.0, each=0.2) == 300, "never under the steps of the folds"


def test_late_folds_are_left_out_and_it_is_said(monkeypatch, tmp_path: Path):
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = rng.normal(size=(160, 4)) + 2 * y[:, None]
    y[48:] = -1
    real = RunFolder.elapsed.fget
    assert real is not None
    monkeypatch.setattr(stages, "_try", None)  # methods without steps need not be tried
    # A machine on which everything after the first fold comes far too late.
    monkeypatch.setattr(
        RunFolder,
        "elapsed",
        property(
            lambda folder: real(folder) + 600 * (folder.work / "fold-0-label-spreading").exists()
        ),
    )
    dataset = Dataset.from_arrays(x, y)
    run = api.fit(dataset, method="label-spreading", budget="300s", out=tmp_path)
    assert run.story["split"]["folds"] == 1
    assert "enough for 1 of 4 folds" in run.story["split"]["reason"]
    assert run.verdict.n == 12
    whole = run.predict(x)
    assert whole.shape == (160, 2)
    assert np.isfinite(whole).all()


def test_too_few_steps_are_said(tmp_path: Path):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = rng.normal(size=(80, 4)) + 2 * y[:, None]
    y[24:] = -1
    run = api.fit(Dataset.from_arrays(x, y), method="fixmatch", budget="5steps", out=tmp_path)
    assert any("only 5 steps of fixmatch" in line for line in run.story["next"])


@pytest.mark.parametrize("even", [True, False])
def test_who_labelled_as_many_of_each_class_is_told_what_nobody_knows_then(
    even: bool, tmp_path: Path
):
    rng = np.random.default_rng(0)
    y = np.arange(300) % 2
    x = rng.normal(size=(300, 4)) + 0.3 * y[:, None]
    y[8:] = -1
    if not even:
        y[8:20] = 0
    run = api.fit(Dataset.from_arrays(x, y), method="label-spreading", out=tmp_path)
    assert any("--share CLASS=" in line for line in run.story["next"]) == even
