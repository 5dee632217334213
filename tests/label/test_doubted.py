"""Labels that are probably wrong: planted ones are found, and how many of the list are is said."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import leaven
from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.label.asking.rechecking import doubt

PLANTED = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Dataset, set[str]]:
    """A run of 240 labelled digits, a tenth of them with a wrong label."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(y))[:400]
    X, labels = X[rows], y[rows].copy()
    wrong = rng.choice(240, PLANTED, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, PLANTED)) % 10
    labels[240:] = -1
    ids = [f"d{i}" for i in range(400)]
    dataset = Dataset.from_arrays(X, labels, ids=ids)
    out = tmp_path_factory.mktemp("runs")
    run = leaven.fit(dataset, method="logistic", budget="20steps", out=out)
    return run, dataset, {ids[i] for i in wrong}


def test_planted_labels_are_found(made: tuple[Run, Dataset, set[str]]):
    run, dataset, wrong = made
    found = doubt(run, dataset, 50)
    names = [one.record for one in found.asks]
    hits = sum(name in wrong for name in names)
    assert len(set(names)) == len(names)
    assert hits >= 0.5 * PLANTED
    assert found.precision is not None
    assert found.precision.low <= hits / len(names) <= found.precision.high
    first = found.asks[0]
    assert first.kind == "suspect"
    given = first.origin["given"]
    assert first.reason.startswith(f"Labelled {given}; ")
    assert first.guess[0][0] != given
    assert [one.priority for one in found.asks] == sorted(
        (one.priority for one in found.asks), reverse=True
    )


def test_what_was_asked_is_not_asked_again(made: tuple[Run, Dataset, set[str]]):
    run, dataset, _ = made
    first = [one.record for one in doubt(run, dataset, 5).asks]
    again = [one.record for one in doubt(run, dataset, 5, waiting=first).asks]
    assert not set(first) & set(again)


def test_too_few_labels_are_told(made: tuple[Run, Dataset, set[str]]):
    run, dataset, _ = made
    few = dataset.select(np.r_[0:30, 240:400])
    with pytest.raises(DataError, match="it takes 60"):
        doubt(run, few, 5)
