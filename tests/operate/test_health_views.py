"""Whether two views of one record get the same answer, on records that are at hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from leaven import releasing
from leaven.cli import app
from leaven.core.errors import DataError
from leaven.evaluate.run import Run
from leaven.health import health
from leaven.operate.health import views as module
from leaven.operate.health.views import agreeing, views


@pytest.fixture(scope="module")
def given(wine: Run) -> pd.DataFrame:
    """The run's own records, without labels."""
    return pd.read_csv(wine.story["dataset"]["source"]).drop(columns="label")


@pytest.fixture(scope="module")
def between(wine: Run, given: pd.DataFrame) -> pd.DataFrame:
    """Records near to where the answer turns, by the model's own word."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(6000, given.shape[1])) * given.std().to_numpy()
    made = pd.DataFrame(drawn + given.mean().to_numpy(), columns=given.columns)
    return made.iloc[np.argsort(wine.predict(made).max(1))[:600]]


def test_records_as_the_run_s_own_agree_as_often_and_others_less(
    wine: Run, given: pd.DataFrame, between: pd.DataFrame
):
    same = views(wine, wine.dataset(given.sample(600, replace=True, random_state=1)))
    assert same.verdict != "alarm"
    assert same.n == 600
    assert same.low < same.reference < same.high
    found = views(wine, wine.dataset(between))
    assert found.verdict == "alarm", found.sentence
    assert found.high < same.low
    assert "label some" in found.advice


def test_what_is_drawn_repeats_and_is_no_more_than_allowed(
    wine: Run, given: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    data = wine.dataset(given)
    monkeypatch.setattr(module, "_MOST", 50)
    first, again, other = (agreeing(wine.predictor, data, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert len(first) == 50
    assert set(first.tolist()) <= {0.0, 1.0}


def test_what_is_not_at_hand_or_cannot_be_read_is_told(
    wine: Run, given: pd.DataFrame, tmp_path: Path
):
    shutil.copytree(wine.folder, tmp_path / "run")
    story = json.loads((tmp_path / "run" / "run.json").read_text())
    for source, why in (("/nowhere/wine.csv", "not at"), (str(tmp_path / "w.csv"), "have changed")):
        story["dataset"]["source"] = source
        (tmp_path / "run" / "run.json").write_text(json.dumps(story))
        given.assign(label="barolo").to_csv(tmp_path / "w.csv", index=False)
        found = views(Run.load(tmp_path / "run"), wine.dataset(given))
        assert (found.verdict, why in found.sentence) == ("cannot be told", True)
    with pytest.raises(DataError, match="can be read"):
        views(wine, wine.dataset(given).select(np.zeros(0, np.int64)))


def test_the_command_asks_about_records_that_are_named(
    wine: Run, between: pd.DataFrame, tmp_path: Path
):
    store, new = str(tmp_path / "leaven.db"), tmp_path / "new.csv"
    between.to_csv(new, index=False)
    releasing.release(wine, by="ann", override="for a test", store=store)
    assert "agreement of views" not in {one["name"] for one in health(store=store)["signals"]}
    page = tmp_path / "page.html"
    asked = ["health", "--store", store, "--records", str(new), "--report", str(page)]
    result = CliRunner().invoke(app, [*asked, "--require", "good"])
    assert result.exit_code == 1
    assert "agreement of views" in result.output
    assert "alarm" in result.output
    assert "agreement of views" in page.read_text()
    result = CliRunner().invoke(app, ["health", "--store", store, "--records", "none.csv"])
    assert result.exit_code == 2
    assert "none.csv" in result.output
