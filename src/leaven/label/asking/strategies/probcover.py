"""ProbCover: records whose surroundings hold as many others as can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.wording import many
from leaven.data.dataset import Index
from leaven.label.asking.clusters import drawn, settled
from leaven.label.asking.covering import Euclidean
from leaven.label.asking.pool import Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy

__all__ = ["ProbCover", "radius"]

_LOOKED_AT = 8192  # records that stand for a larger pool: 64 MB of who is near whom
_PURITY = 0.95
_CLASSES = 10  # where nothing tells how many there are


@dataclass(frozen=True)
class ProbCover(Strategy):
    """Greedy maximal coverage by balls of one radius.

    A record covers those less than the radius away; again and again the record is asked that covers
    most of what neither a label nor a question covers yet. The score is how many these are, in the
    whole pool. The radius is the largest at which 95 % of the balls hold records of one class only,
    classes being those of k-means (`radius`), unless `delta` gives it. A pool of over 8192 records
    is stood for by as many, drawn at random: shares of the pool are then known to about a
    percentage point, groups of under a thousandth may be missed, and no more than that are asked.

    It needs no model. Where one class is much denser than the others the radius is small and the
    first labels are all of that class: look at how many records the first one stands for.
    """

    delta: float | None = None

    name = "probcover"
    paper = "Yehuda, Dekel, Hacohen & Weinshall 2022, arXiv:2205.11320, algorithm 1"
    summary = "the records that stand for most others not yet stood for"
    needs = ("embeddings",)

    def __post_init__(self) -> None:
        if self.delta is not None and not self.delta > 0:
            raise SettingError("delta", "a distance above 0", self.delta)

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.embeddings is not None
        if not pool.open.any():
            return Asked.of([], [], lambda *_: "")
        rows = drawn(len(pool), _LOOKED_AT, pool.seed)
        sample = np.array(pool.embeddings[rows], np.float32)
        geometry = Euclidean(sample)
        delta = self.delta or radius(geometry, sample, pool.classes or _CLASSES, pool.seed)
        near = _near(geometry, delta)
        covered = _covered(pool, geometry, delta)
        gain = _sums(near, ~covered)
        gain[~pool.open[rows]] = 0
        each = len(pool) / len(rows)
        index: list[int] = []
        scores: list[float] = []
        while len(index) < count and gain.max() > 0:
            best = int(gain.argmax())
            index.append(int(rows[best]))
            scores.append(float(gain[best] * each))
            new = near[:, best] & ~covered
            covered |= new
            gain -= _sums(near, new)
        return Asked.of(index, scores, _why)


def _why(_: int, score: float) -> str:
    return f"Stands for {many(round(score), 'record', 'records')} like it"


def radius(geometry: Euclidean, sample: npt.NDArray[np.float32], classes: int, seed: int) -> float:
    """The largest radius at which 95 % of the balls are pure (the rule of the paper).

    A ball is pure while it ends before the nearest record of another cluster, so the purity at a
    radius is the share of records for which that one is further: the radius is a quantile.
    """
    if len(sample) < 2:
        return 1.0
    k = min(max(classes, 2), len(sample))
    labels, _ = settled(sample, k, seed)
    other = np.empty(len(sample), np.float32)
    everyone = np.arange(len(sample))
    for part in blocks(len(sample), len(sample)):
        squared = geometry.squared(part, everyone)
        squared[labels[part][:, None] == labels] = np.inf
        other[part] = squared.min(1)
    found = float(np.sqrt(np.sort(other)[int((1 - _PURITY) * len(other))]))
    # Copies of one record are one cluster, which no ball leaves.
    return found if 0 < found < np.inf else 1.0


def _near(geometry: Euclidean, delta: float) -> npt.NDArray[np.bool_]:
    """(n, n) which records of the sample are less than the radius apart."""
    n = len(geometry)
    found = np.empty((n, n), bool)
    everyone = np.arange(n)
    for part in blocks(n, n):
        found[part] = geometry.squared(part, everyone) < delta**2
    np.fill_diagonal(found, True)
    return found


def _covered(pool: Pool, geometry: Euclidean, delta: float) -> npt.NDArray[np.bool_]:
    """(sample,) which records lie in the ball of a labelled one."""
    assert pool.embeddings is not None
    found = np.zeros(len(geometry), bool)
    for part in blocks(len(pool.known), len(geometry) + geometry.width):
        points = np.asarray(pool.embeddings[pool.known[part]], np.float32)
        found |= (geometry.squared_to(slice(None), points) < delta**2).any(1)
    return found


def _sums(near: npt.NDArray[np.bool_], which: npt.NDArray[np.bool_]) -> Index:
    """(n,) how many of some records each record covers."""
    found = np.zeros(len(near), np.int64)
    rows = np.flatnonzero(which)
    for part in blocks(len(rows), len(near)):
        found += near[rows[part]].sum(0, dtype=np.int64)
    return found


STRATEGIES.add("probcover", ProbCover())
