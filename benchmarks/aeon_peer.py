"""aeon's MiniRocket with a ridge classifier as a peer, of this interpreter or of another one.

aeon brings numba and others, so it may have an environment of its own: the variable AEON_PYTHON
names that environment's interpreter, which then runs this file. The transform is fitted on the
labelled series alone, as its authors' classifier does; the ridge's penalty is chosen by its own
leave-one-out.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.other_python import answer, ask

__all__ = ["MiniRocketRidge", "aeon_says"]


class MiniRocketRidge:
    """An estimator of series (n, channels, steps)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fit(self, series: Any, targets: Any) -> MiniRocketRidge:
        """Keep the labelled series, for the other interpreter is asked once."""
        self._series, self._targets = series, targets
        return self

    def predict(self, series: Any) -> Any:
        """Classes of further series; ModuleNotFoundError where there is no aeon."""
        if "AEON_PYTHON" in os.environ:
            every = np.arange(len(self._series))
            return aeon_says(self._series, every, self._targets, series, self._seed)
        return _classes(self._series, self._targets, series, self._seed)


def aeon_says(train: Any, labelled: Any, targets: Any, test: Any, seed: int) -> Any:
    """(n,) classes of the test series; RuntimeError where the peer fails."""
    return ask(
        "AEON_PYTHON", __name__, train=train[labelled], targets=targets, test=test, seed=seed
    )


def _classes(train: Any, targets: Any, test: Any, seed: Any) -> Any:
    from aeon.transformations.collection.convolution_based import MiniRocket
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    transform = MiniRocket(random_state=int(seed))
    # aeon's own classifier: StandardScaler(with_mean=False), RidgeClassifierCV of these penalties.
    ridge = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    learner = make_pipeline(StandardScaler(with_mean=False), ridge)
    learner.fit(transform.fit_transform(train), targets)
    return learner.predict(transform.transform(test))


if __name__ == "__main__":
    answer(_classes)
