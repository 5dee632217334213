"""Neighbour graphs: who is near whom, how strongly, and what labels flow along."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

__all__ = ["affinity", "nearest", "spread"]

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


def spread(
    graph: sparse.csr_matrix, seeds: npt.NDArray[np.float64], alpha: float, tolerance: float = 1e-6
) -> npt.NDArray[np.float64]:
    """Label spreading: (I - alpha·S)⁻¹ seeds, with S = D^-½ W D^-½ (Zhou et al. 2004, eq. 4).

    `seeds` is (n, k), zero where unlabelled. Conjugate gradients on the sparse system, one class
    at a time; the matrix is positive definite for alpha < 1. Isolated records stay at their seed.
    """
    degree = np.asarray(graph.sum(1)).ravel()
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    smooth = sparse.diags(root) @ graph @ sparse.diags(root)
    system = LinearOperator(graph.shape, matvec=lambda v: v - alpha * (smooth @ v), dtype=float)
    result = np.empty_like(seeds)
    for column in range(seeds.shape[1]):
        result[:, column], _ = cg(system, seeds[:, column], rtol=tolerance, maxiter=1000)
    return result
