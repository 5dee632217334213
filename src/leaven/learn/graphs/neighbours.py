"""Who is near whom."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

__all__ = ["nearest"]

Floats = npt.NDArray[np.float32]


def nearest(features: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k nearest other records of each: positions (n, k) and squared distances (n, k).

    Every pair is compared. A record is never its own neighbour, even among exact copies of
    itself. `k` is cut to n - 1.
    """
    n, width = features.shape
    k = min(k, n - 1)
    features = np.ascontiguousarray(features, np.float32)
    index: Any = faiss.IndexFlatL2(width)
    index.add(features)
    distance, position = index.search(features, k + 1)
    # Among copies, a record may not come first in its own list, or not at all; then the last
    # one found goes instead.
    own = position == np.arange(n)[:, None]
    own[~own.any(1), -1] = True
    keep = ~own & (np.cumsum(~own, axis=1) <= k)
    return position[keep].reshape(n, k), np.maximum(distance[keep].reshape(n, k), 0)
