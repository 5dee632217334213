"""Label spreading on a sparse graph of nearest neighbours.

Zhou et al. 2004, "Learning with local and global consistency", eq. 4, on a self-tuning
neighbour graph. Labels flow along the graph through the unlabelled records; a new record asks
its nearest references. Columns are scaled to the labelled shares of the classes (class mass
normalisation, Zhu, Ghahramani & Lafferty 2003, section 4), or large clusters would drain small
ones. Labels are not clamped: a label among many of another class gives in.

Use it first with a few labels a class, and wherever neighbours in the features share a class:
digits, small tables, embeddings of a pretrained encoder. It takes seconds, and about a minute for
a million records.

It fails where classes overlap in the features, or where neighbours share words and not the class,
as in short texts of many intents: errors flow along the graph as labels do, and more labels do
not mend it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from leaven.core.errors import SettingError
from leaven.learn.graphs.solve import Floats, Solved, solve
from leaven.learn.graphs.weights import degrees, rescaled
from leaven.learn.method import METHODS
from leaven.learn.propagation_method import PropagationMethod

__all__ = ["LabelSpreading"]


@dataclass(frozen=True)
class LabelSpreading(PropagationMethod):
    """`alpha` is the share of its answer that a record takes from its neighbours."""

    alpha: float = 0.95

    name = "label-spreading"
    summary = "labels flow along a graph of nearest neighbours"
    paper = "Zhou et al. 2004, NIPS 16"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha < 1:
            raise SettingError("alpha", "a number in [0, 1)", self.alpha)

    def scores(self, graph: sparse.csr_matrix, seeds: Floats) -> Solved:
        """(I - alpha·S)⁻¹ seeds, with S = D^-½ W D^-½ (Zhou et al. 2004, eq. 4).

        The matrix is positive definite for alpha < 1. Isolated records stay at their seed.
        """
        degree = degrees(graph)
        root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
        smooth = rescaled(graph, self.alpha * root, root)
        return solve(sparse.identity(len(degree), format="csr") - smooth, seeds)


METHODS.add("label-spreading", LabelSpreading())
