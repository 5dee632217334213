"""Whether a confidence of 0.8 is right eight times in ten, and the one number that mends it.

Sources: the expected calibration error, Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017, section 2; bins of equal size, Nixon et al., "Measuring Calibration in Deep Learning",
CVPR workshops 2019, section 3. The number itself is fitted in `learn/temperature.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from leaven.core.errors import SettingError
from leaven.evaluate.intervals import wilson
from leaven.learn.predictions import Floats, Ints, check_predictions, check_targets
from leaven.learn.temperature import HIGHEST, LOWEST, apply, check_logits, fit_temperature

__all__ = [
    "adaptive_ece",
    "apply",
    "bin_of",
    "brier",
    "cross_fitted",
    "ece",
    "fit_temperature",
    "likelihood",
    "reliability",
    "transfer_temperature",
]


def cross_fitted(
    logits: npt.ArrayLike, targets: npt.ArrayLike, fold: npt.ArrayLike
) -> tuple[Floats, float]:
    """Calibrated probabilities (n, k) for the records themselves, and the temperature of all.

    The records of each fold get the temperature fitted on the other folds, so none is reported
    with a temperature it helped to choose. The second value, fitted on all, is for new records.
    A single fold has no others and is left as it is (temperature 1).
    """
    z = check_logits(logits)
    y = check_targets(targets, *z.shape)
    folds = np.asarray(fold)
    if folds.shape != y.shape:
        raise SettingError("fold", f"{len(y)} fold numbers, one a record", folds.shape)
    probabilities = np.empty_like(z)
    for number in np.unique(folds):
        here = folds == number
        probabilities[here] = apply(z[here], fit_temperature(z[~here], y[~here]))
    return probabilities, fit_temperature(z, y)


def likelihood(logits: npt.ArrayLike, targets: npt.ArrayLike) -> Floats:
    """(n,) probabilities of the true classes, calibrated by one temperature of all n records.

    It knows these records, if by one number: to compare two models on them, not to report one.
    A temperature for each fold's records, of the others, is a rough one where there are few.
    """
    z = check_logits(logits)
    y = check_targets(targets, *z.shape)
    told: Floats = apply(z, fit_temperature(z, y))[np.arange(len(y)), y]
    return told


def transfer_temperature(logits: npt.ArrayLike, confidence: float) -> float:
    """The temperature at which the mean confidence of these logits (n, k) is the one given.

    For a model without labelled records of its own to calibrate it on: models trained alike on
    parts of the data were calibrated on the rest, and said so much of unlabelled records that
    none of them was trained on. The mean confidence falls as the temperature rises, so there is
    one answer; it is cut to [0.05, 20].
    """
    z = check_logits(logits)

    def excess(log_temperature: float) -> float:
        return float(apply(z, math.exp(log_temperature)).max(axis=1).mean()) - confidence

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if excess(low) <= 0:
        return LOWEST
    if excess(high) >= 0:
        return HIGHEST
    return math.exp(float(brentq(excess, low, high, xtol=1e-6)))


def bin_of(confidence: Floats, bins: int) -> Ints:
    """The bin of equal width, 0 to bins - 1, in which each confidence falls."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def ece(probabilities: npt.ArrayLike, targets: npt.ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the predicted class, bins of equal width (Guo 2017, eq. 3).

    The mean, over records, of |accuracy - confidence| of their bin. Few records make it too
    large: n records in b bins cannot agree exactly.
    """
    p, y = check_predictions(probabilities, targets)
    if not len(y):
        return math.nan
    gap = p.max(axis=1) - (p.argmax(axis=1) == y)
    sums = np.bincount(bin_of(p.max(axis=1), bins), weights=gap, minlength=bins)
    return float(np.abs(sums).sum() / len(y))


def adaptive_ece(probabilities: npt.ArrayLike, targets: npt.ArrayLike, bins: int = 15) -> float:
    """The same with bins of equal size, over all k probabilities (Nixon 2019, eq. 3)."""
    p, y = check_predictions(probabilities, targets)
    n, k = p.shape
    if not n:
        return math.nan
    hit = np.equal(np.arange(k), y[:, None])
    order = np.argsort(p, axis=0, kind="stable")
    gap = np.take_along_axis(p - hit, order, axis=0)
    edges = np.unique(np.linspace(0, n, min(bins, n) + 1).astype(np.int64))[:-1]
    sums = np.add.reduceat(gap, edges, axis=0)
    sizes = np.diff(np.append(edges, n))[:, None]
    return float(np.mean(np.abs(sums / sizes)))


def brier(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean squared distance of the probabilities from the true class, in [0, 2] (Brier 1950)."""
    p, y = check_predictions(probabilities, targets)
    if not len(y):
        return math.nan
    return float(np.mean((p**2).sum(axis=1) - 2 * p[np.arange(len(y)), y] + 1))


def reliability(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, bins: int = 10
) -> list[dict[str, Any]]:
    """The reliability diagram as rows: for each bin of confidence how often it was right.

    Keys: low, high (the bin), confidence (mean), accuracy, n, accuracy_low, accuracy_high
    (95 %, Wilson). An empty bin has n = 0 and None for its figures.
    """
    p, y = check_predictions(probabilities, targets)
    confidence = p.max(axis=1)
    place = bin_of(confidence, bins)
    n = np.bincount(place, minlength=bins)
    right = np.bincount(place, weights=p.argmax(axis=1) == y, minlength=bins)
    total = np.bincount(place, weights=confidence, minlength=bins)
    low, high = wilson(right, n)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "confidence": float(total[b] / n[b]) if n[b] else None,
            "accuracy": float(right[b] / n[b]) if n[b] else None,
            "n": int(n[b]),
            "accuracy_low": float(low[b]) if n[b] else None,
            "accuracy_high": float(high[b]) if n[b] else None,
        }
        for b in range(bins)
    ]
