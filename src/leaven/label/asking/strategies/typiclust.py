"""TypiClust: one typical record of each group of records alike that has no label yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leaven.core.wording import many
from leaven.data.dataset import Index
from leaven.label.asking.clusters import clustered
from leaven.label.asking.pool import Numbers, Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy

__all__ = ["TypiClust"]

_MOST = 500  # clusters
_SMALLEST = 5  # records of a cluster that is asked about, where others are left
_NEIGHBOURS = 20
_LOOKED_AT = 1024  # records of a cluster that are compared with one another


class TypiClust(Strategy):
    """As many clusters as there are labels and questions, 500 at most.

    Those with the fewest labels come first, of these the largest; of each the record whose 20
    nearest neighbours in it are nearest on average, and round again where there are more questions
    than clusters. The score is the number of records of the cluster. Clusters are learnt from a
    sample of 20 000 records or more, and of a cluster of over 1024 as many are compared, drawn at
    random, so that memory and time stay bounded; up to there it is the paper's algorithm.

    It needs no model and suits the first labels; with many, it goes on asking what is clear.
    """

    name = "typiclust"
    paper = "Hacohen, Dekel & Weinshall 2022, arXiv:2202.02794, algorithm 1"
    summary = "a typical record of each group that has no label yet"
    needs = ("embeddings",)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.embeddings is not None
        if not pool.open.any():
            return Asked.of([], [], lambda *_: "")
        wanted = min(len(pool.known) + count, _MOST, len(pool))
        cluster = clustered(pool.embeddings, wanted, pool.seed)
        size = np.bincount(cluster, minlength=wanted)
        labels = np.bincount(cluster[pool.known], minlength=wanted)
        left = np.bincount(cluster[pool.open], minlength=wanted)
        order = np.lexsort((-size, labels))
        order = order[left[order] > 0]
        if (size[order] >= _SMALLEST).any():
            order = order[size[order] >= _SMALLEST]
        members = _members(cluster, wanted)
        waiting: dict[int, list[int]] = {}
        index: list[int] = []
        while len(index) < count and len(order):
            for one in order.tolist()[: count - len(index)]:
                if one not in waiting:
                    waiting[one] = _by_typicality(pool, members[one], count)[::-1]
                index.append(waiting[one].pop())
            order = np.array([one for one in order.tolist() if waiting.get(one, [0])], np.int64)

        def why(row: int, score: float) -> str:
            return f"Stands for {many(int(score), 'record', 'records')} like it"

        return Asked.of(index, size[cluster[index]], why)


def _members(cluster: npt.NDArray[np.int32], clusters: int) -> list[Index]:
    order = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=clusters))[:-1]
    return np.split(order, ends)


def _by_typicality(pool: Pool, rows: Index, count: int) -> list[int]:
    """The open ones of a cluster's records, `count` at most, the most typical first."""
    rng = np.random.default_rng((pool.seed, int(rows[0])))
    assert pool.embeddings is not None
    others = _some(rows, _LOOKED_AT, rng)
    asked = others[pool.open[others]]
    if len(asked) < min(count, len(others)):
        asked = _some(rows[pool.open[rows]], _LOOKED_AT, rng)
    typical = np.argsort(_spread(pool.embeddings, asked, others), kind="stable")
    return [int(row) for row in asked[typical[:count]]]


def _some(rows: Index, most: int, rng: np.random.Generator) -> Index:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _spread(embeddings: Numbers, asked: Index, others: Index) -> npt.NDArray[np.float32]:
    """(asked,) mean distance to the nearest of the others, 1 / typicality."""
    there = np.asarray(embeddings[others], np.float32)
    origin = there.mean(0)
    there = there - origin
    here = np.asarray(embeddings[asked], np.float32) - origin
    squared = -2 * here @ there.T
    squared += np.einsum("ij,ij->i", here, here)[:, None]
    squared += np.einsum("ij,ij->i", there, there)
    np.maximum(squared, 0, out=squared)
    squared[asked[:, None] == others] = np.inf
    k = min(_NEIGHBOURS, len(others) - 1)
    if not k:
        return np.zeros(len(asked), np.float32)
    near = np.partition(squared, k - 1, axis=1)[:, :k]
    found: npt.NDArray[np.float32] = np.sqrt(near).mean(1)
    return found


STRATEGIES.add("typiclust", TypiClust())
