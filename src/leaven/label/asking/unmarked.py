"""Questions that must not stand out among the others: where they stand in the line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["places"]


def places(waits: Sequence[float], count: int, seed: int) -> list[float]:
    """Priorities of `count` questions, anywhere among the priorities of those that wait.

    >>> all(1 <= place <= 9 for place in places([1.0, 9.0, 4.0], 100, seed=0))
    True
    """
    low, high = (min(waits), max(waits)) if waits else (0.0, float(count))
    drawn = np.random.default_rng((seed, 1)).uniform(low, high, count)
    return [float(one) for one in drawn]
