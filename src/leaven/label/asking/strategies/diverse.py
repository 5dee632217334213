"""Uncertain records, no two of them for the same reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.data.dataset import Index
from leaven.label.asking.clusters import settled
from leaven.label.asking.pool import Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.asking.uncertainty import by_record, margin, split

__all__ = ["Diverse"]


@dataclass(frozen=True)
class Diverse(Strategy):
    """Of the most uncertain records, `times` as many as asked, the middles of as many clusters.

    The uncertainty is the margin's, and the records weigh by it in k-means, which has a cluster for
    each question; of each cluster the record nearest to its centre is asked, the most uncertain
    first. The score is the uncertainty.
    """

    times: int = 10

    name = "diverse"
    paper = "Zhdanov 2019, arXiv:1901.05954"
    summary = "the middles of clusters of the records the model is least sure of"
    needs = ("probabilities", "embeddings")

    def __post_init__(self) -> None:
        if not self.times >= 1:
            raise SettingError("times", "a number from 1", self.times)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        assert pool.embeddings is not None
        scores = by_record(pool.probabilities, margin)
        rows = np.sort(highest(scores, self.times * count, pool.open, pool.seed))
        if count < len(rows):
            x = np.asarray(pool.embeddings[rows], np.float64)
            rows = rows[_middles(x, scores[rows], count, pool.seed)]
        rows = rows[np.argsort(-scores[rows], kind="stable")]

        def why(row: int, _: float) -> str:
            return f"Unsure, unlike others: {split(pool, row)}"

        return Asked.of(rows, scores[rows], why)


def _middles(
    x: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], count: int, seed: int
) -> Index:
    """Positions of the records nearest to the centres of `count` clusters, each once.

    Where there are copies, clusters may be fewer.
    """
    cluster, centres = settled(x, count, seed, np.maximum(weights, 1e-6))
    away = ((x - centres[cluster]) ** 2).sum(1)
    order = np.lexsort((away, cluster))
    first = np.unique(cluster[order], return_index=True)[1]
    found: Index = order[first]
    return found


STRATEGIES.add("diverse", Diverse())
