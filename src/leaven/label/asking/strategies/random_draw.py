"""The draw that every other strategy has to beat."""

from __future__ import annotations

import numpy as np

from leaven.label.asking.pool import Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy

__all__ = ["Random"]


class Random(Strategy):
    """Every open record with the same probability; there is no score.

    Its labels are a sample of the records, so of them alone shares and accuracies can be estimated
    without correction.
    """

    name = "random"
    paper = "Cochran 1977, Sampling Techniques, chapter 2"
    summary = "records drawn at random"
    needs = ()

    def rank(self, pool: Pool, count: int) -> Asked:
        drawn = np.random.default_rng(pool.seed).permutation(np.flatnonzero(pool.open))[:count]
        return Asked.of(drawn, np.full(len(drawn), np.nan), lambda *_: "Drawn at random")


STRATEGIES.add("random", Random())
