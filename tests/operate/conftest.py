"""A run that the tests of this folder share, and a loop on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_wine

import leaven
from leaven.evaluate.run import Run
from leaven.store.store import Store
from tests.operate.loop_world import World


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a table, which nobody changes: whoever must, copies its folder."""
    home = tmp_path_factory.mktemp("wine")
    X, y = load_wine(return_X_y=True)
    shown = np.random.default_rng(0).permutation(len(y))[:40]
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    given = np.where(np.isin(np.arange(len(y)), shown), names, "")
    table = {f"x{i}": X[:, i] for i in range(X.shape[1])} | {"label": given}
    pa_csv.write_csv(pa.table(table), home / "wine.csv")
    return leaven.fit(home / "wine.csv", method="label-spreading", out=home / "runs")


@pytest.fixture
def lite(tmp_path: Path, whole_sqlite: Path) -> Store:
    """A store in a file; what both databases must do alike is tested elsewhere with both."""
    file = tmp_path / "leaven.db"
    file.write_bytes(whole_sqlite.read_bytes())
    return Store(file)


@pytest.fixture
def world(lite: Store, wine: Run, tmp_path: Path) -> World:
    """A loop of the run's data, in which nothing has happened."""
    return World(lite, wine, tmp_path)
