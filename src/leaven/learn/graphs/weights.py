"""How strongly near records are tied: sparse symmetric weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

__all__ = ["WEIGHTS", "affinity", "components", "degrees", "rescaled"]

Floats = npt.NDArray[np.float32]

#: How a distance becomes a weight.
WEIGHTS = ("self-tuning", "gaussian", "cosine")


def affinity(
    position: npt.NDArray[np.integer],
    distance: Floats,
    kind: str = "self-tuning",
    bandwidth: float | None = None,
) -> tuple[sparse.csr_matrix, Floats]:
    """Symmetric weights (n, n) float32, and each record's scale (n,): that of its farthest.

    `position` and squared `distance` are (n, k), of each record's neighbours. An edge is kept when
    either end names the other; nobody is tied to itself. With σ the distance to the farthest
    neighbour the weights are

    - `self-tuning`: exp(-d_ij² / (σ_i σ_j)) (Zelnik-Manor & Perona 2004, section 3);
    - `gaussian`: exp(-d_ij² / h²), h the `bandwidth`, or the median of σ;
    - `cosine`: max(0, 1 - d_ij² / 2), the cosine of features of length one.

    Edges too weak for a float32 are left out: a far record may stand alone.
    """
    n, k = position.shape
    last = distance[:, -1] if k else np.ones(n, np.float32)
    apart = last[last > 0]
    middle = float(np.median(apart)) if len(apart) else 1.0
    scale = np.sqrt(np.maximum(last, max(middle * 1e-6, 1e-12))).astype(np.float32)
    if kind == "self-tuning":
        weight = scale[position]
        weight *= scale[:, None]
        np.divide(distance, weight, out=weight)
        np.exp(-weight, out=weight)
    elif kind == "gaussian":
        weight = np.exp(distance / np.float32(-(bandwidth**2 if bandwidth else middle)))
    else:
        weight = np.maximum(1 - distance / 2, 0)
    starts = k * np.arange(n + 1, dtype=np.int32)
    named = position.reshape(-1).astype(np.int32)
    one_way = sparse.csr_matrix((weight.reshape(-1), named, starts), shape=(n, n))
    one_way.sort_indices()
    graph = one_way.maximum(one_way.T.tocsr()).tocsr()
    graph.eliminate_zeros()
    return graph, scale


def components(graph: sparse.csr_matrix) -> tuple[int, npt.NDArray[np.int32]]:
    """The number of connected parts, and the part (n,) of each record."""
    count, part = connected_components(graph, directed=False)
    return int(count), part


def degrees(graph: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """(n,) the sum of each record's weights."""
    return np.asarray(graph.sum(1, dtype=np.float64)).ravel()


def rescaled(
    graph: sparse.csr_matrix, left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> sparse.csr_matrix:
    """`left_i w_ij right_j` in float64, with the indices of `graph`."""
    data = np.repeat(left, np.diff(graph.indptr))
    data *= right[graph.indices]
    data *= graph.data
    return sparse.csr_matrix((data, graph.indices, graph.indptr), shape=graph.shape)
