"""How strongly near records are tied: sparse symmetric weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["affinity"]

Floats = npt.NDArray[np.float32]


def affinity(position: npt.NDArray[np.int64], distance: Floats) -> tuple[sparse.csr_matrix, Floats]:
    """Symmetric self-tuning weights (n, n), and each record's scale (n,).

    w_ij = exp(-d_ij² / (σ_i σ_j)), σ the distance to the farthest of a record's k neighbours
    (Zelnik-Manor & Perona 2004, section 3); an edge is kept when either end names the other.
    """
    n, k = position.shape
    floor = max(float(np.median(distance[:, -1])) * 1e-6, 1e-12)
    scale = np.sqrt(np.maximum(distance[:, -1], floor))
    weight = np.exp(-distance / (scale[:, None] * scale[position]))
    rows = np.repeat(np.arange(n), k)
    graph = sparse.csr_matrix((weight.ravel(), (rows, position.ravel())), shape=(n, n))
    return graph.maximum(graph.T).tocsr(), scale.astype(np.float32)
