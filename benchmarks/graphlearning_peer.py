"""GraphLearning as a peer: an estimator that asks another interpreter, where it is installed.

It needs a compiler to install and pins what it likes, so it has an environment of its own; the
variable GRAPHLEARNING_PYTHON names that environment's interpreter. It labels the records of its
graph and no others, so the test records are in the graph, without labels: a small favour.

    GRAPHLEARNING_PYTHON=PATH python -m benchmarks.classic ...

Run by that interpreter, this file reads `features`, `targets` (-1 where unlabelled) and `model`
from an .npz file, and writes the classes of all records beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["GraphLearning"]

_NEIGHBOURS = 10  # as in its own examples


class GraphLearning:
    """`model` is `poisson` or `laplace`, at the library's defaults on its k-nearest graph."""

    def __init__(self, model: str) -> None:
        self.model = model

    def fit(self, features: Any, targets: Any) -> GraphLearning:
        """Keep the records: there is nothing to fit before the graph is whole."""
        self._features, self._targets = features, targets
        return self

    def predict(self, features: Any) -> Any:
        """Classes of further records, from one graph of all."""
        whole = np.concatenate([self._features, features]).astype(np.float64)
        targets = np.concatenate([self._targets, np.full(len(features), -1)])
        with tempfile.TemporaryDirectory(prefix="leaven-peer-") as folder:
            job = Path(folder) / "job.npz"
            np.savez(job, features=whole, targets=targets, model=np.array(self.model))
            command = [os.environ["GRAPHLEARNING_PYTHON"], str(Path(__file__).resolve()), str(job)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            said = np.load(job.with_suffix(".said.npy"), allow_pickle=False)
        return said[len(self._features) :]


def _label(job: Path) -> None:
    import graphlearning as gl

    with np.load(job, allow_pickle=False) as file:
        features, targets, model = file["features"], file["targets"], str(file["model"])
    known = np.flatnonzero(targets >= 0)
    graph = gl.weightmatrix.knn(features, _NEIGHBOURS)
    learner = {"poisson": gl.ssl.poisson, "laplace": gl.ssl.laplace}[model](graph)
    np.save(job.with_suffix(".said.npy"), learner.fit_predict(known, targets[known]))


if __name__ == "__main__":
    _label(Path(sys.argv[1]))
