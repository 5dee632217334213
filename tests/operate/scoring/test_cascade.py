"""A small model first, a large one where it is unsure: what that loses is shown, not hoped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.core.errors import DataError, RunError, SettingError
from leaven.evaluate.cascade import Cascade, Evidence, Threshold, by_loss, by_share, unsure
from leaven.evaluate.run import Run
from leaven.scoring import cascade, predict_file


def evidence(n: int, seed: int = 0) -> Evidence:
    """A calibrated small model and a large one that is right nine times in ten."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, n)
    return Evidence(confidence, rng.random(n) < confidence, rng.random(n) < 0.9, "made")


def test_the_loss_that_was_allowed_is_kept_on_new_records():
    """At most one try in twenty may lose more than was said; the bound is tried on new records."""
    fresh = evidence(200_000, seed=999)
    tries, broken, shares = 100, 0, []
    for seed in range(tries):
        found = by_loss(evidence(1500, seed), 0.03)
        alone = fresh.confidence >= found.value
        broken += (alone & fresh.large & ~fresh.small).mean() > 0.03
        shares.append(found.share)
        assert found.at_most is not None
        assert found.at_most <= 0.03
    assert broken <= 10
    assert np.mean(shares) < 0.8, "the small model answers some"


def test_what_cannot_be_shown_is_not_said():
    with pytest.raises(DataError, match="299 can"):
        by_loss(evidence(200), 0.01)
    bad = Evidence(np.linspace(0.9, 1, 400), np.zeros(400, bool), np.ones(400, bool), "made")
    with pytest.raises(DataError, match="Even where it is surest"):
        by_loss(bad, 0.01)
    for lose in (0, 1, -0.1):
        with pytest.raises(SettingError, match="lose"):
            by_loss(evidence(100), lose)


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_a_budget_sends_its_share(share: float):
    confidence = np.random.default_rng(0).random(1000)
    found = by_share(confidence, share)
    assert (confidence < found.value).mean() == pytest.approx(share, abs=0.002)
    assert found.lost is None
    assert by_share(confidence, share, evidence(500)).both is not None


def test_a_cascade_answers_each_record_by_one_model(
    wine: Run, other: Run, cells: pd.DataFrame, cellar: Path, tmp_path: Path
):
    plan = tmp_path / "plans" / "cascade.json"
    told = cascade(wine, other, plan, share=0.3)
    assert told["source"] == "out of fold"
    predict_file(plan, cellar, tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")[[f"p_{name}" for name in wine.classes]].to_numpy()
    first, second = wine.predict(cells), other.predict(cells)
    rows = unsure(first, told["value"])
    assert 0 < rows.sum() < 900
    columns = [other.classes.index(name) for name in wine.classes]
    np.testing.assert_allclose(found[~rows], first[~rows], atol=1e-6)
    np.testing.assert_allclose(found[rows], second[rows][:, columns], atol=1e-6)


def test_labelled_records_of_its_own_may_choose(wine: Run, other: Run, tmp_path: Path):
    told = cascade(wine, other, tmp_path / "c.json", lose=0.2, data=labelled(wine, tmp_path))
    assert told["source"] == "labelled records that neither run had seen"
    assert told["n"] == 138, "those that taught are left out"
    assert told["at_most"] <= 0.2


def labelled(run: Run, folder: Path) -> Path:
    """All records of the run's data with a label: what the model of another kind says."""
    from sklearn.datasets import load_wine

    given = pd.read_csv(run.story["dataset"]["source"])
    given["label"] = np.array(["barolo", "grignolino", "barbera"])[load_wine().target]
    given.to_csv(folder / "labelled.csv", index=False)
    return folder / "labelled.csv"


def test_a_plan_is_refused_whose_models_changed_or_do_not_fit(
    wine: Run, other: Run, texts: Run, tmp_path: Path
):
    with pytest.raises(DataError, match="other classes"):
        cascade(wine, texts, tmp_path / "c.json", share=0.5)
    with pytest.raises(SettingError, match="Choose one"):
        cascade(wine, other, tmp_path / "c.json", share=0.5, lose=0.1)
    with pytest.raises(DataError, match="40 records cannot show"):
        cascade(wine, other, tmp_path / "c.json")
    plan = tmp_path / "c.json"
    cascade(wine, other, plan, share=0.5)
    told = json.loads(plan.read_text())
    plan.write_text(json.dumps(told | {"large": told["large"] | {"digest": "0"}}))
    with pytest.raises(RunError, match="another than the one"):
        Cascade.load(plan)
    plan.write_text("[]")
    with pytest.raises(RunError, match="no plan of a cascade"):
        predict_file(plan, wine.story["dataset"]["source"], tmp_path / "p.csv")


def test_a_run_with_a_holdout_has_nothing_to_choose_by(wine: Run, other: Run, tmp_path: Path):
    held = Run(wine.folder, wine.story | {"split": {"rule": "holdout"}})
    with pytest.raises(DataError, match="kept its holdout to judge by"):
        cascade(held, other, tmp_path / "c.json", lose=0.3)
    told = cascade(held, other, tmp_path / "c.json", share=0.25)
    assert (told["both"], told["share"]) == (None, pytest.approx(0.25, abs=0.01))
    assert (
        "go to the large one"
        in Threshold(**{k: told[k] for k in Threshold.__annotations__}).sentence
    )
