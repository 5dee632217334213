"""GraphLearning as a peer: an estimator that asks another interpreter, where it is installed.

It needs a compiler to install and pins what it likes, so it has an environment of its own; the
variable GRAPHLEARNING_PYTHON names that environment's interpreter. It labels the records of its
graph and no others, so the test records are in the graph, without labels: a small favour.

    GRAPHLEARNING_PYTHON=PATH python -m benchmarks.classic ...
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.other_python import answer, ask

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
        said = ask(
            "GRAPHLEARNING_PYTHON", __name__, features=whole, targets=targets, model=self.model
        )
        return said[len(self._features) :]


def _label(features: Any, targets: Any, model: Any) -> Any:
    """Classes of all records, the known ones with them."""
    import graphlearning as gl

    known = np.flatnonzero(targets >= 0)
    graph = gl.weightmatrix.knn(features, _NEIGHBOURS)
    learner = {"poisson": gl.ssl.poisson, "laplace": gl.ssl.laplace}[str(model)](graph)
    return learner.fit_predict(known, targets[known])


if __name__ == "__main__":
    answer(_label)
