"""Runs and records that the tests of scoring share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import leaven
from leaven.evaluate.run import Run
from tests.serve.models.released import texts

__all__ = ["cells", "cellar", "other", "texts"]


@pytest.fixture(scope="session")
def cells(wine: Run) -> pd.DataFrame:
    """900 records of the kind that the run reads, with names; some repeat others."""
    given = pd.read_csv(wine.story["dataset"]["source"])
    drawn = given.sample(900, replace=True, random_state=0).reset_index(drop=True)
    moved = np.random.default_rng(0).normal(size=900).round(3)
    drawn["x0"] = drawn["x0"] + np.where(np.arange(900) % 3 > 0, moved, 0)
    drawn["name"] = [f"b{i}" for i in range(900)]
    return drawn.drop(columns="label")


@pytest.fixture(scope="session")
def cellar(cells: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("cellar") / "cellar.csv"
    cells.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def other(wine: Run) -> Run:
    """Another run of the same data."""
    return leaven.fit(
        wine.story["dataset"]["source"],
        method="logistic",
        out=Path(wine.folder).parent,
        budget="5s",
    )
