"""LapSVM: a large-margin machine whose decisions change little along a neighbour graph.

Belkin, Niyogi & Sindhwani 2006, "Manifold regularization", JMLR 7, section 4.3, with the squared
hinge and solved in the primal by Newton steps (Melacci & Belkin 2011, JMLR 12, section 4.1). Per
class against the rest:

    (1/Σp) Σ p_i max(0, 1 - y_i f_i)²  +  penalty |w|²  +  smoothness · f'Lf / trace(L)

with L = D - W of the self-tuning graph of nearest neighbours. The paper divides f'Lf by the square
of the number of records, which is how many pairs its sum runs over; a sparse graph has fewer edges,
and dividing by the trace, twice their total weight, keeps the term half a mean squared difference
across an edge: it means the same for any number of records and neighbours.

Use it where classes are winding and neighbours in the features share a class, and when new records
must be answered by a function and not by a search among all old ones.

It fails where neighbours do not share a class, and, with its linear kernel, where no plane can
follow the graph: then it costs labelled records their margin and gains nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from leaven.core.errors import DataError, SettingError
from leaven.learn.classic_method import Frozen
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.graphs.weights import affinity
from leaven.learn.kernels import basis_of
from leaven.learn.machines import (
    DIRECT,
    Machine,
    MachineMethod,
    Rows,
    fit_svm,
    known_of,
    newton,
    one_against_rest,
)
from leaven.learn.method import METHODS

__all__ = ["LapSVM", "fit_lapsvm", "laplacian"]

Float64 = npt.NDArray[np.float64]

_COLUMNS = 64  # features whose products with the Laplacian are in memory at a time
_SPARSE_MOST = 30_000  # sparse records whose neighbours are searched among all pairs
_SPARSE_BLOCK = 256


def fit_lapsvm(
    X: Any,
    targets: npt.NDArray[np.int64],
    classes: int,
    *,
    weights: Any = None,
    kernel: str = "rbf",
    gamma: float = 0.0,
    degree: int = 3,
    penalty: float = 0.01,
    smoothness: float = 1.0,
    neighbours: int = 10,
    normalised: bool = False,
    landmarks: int = 500,
    seed: int = 0,
) -> Machine:
    """A machine from labelled and unlabelled records.

    X (n, d) dense or scipy-sparse; targets (n,) below `classes`, -1 where unlabelled; `weights`
    (labelled,) in the order of the labelled ones. `kernel` is "linear", "rbf" or "poly"; `gamma`,
    `degree` and `landmarks` as in `kernels.basis_of`. `neighbours` edges a record; `normalised`
    takes D^-½ L D^-½ for L. Neighbours of sparse records are those of largest cosine.

    `smoothness` zero, or no unlabelled record, is exactly the supervised machine. Raises
    SettingError, UnknownNameError for settings, DataError for records without a label and for more
    than 30,000 sparse ones.
    """
    X, targets, weights = known_of(X, targets, classes, weights, penalty)
    if not 0 <= smoothness < np.inf:
        raise SettingError("smoothness", "a number of at least 0", smoothness)
    if neighbours < 1:
        raise SettingError("neighbours", "a whole number of at least 1", neighbours)
    labelled = targets >= 0
    kernels = {"kernel": kernel, "gamma": gamma, "degree": degree, "landmarks": landmarks}
    if not smoothness or labelled.all():
        return fit_svm(X, targets, classes, weights=weights, penalty=penalty, seed=seed, **kernels)  # type: ignore[arg-type]
    basis = basis_of(X, labelled, seed=seed, **kernels)  # type: ignore[arg-type]
    features = basis.features(X)
    smooth = _bending(features, smoothness * laplacian(X, neighbours, normalised))
    known = Rows(features[labelled].astype(np.float64), np.zeros(features.shape[1]))
    return one_against_rest(
        basis,
        known.shift,
        targets[labelled],
        classes,
        lambda signs, _: newton(known, signs, weights, penalty, smooth),
    )


def laplacian(X: Any, neighbours: int, normalised: bool = False) -> sparse.csr_matrix:
    """(n, n) L over its trace, of the self-tuning graph of nearest records; zero if edgeless."""
    search = _alike if sparse.issparse(X) else nearest
    position, distance = search(X, neighbours)
    graph, _ = affinity(position, distance)
    graph = graph.astype(np.float64)
    degree = np.asarray(graph.sum(1)).ravel()
    if normalised:
        root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
        graph = sparse.diags(root) @ graph @ sparse.diags(root)
        degree = (degree > 0).astype(np.float64)
    return ((sparse.diags(degree) - graph) / (degree.sum() or 1.0)).tocsr()


def _bending(features: Any, graph: sparse.csr_matrix) -> Float64 | LinearOperator:
    """M = Z'LZ for features Z (n, r) with a column of ones: a matrix where that is small."""
    n, width = features.shape
    rows = Rows(features, np.zeros(width))
    if width > DIRECT:
        return LinearOperator(
            (width + 1, width + 1),
            matvec=lambda v: rows.pulled(graph @ rows.outputs(np.ravel(v))),
            dtype=np.float64,
        )
    found = np.empty((width + 1, width + 1))
    for start in range(0, width, _COLUMNS):
        columns = slice(start, min(start + _COLUMNS, width))
        part = features[:, columns]
        part = graph @ (part.toarray() if sparse.issparse(part) else part).astype(np.float64)
        found[-1, columns] = part.sum(0)
        # In the features' own precision, or the product would copy all of them.
        found[:-1, columns] = features.T @ part.astype(features.dtype)
    flat = (graph @ np.ones(n)).astype(features.dtype)
    found[:-1, -1], found[-1, -1] = features.T @ flat, flat.sum()
    return (found + found.T) / 2


def _alike(X: Any, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """As `nearest`, for sparse records brought to length one: 2 - 2 cos, every pair compared."""
    n = X.shape[0]
    if n > _SPARSE_MOST:
        raise DataError(
            f"Neighbours are searched among {_SPARSE_MOST} sparse records at most; these are {n}. "
            "Bring them to a few hundred dense numbers first, with TruncatedSVD for instance."
        )
    k = min(k, n - 1)
    length = np.sqrt(np.asarray(X.multiply(X).sum(1))).ravel()
    unit = sparse.diags(np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)) @ X
    unit = unit.tocsr()
    position, distance = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for start in range(0, n, _SPARSE_BLOCK):
        like = (unit[start : start + _SPARSE_BLOCK] @ unit.T).toarray()
        own = np.arange(len(like))
        like[own, start + own] = -np.inf
        near = np.argpartition(-like, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(like, near, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        position[start + own] = np.take_along_axis(near, order, 1)
        distance[start + own] = np.maximum(2 - 2 * np.take_along_axis(value, order, 1), 0)
    return position, distance


@dataclass(frozen=True)
class LapSVM(MachineMethod):
    """The settings of `fit_lapsvm`."""

    kernel: str = "rbf"
    gamma: float = 0.0
    degree: int = 3
    penalty: float = 0.01
    smoothness: float = 1.0
    neighbours: int = 10
    normalised: bool = False
    landmarks: int = 500

    name = "lapsvm"
    summary = "large-margin machine that changes little from neighbour to neighbour"
    paper = "Belkin, Niyogi & Sindhwani 2006, JMLR 7"
    baseline = "svm"

    def machine(self, known: Frozen) -> Machine:
        """By `fit_lapsvm`."""
        return fit_lapsvm(
            known.features, known.targets, known.classes,
            weights=known.weights, seed=known.seed, **asdict(self),
        )  # fmt: skip


METHODS.add("lapsvm", LapSVM())
