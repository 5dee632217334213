"""What the tests of wrappers share: made records, and a generator run to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Wrap = Callable[..., Any]


def finished(rounds: Any) -> tuple[Any, list[Any]]:
    """What a generator returns, and what it yielded."""
    seen = []
    while True:
        try:
            seen.append(next(rounds))
        except StopIteration as done:
            return done.value, seen


def clouds(
    seed: int = 0, per: int = 3, others: int = 30, width: int = 6, far: float = 3.0
) -> tuple[Floats, Any, Any]:
    """Three round clouds in any order: records, targets with -1, the truth."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(3), per + others)
    X = rng.normal(size=(len(truth), width))
    X[np.arange(len(truth)), truth % width] += far * (1 - 2 * (truth >= width))
    targets = np.where(np.tile(np.arange(per + others) < per, 3), truth, -1)
    order = rng.permutation(len(truth))
    return X[order], targets[order], truth[order]
