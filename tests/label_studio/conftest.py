"""What the tests of Label Studio share: a small run."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_wine

from leaven.evaluate.run import Run
from tests.label_studio.typed import NAMES, command


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a table of 178 wines, of which 40 have a label."""
    home = tmp_path_factory.mktemp("run")
    X, y = load_wine(return_X_y=True)
    shown = np.random.default_rng(0).permutation(len(y))
    given = np.where(np.isin(np.arange(len(y)), shown[:40]), np.array(NAMES)[y], "")
    table = {f"x{i}": X[:, i] for i in range(4)}
    ids = [f"w{i}" for i in range(len(y))]
    pa_csv.write_csv(pa.table({"id": ids, **table, "label": given}), home / "wine.csv")
    words = ("fit", home / "wine.csv", "--method", "laplace-learning", "--out", home / "runs")
    return Run.load(command(*words)["run"]["folder"])
