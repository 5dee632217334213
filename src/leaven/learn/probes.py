"""What features are worth, and whether they have collapsed: figures of a table of features.

`features` are (n, width), a row a record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

__all__ = ["cluster_usage", "linear_probe", "neighbour_probe", "rank", "separability", "spread"]

Floats = npt.NDArray[np.floating[Any]]

_NEIGHBOURS = 5
_FOLDS = 5
_CLUSTERS = 32


def rank(features: Floats) -> float:
    """RankMe: the exponential of the entropy of the singular values, from 1 to the width.

    Garrido et al. 2023, arXiv:2210.02885, eq. 2. One where all features lie on a line through zero.

    >>> rank(np.eye(4)), rank(np.ones((4, 4)))
    (4.0, 1.0)
    """
    sizes = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    shares = sizes / max(sizes.sum(), 1e-300) + 1e-7
    shares = shares[shares > 2e-7]
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 4)


def spread(features: Floats) -> float:
    """√width times the mean deviation of the normalised features: 1 fill the sphere, 0 a point.

    Chen & He 2021 (SimSiam), arXiv:2011.10566, section 4.1.
    """
    values = np.asarray(features, np.float64)
    normed = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return float(normed.std(0).mean() * np.sqrt(values.shape[1]))


def cluster_usage(features: Floats, seed: int = 0) -> float:
    """How evenly 32 clusters are used: the exponential of the entropy of their sizes, over 32.

    Fewer clusters where there are fewer than 128 records. Features are brought to one scale.
    """
    clusters = min(_CLUSTERS, len(features) // 4)
    if clusters < 2:
        return 1.0
    values = _scaled(features)
    if len(np.unique(values, axis=0)) < clusters:
        return 1.0 / clusters
    fitted: Any = KMeans(clusters, n_init=1, max_iter=20, random_state=seed).fit(values)
    shares = np.bincount(fitted.labels_, minlength=clusters) / len(values)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()) / clusters)


def neighbour_probe(features: Floats, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(n,) the class that the five nearest other records name by cosine; the nearest breaks ties.

    Each record is left out of its own neighbours, so the answers are of records not seen.
    """
    values = _scaled(features)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    near = values @ values.T
    np.fill_diagonal(near, -np.inf)
    count = min(_NEIGHBOURS, len(labels) - 1)
    order = np.argsort(-near, axis=1, kind="stable")[:, :count]
    votes = np.zeros((len(labels), int(labels.max()) + 1))
    for place in range(count):  # a nearer one counts a little more, which breaks ties
        votes[np.arange(len(labels)), labels[order[:, place]]] += 1 + 0.01 * (count - place)
    named: npt.NDArray[np.int64] = votes.argmax(1)
    return named


def linear_probe(
    features: Floats, labels: npt.NDArray[np.int64], seed: int = 0
) -> npt.NDArray[np.int64]:
    """(n,) the class that a linear model names which was fitted on the other folds.

    Where a class has one record, that record is always wrong.
    """
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    folds = StratifiedKFold(max(2, min(_FOLDS, fewest)), shuffle=True, random_state=seed)
    model: Any = LogisticRegression(C=1.0, max_iter=300)
    lone = np.isin(labels, np.flatnonzero(np.bincount(labels) == 1))
    said = np.full(len(labels), -1, np.int64)
    known = np.flatnonzero(~lone)
    if len(known) and len(np.unique(labels[known])) > 1:
        said[known] = cross_val_predict(model, _scaled(features)[known], labels[known], cv=folds)
    return said


def separability(one: Floats, other: Floats, seed: int = 0) -> float | None:
    """Area under the curve of a linear classifier that tells two sets apart; 0.5 is alike.

    Classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545). None where either has
    fewer than 20 records.
    """
    if len(one) < 20 or len(other) < 20:
        return None
    features = np.concatenate([one, other])
    side = np.repeat([1, 0], [len(one), len(other)])
    model: Any = LogisticRegression(C=0.1, class_weight="balanced", max_iter=300)
    folds = StratifiedKFold(4, shuffle=True, random_state=seed)
    said = cross_val_predict(model, features, side, cv=folds, method="decision_function")
    return float(roc_auc_score(side, said))


def _scaled(features: Floats) -> npt.NDArray[np.float64]:
    values = np.asarray(features, np.float64)
    scaled: npt.NDArray[np.float64] = (values - values.mean(0)) / (values.std(0) + 1e-6)
    return scaled
