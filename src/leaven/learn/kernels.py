"""Kernels, and the features that stand for them: a kernel machine fitted as a linear one.

A kernel machine on n records needs an n x n matrix. Held to the span of m landmarks, it is a linear
machine on r <= m features whose inner products are the kernel's projection upon that span (the
Nystroem method, Williams & Seeger 2001; as an optimisation, the subset of regressors). Where every
record is a landmark, nothing is lost: the representer theorem puts the solution into that span.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

from leaven.core.errors import SettingError, UnknownNameError

__all__ = ["KERNELS", "Basis", "Kernel", "basis_of", "centre_and_variance"]

Floats = npt.NDArray[np.floating[Any]]

KERNELS = ("linear", "rbf", "poly")

#: Directions of the landmarks' span with less than this share of the strongest are left out.
_WEAKEST = 1e-10
_BLOCK = 4096  # records whose kernel values are in memory at a time


@dataclass(frozen=True)
class Kernel:
    """`linear`: x·z. `rbf`: exp(-gamma |x - z|²). `poly`: (gamma x·z + 1)^degree."""

    name: str
    gamma: float = 1.0
    degree: int = 3

    def between(self, one: Any, other: Any) -> npt.NDArray[np.float64]:
        """(n, m) float64 values of records (n, d) and (m, d), dense or scipy-sparse."""
        one, other = one.astype(np.float64), other.astype(np.float64)
        if self.name == "rbf":
            values: Any = rbf_kernel(one, other, gamma=self.gamma)
        elif self.name == "poly":
            values = polynomial_kernel(one, other, self.degree, self.gamma, coef0=1.0)
        else:
            values = one @ other.T
            values = values.toarray() if sparse.issparse(values) else values
        return np.asarray(values)


@dataclass(frozen=True)
class Basis:
    """From records to the features that a linear machine is fitted on, and back.

    Without `landmarks` (the linear kernel) the features are the records less `centre` (d,), over
    `scale`. With landmarks (m, d) they are the kernel values times `turn` (m, r).
    """

    kernel: Kernel
    centre: npt.NDArray[np.float64]
    scale: float
    landmarks: Any = None
    turn: Any = None

    def features(self, records: Any) -> Any:
        """(n, d) records to (n, r), dense or sparse as they came, float32 if they were.

        In blocks: of the records' kernel values only some thousand rows are in memory.
        """
        kind = np.float32 if records.dtype == np.float32 else np.float64
        if self.landmarks is None:
            if sparse.issparse(records):
                return (records / self.scale).astype(kind).tocsr()
            return ((records - self.centre) / self.scale).astype(kind)
        found = np.empty((records.shape[0], self.turn.shape[1]), kind)
        for part in _blocks(records.shape[0]):
            found[part] = self.kernel.between(records[part], self.landmarks) @ self.turn
        return found

    def unfold(self, weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """A machine on the features, weight (r, k) and bias (k,), as one on the records.

        Coefficients (d, k) of the records themselves, or (m, k) of their kernel values; bias (k,).
        """
        if self.landmarks is None:
            coefficients = weight / self.scale
            return coefficients, bias - self.centre @ coefficients
        return self.turn @ weight, bias


def basis_of(
    records: Any,
    labelled: npt.NDArray[np.bool_],
    *,
    kernel: str = "linear",
    gamma: float = 0.0,
    degree: int = 3,
    landmarks: int = 500,
    seed: int = 0,
) -> Basis:
    """The basis for records (n, d), of which `labelled` (n,) are.

    Linear features are brought to a mean squared length of one about their mean, so that a penalty
    means the same in any unit; sparse ones are not moved. `gamma` zero is one over that mean
    squared length: for d features of variance v, 1/(d v). Of more records than `landmarks` that
    many are drawn, the labelled ones first, up to half.

    Raises UnknownNameError for an unknown kernel, SettingError for impossible numbers.
    """
    if kernel not in KERNELS:
        raise UnknownNameError("kernel", kernel, KERNELS)
    for name, value, least in (("degree", degree, 1), ("landmarks", landmarks, 1)):
        if value < least:
            raise SettingError(name, f"a whole number of at least {least}", value)
    if not 0 <= gamma < np.inf:
        raise SettingError("gamma", "a positive number, or 0 for the scale of the records", gamma)
    centre, variance = centre_and_variance(records)
    chosen = Kernel(kernel, gamma or (1 / variance if variance else 1.0), degree)
    if kernel == "linear":
        moved = np.zeros_like(centre) if sparse.issparse(records) else centre
        return Basis(chosen, moved, float(np.sqrt(variance)) or 1.0)
    marks = records[_drawn(labelled, landmarks, seed)]
    strength, direction = np.linalg.eigh(chosen.between(marks, marks))
    kept = strength > _WEAKEST * strength[-1]
    turn = direction[:, kept] / np.sqrt(strength[kept])
    return Basis(chosen, np.zeros_like(centre), 1.0, marks, turn)


def centre_and_variance(records: Any) -> tuple[npt.NDArray[np.float64], float]:
    """The mean (d,) of records (n, d), and their mean squared distance from it."""
    n, width = records.shape
    total, squares = np.zeros(width), 0.0
    sparsely = sparse.issparse(records)
    if sparsely:
        centre = np.asarray(records.mean(0, dtype=np.float64)).ravel()
        squares = float((records.data.astype(np.float64) ** 2).sum()) / n
        variance = squares - float(centre @ centre)
        return centre, variance if variance > 1e-12 * squares else 0.0
    for part in _blocks(n):
        total += records[part].sum(0, dtype=np.float64)
    centre = total / n
    for part in _blocks(n):
        squares += float(np.square(records[part] - centre).sum())
    length = float(centre @ centre)
    return centre, squares / n if squares / n > 1e-20 * length else 0.0


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def _drawn(labelled: npt.NDArray[np.bool_], most: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of at most `most` records, in their order."""
    if len(labelled) <= most:
        return np.arange(len(labelled))
    rng = np.random.default_rng(seed)
    known = rng.permutation(np.flatnonzero(labelled))
    others = rng.permutation(np.flatnonzero(~labelled))
    room = max(most - len(others), most // 2)
    first = known[:room]
    return np.sort(np.concatenate([first, others[: most - len(first)]]))
