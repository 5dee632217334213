"""Core-set: records such that no other is far from all that have a label."""

from __future__ import annotations

import numpy as np

from leaven.label.asking.covering import Euclidean, Frontier
from leaven.label.asking.pool import Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy

__all__ = ["KCentre"]

_FAR = "Far from all labelled records"


class KCentre(Strategy):
    """Greedy k-centre: again and again the record furthest from those labelled or chosen.

    The score is its distance when it was chosen, and the largest distance that is left is at most
    twice the least possible. Without a label the record nearest to the mean comes first, with the
    distance of the one furthest from it. Outliers are what it asks first.
    """

    name = "k-centre"
    paper = "Sener & Savarese 2018, arXiv:1708.00489, algorithm 1; Gonzalez 1985, TCS 38"
    summary = "the records furthest from all that are labelled"
    needs = ("embeddings",)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.embeddings is not None
        index: list[int] = []
        scores: list[float] = []
        if not pool.open.any():
            return Asked.of(index, scores, lambda *_: _FAR)
        geometry = Euclidean(pool.embeddings)
        frontier = Frontier(geometry, pool.open, pool.known)
        cold = not len(pool.known)
        if cold:
            index.append(int(np.where(pool.open, geometry.norms, np.inf).argmin()))
            frontier.add(index[0])
        while len(index) - cold < count and (found := frontier.furthest()):
            index.append(found[0])
            scores.append(float(np.sqrt(found[1])))
            frontier.add(found[0])
        if cold:
            scores.insert(0, scores[0] if scores else 0.0)
        said = {index[0]: "In the middle of the records"} if cold else {}
        return Asked.of(index[:count], scores[:count], lambda row, _: said.get(row, _FAR))


STRATEGIES.add("k-centre", KCentre())
