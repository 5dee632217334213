"""BADGE: uncertain records that would teach the last layer different things."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leaven.label.asking.covering import Frontier, Gradients
from leaven.label.asking.pool import Numbers, Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy
from leaven.label.asking.uncertainty import split

__all__ = ["Badge"]


class Badge(Strategy):
    """k-means++ on gradients: (p - e_ŷ) ⊗ x of each record, ŷ its likeliest class.

    They are long where the model is unsure and point elsewhere where another thing would be learnt,
    so the batch is both uncertain and diverse, and no setting weighs the two. The longest comes
    first; each further one is drawn with a probability as its squared distance to the nearest
    chosen, which is its score. The draw is a race of exponential times, the least of times over
    distances wins, so that a record whose distance cannot win is not measured.
    """

    name = "badge"
    paper = "Ash, Zhang, Krishnamurthy, Langford & Agarwal 2020, arXiv:1906.03671, algorithm 1"
    summary = "uncertain records, drawn so that they teach the model different things"
    needs = ("probabilities", "embeddings")

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        assert pool.embeddings is not None
        index: list[int] = []
        scores: list[float] = []
        geometry = Gradients(_factors(pool.probabilities), pool.embeddings)
        if pool.open.any():
            longest = int(np.where(pool.open, geometry.norms, np.float32(-1)).argmax())
            if geometry.norms[longest] > 0:
                index, scores = [longest], [float(geometry.norms[longest])]
        if index:
            rng = np.random.default_rng(pool.seed)
            frontier = Frontier(geometry, pool.open, np.zeros(0, np.int64))
            frontier.add(index[0])
            while len(index) < count:
                # 1 / E, kept finite: a time of zero is possible in float32
                luck = rng.standard_exponential(len(pool), dtype=np.float32)
                np.maximum(luck, np.float32(1e-12), out=luck)
                found = frontier.furthest(np.divide(1, luck, out=luck))
                if found is None:
                    break
                index.append(found[0])
                scores.append(found[1])
                frontier.add(found[0])
        return Asked.of(index, scores, lambda row, _: f"Unsure, unlike others: {split(pool, row)}")


def _factors(probabilities: Numbers) -> npt.NDArray[np.float32]:
    """(n, k) p - e_ŷ."""
    found = np.array(probabilities, np.float32)
    for part in blocks(*found.shape):
        rows = found[part]
        rows[np.arange(len(rows)), probabilities[part].argmax(1)] -= 1
    return found


STRATEGIES.add("badge", Badge())
