"""Uncertainty sampling: the records that the model is least sure of, each for itself.

They are the cheapest to compute and hard to beat once the model is fair. They fail with few labels,
where the model is unsure of outliers rather than of what matters, and in large batches, whose
records are unsure for one reason.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from leaven.label.asking.pool import Numbers, Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.asking.uncertainty import by_record, entropy, margin, split

__all__ = ["Entropy", "LeastConfidence", "Margin"]

Floats = npt.NDArray[np.float64]


class _Uncertainty(Strategy):
    """The records of which a measure of the model's probabilities is highest."""

    needs = ("probabilities",)
    said = "Least sure"

    @abstractmethod
    def measure(self, p: Numbers) -> Floats:
        """(n,) of probabilities (n, k)."""

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        scores = by_record(pool.probabilities, self.measure)
        index = highest(scores, count, pool.open, pool.seed)
        return Asked.of(index, scores[index], lambda row, _: f"{self.said}: {split(pool, row)}")


class LeastConfidence(_Uncertainty):
    """The score is 1 less the probability of the likeliest class."""

    name = "least-confidence"
    costs = 6.4
    paper = "Lewis & Gale 1994, SIGIR 17"
    summary = "the records whose likeliest class is least likely"

    def measure(self, p: Numbers) -> Floats:
        return 1 - np.asarray(p.max(-1), np.float64)


class Margin(_Uncertainty):
    """The score is 1 less the gap between the two likeliest classes."""

    name = "margin"
    paper = "Scheffer, Decomain & Wrobel 2001, IDA 4"
    summary = "the records whose two likeliest classes are closest"

    def measure(self, p: Numbers) -> Floats:
        return margin(p)


class Entropy(_Uncertainty):
    """The score is Shannon's entropy in nats."""

    name = "entropy"
    costs = 8.3
    paper = "Settles 2009, TR 1648, University of Wisconsin–Madison, section 3.1"
    summary = "the records whose probabilities are spread most over the classes"
    said = "Spread over the classes"

    def measure(self, p: Numbers) -> Floats:
        return entropy(p)


for _strategy in (LeastConfidence(), Margin(), Entropy()):
    STRATEGIES.add(_strategy.name, _strategy)
