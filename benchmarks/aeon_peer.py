"""aeon's MiniRocket with a ridge classifier as a peer: asked of another interpreter.

aeon brings numba and others, so it has an environment of its own; the variable AEON_PYTHON names
that environment's interpreter. Run by it, this file reads `train`, `test` (n, channels, steps),
`labelled` (positions in train) and `targets` from an .npz file, and writes the classes of the test
series beside it. The transform is fitted on the labelled series alone, as its authors' classifier
does; the ridge's penalty is chosen by its own leave-one-out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["aeon_says"]


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


def _classify(job: Path) -> None:
    from aeon.transformations.collection.convolution_based import MiniRocket
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with np.load(job, allow_pickle=False) as file:
        train, targets, test, seed = (file[name] for name in ("train", "targets", "test", "seed"))
    transform = MiniRocket(random_state=int(seed))
    # aeon's own classifier: StandardScaler(with_mean=False), RidgeClassifierCV of these penalties.
    ridge = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    learner = make_pipeline(StandardScaler(with_mean=False), ridge)
    learner.fit(transform.fit_transform(train), targets)
    np.save(job.with_suffix(".said.npy"), learner.predict(transform.transform(test)))


if __name__ == "__main__":
    _classify(Path(sys.argv[1]))
