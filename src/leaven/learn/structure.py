"""How records lie: clusters, whether labels agree in them, and where there is no label.

`features` are (n, width), a row a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import KMeans

from leaven.data.dataset import Index
from leaven.learn.two_samples import Bools, Floats, permuted

__all__ = ["Bare", "Grouping", "Tendency", "agreement", "bare_regions", "group", "tendency"]

_TENDENCY_RECORDS, _TENDENCY_WIDTH, _NULLS = 1000, 10, 29
_FEWEST = 20  # records of a cluster, on average
_MOST_CLUSTERS = 60


@dataclass(frozen=True)
class Tendency:
    """Whether there are clusters: the share of the spread that they leave, and that of no clusters.

    `left` is what k-means leaves within its clusters, `expected` what it leaves of a normal
    distribution with the same covariance, `p` the chance of as little there.
    """

    left: float
    expected: float
    p: float
    clusters: int
    n: int


@dataclass(frozen=True)
class Grouping:
    """Each record's small cluster, the clusters' centres, and the larger ones they join into.

    `regions` (regions, clusters) says which clusters a region holds: the clusters themselves, then
    what Ward's rule joins, the whole left out.
    """

    member: Index
    centres: Floats
    regions: Bools


@dataclass(frozen=True)
class Bare:
    """A region with (almost) no labelled record.

    `records` are positions of its unlabelled ones, the most central first, `members` of all it
    holds; `expected` labelled
    records it would hold if labels had been given at random within each predicted class.
    """

    records: Index
    members: Index
    labelled: int
    expected: float
    p: float


def tendency(features: Floats, clusters: int, seed: int = 0) -> Tendency | None:
    """Whether k-means finds more than it would in one normal cloud; None of under 50 records.

    SigClust (Liu, Hayes, Nobel & Marron 2008, JASA 103, section 2) with k clusters in the place of
    two, on the ten leading components.
    """
    rng = np.random.default_rng(seed)
    x = features[rng.permutation(len(features))[:_TENDENCY_RECORDS]]
    if len(x) < 50:
        return None
    x = _leading(x, _TENDENCY_WIDTH)
    spread = x.std(0)
    if not spread.any():
        return None
    clusters = int(np.clip(clusters, 2, 20))
    left = [_left(x, clusters, seed)]
    left += [_left(rng.normal(size=x.shape) * spread, clusters, seed) for _ in range(_NULLS)]
    p = float((np.array(left) <= left[0]).mean())
    return Tendency(left[0], float(np.mean(left[1:])), p, clusters, len(x))


def _leading(x: Floats, width: int) -> Floats:
    centred = np.asarray(x, np.float64) - x.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    leading: Floats = centred @ vectors[:, ::-1][:, :width]
    return leading


def _left(x: Floats, clusters: int, seed: int) -> float:
    fitted: Any = KMeans(clusters, n_init=1, max_iter=25, random_state=seed).fit(x)
    return float(fitted.inertia_ / max(np.square(x - x.mean(0)).sum(), 1e-300))


def group(features: Floats, classes: int, seed: int = 0) -> Grouping:
    """Small clusters, some a class, and the tree of what they join into."""
    n = len(features)
    clusters = int(np.clip(4 * classes, 12, min(_MOST_CLUSTERS, max(2, n // _FEWEST))))
    clusters = min(clusters, len(np.unique(features, axis=0)))
    fitted: Any = KMeans(clusters, n_init=2, max_iter=50, random_state=seed).fit(features)
    member: Index = fitted.labels_.astype(np.int64)
    centres = fitted.cluster_centers_
    regions = list(np.eye(clusters, dtype=bool))
    if clusters > 2:
        for one, other, *_ in linkage(centres, "ward")[:-1]:
            regions.append(regions[int(one)] | regions[int(other)])
    return Grouping(member, centres, np.array(regions))


def agreement(
    member: Index, y: Index, seed: int = 0, times: int = 200
) -> tuple[float, float, float, int] | None:
    """How often two labelled records of one cluster share a label: share, chance, p, pairs.

    `member` and `y` are of the labelled records. Chance is the mean over permutations of the
    labels. None where no cluster has two.
    """
    _, member = np.unique(member, return_inverse=True)
    _, y = np.unique(y, return_inverse=True)
    size = np.bincount(member)
    pairs = int((size * (size - 1) // 2).sum())
    if not pairs:
        return None
    moved = y[permuted(np.zeros(len(y), np.int64), times, seed)]
    cell = member[:, None] * (y.max() + 1) + moved
    shared = [np.square(np.bincount(column)).sum() - len(y) for column in cell.T]
    share = np.array(shared) / (2 * pairs)
    p = float((share >= share[0] - 1e-12).mean())
    return float(share[0]), float(share[1:].mean()), p, pairs


def bare_regions(
    features: Floats,
    labelled: Bools,
    strata: Index,
    grouping: Grouping,
    seed: int = 0,
    times: int = 500,
    alarm: float = 0.01,
    most: float = 0.15,
) -> list[Bare]:
    """Regions with under `most` of the labelled records to be expected, which is no chance.

    Such a region holds records of a class without labels, or from a source without. Expected is
    what labels given at random within each stratum would put there. The gap in standard deviations
    is held against the largest of any region in permutations, so that `alarm` is the chance of one
    false alarm among all regions (Westfall & Young 1993, section 2.3).
    """
    inside = grouping.regions[:, grouping.member]  # (regions, n)
    sides = labelled[permuted(strata, times, seed)]
    _, strata = np.unique(strata, return_inverse=True)
    share = np.bincount(strata, labelled) / np.bincount(strata)
    expected = inside @ share[strata]
    found = inside.astype(np.float32) @ sides.astype(np.float32)
    # The count's spread is nearly that of independent draws; a constant error cancels, as all
    # permutations are measured by it.
    spread = np.sqrt(inside @ (share * (1 - share))[strata] + 0.25)
    gap = (found - expected[:, None]) / spread[:, None]
    extreme = gap.min(0)
    p = (extreme[None, :] <= gap[:, :1] + 1e-6).mean(1)
    bare = np.flatnonzero((p <= alarm) & (found[:, 0] <= most * expected))
    chosen: list[Bare] = []
    taken = np.zeros(len(features), bool)
    for region in bare[np.argsort(gap[bare, 0], kind="stable")]:
        if (taken & inside[region]).any():
            continue
        taken |= inside[region]
        rows = np.flatnonzero(inside[region] & ~labelled)
        chosen.append(
            Bare(
                _central_first(features, rows, grouping),
                np.flatnonzero(inside[region]),
                int(found[region, 0]),
                float(expected[region]),
                float(p[region]),
            )
        )
    return chosen


def _central_first(features: Floats, rows: Index, grouping: Grouping) -> Index:
    """Those nearest to the centre of their small cluster first, the clusters in turn."""
    far = np.square(features[rows] - grouping.centres[grouping.member[rows]]).sum(1)
    order = np.lexsort((far, grouping.member[rows]))
    place = np.arange(len(rows)) - np.searchsorted(
        grouping.member[rows][order], grouping.member[rows][order], "left"
    )
    chosen: Index = rows[order][np.argsort(place, kind="stable")]
    return chosen
