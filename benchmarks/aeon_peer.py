"""aeon's MiniRocket with a ridge classifier as a peer, of this interpreter or of another one.

aeon brings numba and others, so it may have an environment of its own: the variable AEON_PYTHON
names that environment's interpreter, which then runs this file. The transform is fitted on the
labelled series alone, as its authors' classifier does; the ridge's penalty is chosen by its own
leave-one-out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

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
    with tempfile.TemporaryDirectory(prefix="leaven-peer-") as folder:
        job = Path(folder) / "job.npz"
        np.savez(job, train=train[labelled], targets=targets, test=test, seed=np.array(seed))
        command = [os.environ["AEON_PYTHON"], str(Path(__file__).resolve()), str(job)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return np.load(job.with_suffix(".said.npy"), allow_pickle=False)


def _classes(train: Any, targets: Any, test: Any, seed: int) -> Any:
    from aeon.transformations.collection.convolution_based import MiniRocket
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    transform = MiniRocket(random_state=seed)
    # aeon's own classifier: StandardScaler(with_mean=False), RidgeClassifierCV of these penalties.
    ridge = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    learner = make_pipeline(StandardScaler(with_mean=False), ridge)
    learner.fit(transform.fit_transform(train), targets)
    return learner.predict(transform.transform(test))


def _answer(job: Path) -> None:
    """Read `train`, `test`, `targets` and `seed`, and write the classes beside them."""
    with np.load(job, allow_pickle=False) as file:
        train, targets, test, seed = (file[name] for name in ("train", "targets", "test", "seed"))
    np.save(job.with_suffix(".said.npy"), _classes(train, targets, test, int(seed)))


if __name__ == "__main__":
    _answer(Path(sys.argv[1]))
