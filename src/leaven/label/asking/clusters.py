"""Clusters of very many records: learnt from a sample, then every record is put into one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from leaven.data.dataset import Index
from leaven.label.asking.pool import Numbers, blocks

__all__ = ["clustered", "drawn", "settled"]

_SAMPLE = 20_000  # records that the centres are learnt from, at least …
_EACH = 100  # … and of each cluster
_BATCH = 2048


def drawn(n: int, most: int, seed: int) -> Index:
    """All n positions, or `most` of them drawn at random, rising.

    >>> drawn(3, 5, seed=0).tolist(), len(drawn(100, 5, seed=0))
    ([0, 1, 2], 5)
    """
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False, shuffle=False))


def clustered(embeddings: Numbers, clusters: int, seed: int) -> npt.NDArray[np.int32]:
    """(n,) the cluster of each record, by mini-batch k-means (Sculley 2010, WWW 19, algorithm 1).

    Numbers of clusters that no record is nearest to do not appear.
    """
    n, width = embeddings.shape
    rows = drawn(n, max(_SAMPLE, _EACH * clusters), seed)
    sample = np.array(embeddings[rows], np.float32)
    origin = sample.mean(0)  # distances are computed from squares, which should be small
    sample -= origin
    model: Any = MiniBatchKMeans(
        min(clusters, n), batch_size=_BATCH, n_init=1, random_state=seed, compute_labels=False
    ).fit(sample)
    centres = np.asarray(model.cluster_centers_, np.float32)
    offset = 0.5 * (centres**2).sum(1) + centres @ origin
    found = np.empty(n, np.int32)
    for part in blocks(n, width + len(centres)):
        found[part] = (np.asarray(embeddings[part], np.float32) @ centres.T - offset).argmax(1)
    return found


def settled(
    x: npt.NDArray[Any], clusters: int, seed: int, weights: npt.NDArray[np.float64] | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
    """(n,) the cluster of each of few records x (n, d), and (clusters, d) the centres, by k-means.

    Where fewer records differ than there are clusters, some of these are empty.
    """
    model = KMeans(clusters, n_init=1, max_iter=50, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted: Any = model.fit(x, sample_weight=weights)
    return fitted.labels_, fitted.cluster_centers_
