"""Expected gradient length: the records whose label would move the last layer most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leaven.label.asking.pool import Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.asking.uncertainty import split

__all__ = ["ExpectedGradientLength"]


class ExpectedGradientLength(Strategy):
    """The score is Σ_y p_y |(p - e_y) ⊗ x| = |x| Σ_y p_y |p - e_y|.

    That is the gradient of the cross-entropy to the weights of a softmax layer on the embeddings x,
    its length expected under the model, in closed form: |p - e_y|² = |p|² - 2 p_y + 1. It likes
    records with long embeddings; bring these to one length where length means nothing.
    """

    name = "expected-gradient-length"
    paper = "Settles, Craven & Ray 2008, NIPS 20"
    summary = "the records whose answer would change the last layer most"
    needs = ("probabilities", "embeddings")

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        assert pool.embeddings is not None
        scores = np.empty(len(pool))
        for part in blocks(len(pool), pool.embeddings.shape[1] + pool.classes):
            x = np.asarray(pool.embeddings[part], np.float32)
            scores[part] = np.sqrt(np.einsum("ij,ij->i", x, x))
            scores[part] *= _expected(pool.probabilities[part])
        index = highest(scores, count, pool.open, pool.seed)

        def why(row: int, _: float) -> str:
            return f"Its label would move the model far: {split(pool, row)}"

        return Asked.of(index, scores[index], why)


def _expected(p: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    p = np.asarray(p, np.float64)
    squared = (p**2).sum(1, keepdims=True) - 2 * p + 1
    found: npt.NDArray[np.float64] = (p * np.sqrt(np.maximum(squared, 0))).sum(1)
    return found


STRATEGIES.add("expected-gradient-length", ExpectedGradientLength())
