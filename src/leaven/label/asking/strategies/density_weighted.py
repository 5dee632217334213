"""Information density: uncertain records in the midst of others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.label.asking.pool import Numbers, Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.asking.uncertainty import by_record, entropy, split

__all__ = ["DensityWeighted"]


@dataclass(frozen=True)
class DensityWeighted(Strategy):
    """The score is entropy times similarityᵝ, the mean similarity to the unlabelled records.

    The similarity is (1 + cosine) / 2, so the mean over n records is one product with their mean
    direction and costs n, not n². What is unsure and alone, an outlier, is not asked. `beta` is how
    much the surroundings count.
    """

    beta: float = 1.0

    name = "density-weighted"
    costs = 8.1
    paper = "Settles & Craven 2008, EMNLP"
    summary = "uncertain records that are like many others"
    needs = ("probabilities", "embeddings")

    def __post_init__(self) -> None:
        if not self.beta >= 0:
            raise SettingError("beta", "a number from 0", self.beta)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.probabilities is not None
        assert pool.embeddings is not None
        unsure = by_record(pool.probabilities, entropy)
        scores = unsure * _similarity(pool.embeddings, pool.labelled < 0) ** self.beta
        index = highest(scores, count, pool.open, pool.seed)

        def why(row: int, _: float) -> str:
            return f"Unsure, and like many others: {split(pool, row)}"

        return Asked.of(index, scores[index], why)


def _similarity(embeddings: Numbers, among: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(n,) the mean similarity to the records of `among`; a half for a record of length zero."""
    lengths = np.empty(len(embeddings), np.float32)
    direction = np.zeros(embeddings.shape[1])
    for part in blocks(*embeddings.shape):
        x = np.asarray(embeddings[part], np.float32)
        lengths[part] = np.sqrt(np.einsum("ij,ij->i", x, x))
        direction += (among[part] / np.maximum(lengths[part], np.float32(1e-30))) @ x
    direction /= max(int(among.sum()), 1)
    cosine = np.empty(len(embeddings))
    for part in blocks(*embeddings.shape):
        cosine[part] = np.asarray(embeddings[part], np.float32) @ direction.astype(np.float32)
    cosine /= np.maximum(lengths, 1e-30)
    return np.clip((1 + cosine) / 2, 0, 1)


STRATEGIES.add("density-weighted", DensityWeighted())
