"""Laplace learning: the harmonic function through the labels, solved exactly.

Zhu, Ghahramani & Lafferty 2003, "Semi-supervised learning using Gaussian fields and harmonic
functions": labels are clamped, and every other record is the weighted mean of its neighbours,
L u = 0. Decided by class mass normalisation (section 4): with few labels u is nearly constant away
from them, with a spike at each, and the plain argmax would name one class everywhere.
`label-propagation` walks towards the same function and stops on the way.

Use it where there are many labels, a twentieth of the records or more, and they are right: none of
them gives in.

It fails with few labels a class on large sets (Nadler, Srebro & Zhou 2009), where
`poisson-learning` and `label-spreading` do not, and with wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from leaven.learn.graphs.solve import Floats, Solved, solve
from leaven.learn.graphs.weights import degrees
from leaven.learn.method import METHODS
from leaven.learn.propagation_method import PropagationMethod, ties

__all__ = ["LaplaceLearning"]


@dataclass(frozen=True)
class LaplaceLearning(PropagationMethod):
    """The combinatorial Laplacian D - W, labels clamped."""

    name = "laplace-learning"
    summary = "every record the weighted mean of its neighbours, labels clamped"
    paper = "Zhu, Ghahramani & Lafferty 2003, ICML"

    def scores(self, graph: sparse.csr_matrix, seeds: Floats) -> Solved:
        """(D_f - W_ff + T) u_f = W_fc y_c + T y_f, of the free and the clamped records.

        T is the tie to labels of a weight below one (`ties`). Records that no label reaches are
        zero.
        """
        degree = degrees(graph)
        clamped, strength, says = ties(seeds, degree)
        free, fixed = np.flatnonzero(~clamped), np.flatnonzero(clamped)
        rows = graph[free]
        system = sparse.diags((degree + strength)[free], format="csr") - rows[:, free]
        right = rows[:, fixed] @ says[fixed] + strength[free, None] * says[free]
        solved = solve(system.tocsr(), right)
        values = says.copy()
        values[free] = solved.values
        return Solved(values, solved.iterations, solved.residual)


METHODS.add("laplace-learning", LaplaceLearning())
