"""Poisson learning as a peer, written down from its paper and from nothing of Leaven's.

Calder, Cook, Thorpe and Slepčev 2020, arXiv:2006.11184, Algorithm 1, on the symmetric graph of ten
nearest neighbours with the weights of section 4. Test records are in the graph, without labels: a
small favour, for the method labels the records of its graph and no others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from benchmarks.features import Graph

__all__ = ["PoissonLearning", "nearest_weights", "poisson"]

_NEIGHBOURS = 10
#: Steps at most, and at least, where the walk does not mix, as between parts without an edge.
_MOST, _LEAST = 1000, 50


class PoissonLearning:
    """An estimator of features (n, d), dense, or of a given graph, whose edges are its weights."""

    def fit(self, features: Any, targets: Any) -> PoissonLearning:
        """Keep the records; -1 is unlabelled. There is nothing to fit before the graph is whole."""
        self._features, self._targets = features, np.asarray(targets)
        return self

    def predict(self, asked: Any) -> Any:
        """Classes of further records, or of the nodes at these positions."""
        if isinstance(self._features, Graph):
            return poisson(_given(self._features), self._targets)[asked]
        known, classes = len(self._targets), np.full(len(asked), -1)
        weights = nearest_weights(np.concatenate([self._features, asked]))
        return poisson(weights, np.concatenate([self._targets, classes]))[known:]


def nearest_weights(features: Any) -> sparse.csr_matrix:
    """(n, n) symmetric weights exp(-4 |x - y|² / d(x)²), d(x) how far x's last neighbour is."""
    from sklearn.neighbors import NearestNeighbors

    k = min(_NEIGHBOURS, len(features) - 1)
    far, near = NearestNeighbors(n_neighbors=k).fit(features).kneighbors()
    strength = np.exp(-4 * far**2 / np.maximum(far[:, -1:], 1e-12) ** 2)
    rows = np.repeat(np.arange(len(features)), k)
    shape = (len(features), len(features))
    one_way = sparse.csr_matrix((strength.ravel(), (rows, near.ravel())), shape=shape)
    return sparse.csr_matrix((one_way + one_way.T) / 2)


def _given(graph: Graph) -> sparse.csr_matrix:
    """(n, n) ones where there is an edge, either way."""
    one, other = graph.edges
    ones = np.ones(2 * len(one))
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    weights = sparse.csr_matrix((ones, ends), shape=(len(graph), len(graph)))
    weights.data[:] = 1
    weights.setdiag(0)
    return weights


def poisson(weights: sparse.csr_matrix, targets: Any) -> Any:
    """(n,) classes of all records of a graph.

    The sources are the labels less their mean; the potential is followed until a walk that begins
    at the labels is spread over the graph. No class shares are given, so step 11 changes nothing.
    The paper's graph is connected; of another one each part is solved with its own mean, for
    sources whose sum is not zero would grow without end. A part without labels has the mean of all.
    """
    known = np.flatnonzero(targets >= 0)
    n, classes = len(targets), int(targets.max()) + 1
    labels = np.eye(classes)[targets[known]]
    count, part = csgraph.connected_components(weights, directed=False)
    member = sparse.csr_matrix((np.ones(n), (part, np.arange(n))), shape=(count, n))
    labelled = member[:, known]  # (parts, labels)
    held = np.asarray(labelled.sum(1)).ravel()
    means = np.where(
        held[:, None] > 0, (labelled @ labels) / np.maximum(held, 1)[:, None], labels.mean(0)
    )
    degree = np.maximum(np.asarray(weights.sum(1)).ravel(), 1e-12)
    source = np.zeros((n, classes))
    source[known] = labels - means[part[known]]
    inverse = sparse.diags(1 / degree)
    walk, back = weights @ inverse, inverse @ weights
    rest = degree / (member @ degree)[part] * held[part] / len(known)
    spread, potential = np.zeros(n), np.zeros((n, classes))
    spread[known] = 1 / len(known)
    for step in range(_MOST):
        if step >= _LEAST and np.abs(spread - rest).max() <= 1 / n:
            break
        potential = inverse @ source + back @ potential  # U + D⁻¹(Bᵀ - L U), L = D - W
        spread = walk @ spread
    return (potential + 1e-9 * means[part]).argmax(1)  # means say what a part of one class is
