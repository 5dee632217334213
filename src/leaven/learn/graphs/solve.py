"""Sparse systems of labels that flow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

__all__ = ["spread"]


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
