"""Sparse symmetric systems, for all classes at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from leaven.learn.graphs.parallel import side_by_side

__all__ = ["Columns", "Floats", "Solved", "by_columns", "solve", "times"]

Floats = npt.NDArray[np.float64]
Columns = npt.NDArray[np.int64]

_WIDTH = 8  # classes solved as one block, at most
_ENTRIES = 16_000_000  # … and numbers of a block


@dataclass(frozen=True)
class Solved:
    """`values` (n, classes), the steps that it took, and what was left.

    `residual` is |b - A x| / |b|, computed anew at the end: the largest of the classes.
    """

    values: Floats
    iterations: int
    residual: float


def solve(
    matrix: sparse.csr_matrix, right: Floats, tolerance: float = 1e-6, most: int = 2000
) -> Solved:
    """A x = b for every column of `right` (n, c), A symmetric and positive semidefinite.

    Conjugate gradients with the diagonal as preconditioner (Hestenes & Stiefel 1952; Saad 2003,
    algorithm 9.1): one product of matrix and block a step, each class with scalars of its own,
    until every class is within `tolerance` or `most` steps are taken. Rows without a diagonal
    stay at zero; a singular matrix is no trouble while the right-hand side is in its range.
    """
    diagonal = matrix.diagonal()
    inverse = np.divide(1.0, diagonal, out=np.zeros(len(diagonal)), where=diagonal > 0)
    product, scaled = times(matrix), torch.from_numpy(inverse)[:, None]

    def part(columns: Columns) -> tuple[Tensor, int, float]:
        return _gradients(
            product, scaled, torch.from_numpy(np.take(right, columns, 1)), tolerance, most
        )

    return by_columns(part, *right.shape)


def by_columns(
    work: Callable[[Columns], tuple[Tensor, int, float]], records: int, classes: int
) -> Solved:
    """What `work` finds for some classes at a time: their values, steps and residual.

    Blocks of classes are worked on side by side; which classes share one depends on their number
    alone.
    """
    width = min(_WIDTH, max(_ENTRIES // max(records, 1), 1), max(math.ceil(classes / 2), 1))
    blocks = np.array_split(np.arange(classes), math.ceil(classes / width))
    values = np.empty((records, classes))

    def fill(columns: Columns) -> tuple[int, float]:
        found, taken, left = work(columns)
        values[:, columns] = found.numpy()
        return taken, left

    told = side_by_side(fill, blocks)
    return Solved(values, max(t for t, _ in told), max(left for _, left in told))


def times(matrix: sparse.csr_matrix) -> Callable[[Tensor], Tensor]:
    """The product of a sparse matrix with (n, c) float64 blocks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        kept = torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr),
            torch.from_numpy(matrix.indices),
            torch.from_numpy(matrix.data.astype(np.float64)),
            size=matrix.shape,
            check_invariants=False,
        )
    return lambda block: kept @ block


def _gradients(
    product: Callable[[Tensor], Tensor],
    inverse: Tensor,
    right: Tensor,
    tolerance: float,
    most: int,
) -> tuple[Tensor, int, float]:
    """The block's solution, steps and residual."""
    values, rest = torch.zeros_like(right), right.clone()
    size = right.norm(dim=0)
    way = inverse * rest
    power = (rest * way).sum(0)
    taken = 0
    while taken < most and bool((rest.norm(dim=0) > tolerance * size).any()):
        ahead = product(way)
        step = _ratio(power, (way * ahead).sum(0))
        values.addcmul_(way, step)
        rest.addcmul_(ahead, step, value=-1)
        before = power
        torch.mul(rest, inverse, out=ahead)  # what was multiplied is no longer needed
        power = (rest * ahead).sum(0)
        way.mul_(_ratio(power, before)).add_(ahead)
        taken += 1
    left = _ratio((right - product(values)).norm(dim=0), size)
    return values, taken, float(left.max()) if left.numel() else 0.0


def _ratio(upper: Tensor, lower: Tensor) -> Tensor:
    """The quotient, zero where the lower is: a class that is solved moves no more."""
    return torch.where(lower > 0, upper / torch.where(lower > 0, lower, 1), 0)
