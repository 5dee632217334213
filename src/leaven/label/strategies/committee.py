"""Query by committee: the records on which several models, or passes of one, do not agree."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from leaven.label.pool import Numbers, Pool
from leaven.label.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.uncertainty import by_record, entropy, split

__all__ = ["Bald", "VoteEntropy"]

Floats = npt.NDArray[np.float64]


class _Disagreement(Strategy):
    """The records of which a measure of the members' answers is highest."""

    needs = ("members",)

    @abstractmethod
    def measure(self, members: Numbers) -> Floats:
        """(n,) of the members' probabilities (m, n, k)."""

    def rank(self, pool: Pool, count: int) -> Asked:
        members = pool.members
        assert members is not None
        scores = by_record(members, self.measure)
        index = highest(scores, count, pool.open, pool.seed)

        def why(row: int, _: float) -> str:
            of_one = members[:, row : row + 1]
            votes = _shares(of_one)[0]
            if votes.max() < 1:
                return f"The models do not agree: {split(pool, row, votes)}"
            mean = np.asarray(of_one, np.float64).mean(0)[0]
            return f"The models are not equally sure: {split(pool, row, mean)} on average"

        return Asked.of(index, scores[index], why)


def _shares(members: Numbers) -> Floats:
    """(n, k) the share of the members (m, n, k) whose likeliest class each is."""
    votes = members.argmax(-1)  # (m, n)
    found: Floats = np.zeros(members.shape[1:])
    for vote in votes:
        found[np.arange(len(found)), vote] += 1
    found /= len(votes)
    return found


class VoteEntropy(_Disagreement):
    """The score is the entropy of the members' votes, in nats."""

    name = "vote-entropy"
    paper = "Dagan & Engelson 1995, ICML 12"
    summary = "the records on whose class the models of a committee split"

    def measure(self, members: Numbers) -> Floats:
        return entropy(_shares(members))


class Bald(_Disagreement):
    """The score is the entropy of the mean less the mean entropy.

    It is what the label would tell of the model, in nats; records that every member is unsure of
    alike score nothing. The same number is the members' mean KL divergence to their consensus, by
    which committees are asked as well (McCallum & Nigam 1998, ICML 15), and their Jensen-Shannon
    divergence.
    """

    name = "bald"
    paper = "Houlsby, Huszár, Ghahramani & Lengyel 2011, arXiv:1112.5745, eq. 2"
    summary = "the records whose label would tell most of which model is right"

    def measure(self, members: Numbers) -> Floats:
        known = np.asarray(members, np.float64)
        found: Floats = entropy(known.mean(0)) - entropy(known).mean(0)
        return np.maximum(found, 0)


for _strategy in (VoteEntropy(), Bald()):
    STRATEGIES.add(_strategy.name, _strategy)
