"""A larger run behind a small one answers what that is not sure of, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from leaven import serving
from leaven.core.errors import RunError
from leaven.data.dataset import Dataset
from leaven.evaluate.cascade import Cascade as Planned
from leaven.evaluate.cascade import by_share
from leaven.evaluate.run import Run
from leaven.operate.registry import Registry
from leaven.serve.models.limits import Limits
from leaven.serve.models.loading import load
from leaven.serve.models.routing import Cascade, Named
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from tests.serve.models.released import fitted, release, said, served

ASKED = said(24, seed=5)[0]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the same kind of texts, that knows the labels of all."""
    x, y = said(150, seed=3)
    return fitted(Dataset.from_arrays(x, y, name="more"), tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def behind(texts: Run, large: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Cascade]:
    """A store with the small run live, and a plan by which half of the records are left over."""
    home = tmp_path_factory.mktemp("cascade")
    store = str(home / "leaven.db")
    release(texts, store)
    told = by_share(texts.predict(ASKED).max(1), 0.5)
    Planned(texts, large, told).save(home / "plan.json")
    return store, serving._cascade(Store(store), home / "plan.json")


def test_the_larger_run_answers_what_the_small_one_is_not_sure_of(
    texts: Run, large: Run, behind: tuple[str, Cascade]
):
    store, cascade = behind
    small, more = texts.predict(ASKED), large.predict(ASKED)
    more = more[:, [large.classes.index(name) for name in texts.classes]]
    unsure = small.max(1) < cascade.sure
    assert 0 < unsure.sum() < len(ASKED)
    with served(store, cascade=cascade) as client:
        told = client.post("/predict", json={"records": [{"text": text} for text in ASKED]})
        found = told.json()
        status = client.get("/status").json()
        metrics = client.get("/metrics").text
        assert client.service.log.flush(10)
    said_ = [list(one["probabilities"].values()) for one in found["predictions"]]
    assert np.abs(np.array(said_) - np.where(unsure[:, None], more, small)).max() < 1e-4
    assert [one["larger"] for one in found["predictions"]] == unsure.tolist()
    assert found["run"] == cascade.small, "the plan belongs to the release"
    assert status["live"]["larger"] == cascade.run
    query = select(predictions.c.run, predictions.c.larger).order_by(predictions.c.id)
    with Store(store).read() as connection:
        logged = [tuple(row) for row in connection.execute(query)]
    assert logged == [(cascade.small, cascade.run if one else None) for one in unsure]
    (counted,) = re.findall(r"leaven_predictions_larger_total{(.*)} (\d+)", metrics)
    assert f'larger="{cascade.run}"' in counted[0]
    assert int(counted[1]) == unsure.sum()


def test_without_a_plan_and_behind_another_run_nothing_changes(
    texts: Run, behind: tuple[str, Cascade]
):
    store, cascade = behind
    for other in (None, replace(cascade, small="another run")):
        with served(store, cascade=other) as client:
            found = client.ask().json()
        assert "larger" not in found["predictions"][0]


def test_a_larger_run_that_does_not_fit_is_refused(
    texts: Run, table: Run, behind: tuple[str, Cascade]
):
    store, cascade = behind
    small = load(Registry(Store(store)), Named(cascade.small, _digest(store, texts)), Limits())
    found = Registry(Store(store)).add(table, person="ann")
    other = load(Registry(Store(store)), Named(found.run, found.digest), Limits())
    with pytest.raises(RunError, match="other classes or columns"):
        small.back(other, 0.9)


def _digest(store: str, run: Run) -> str:
    return Registry(Store(store)).get(str(run.story["run"]["id"])).digest


def test_a_plan_of_another_model_is_refused(behind: tuple[str, Cascade], tmp_path: Path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(RunError, match="no plan of a cascade"):
        serving._cascade(Store(behind[0]), tmp_path / "plan.json")
