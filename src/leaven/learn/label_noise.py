"""How many labels are wrong, as far as a model that has not seen them can tell.

`features` are (n, width); `y` (n,) class numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.covariance import LedoitWolf

from leaven.data.dataset import Index
from leaven.learn.two_samples import Floats

__all__ = ["Noise", "Share", "cross_fitted", "label_noise", "share"]

_FOLDS = 5
_PLANTED = 0.1  # of the labels, turned into others to see how many of them are noticed
_TIMES = 5
_FEWEST, _EACH = 60, 8  # labelled records, in all and a class, under which nothing can be said
_SUREST = 25  # records at least of which the model is surest


@dataclass(frozen=True)
class Share:
    """A share of n, with its 95 % Wilson interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Noise:
    """Wrong labels.

    `rate` is the share of other labels among the labelled records of which the model is surest;
    `caught` the share of planted wrong labels that is noticed; `flagged` positions of records whose
    label the model doubts, the surest first; `precision` the share of these that is wrong, as the
    two let expect (None where nothing is flagged). `disagreement` is the share of all labelled
    records of which the model says something else.
    """

    rate: Share
    caught: Share
    flagged: Index
    precision: Share | None
    disagreement: float


def share(successes: int, n: int) -> Share:
    """A share and its interval.

    >>> share(8, 10)
    Share(value=0.8, low=0.4902, high=0.9433, n=10)
    """
    if not n:
        return Share(float("nan"), 0.0, 1.0, 0)
    ends: Any = binomtest(int(successes), int(n)).proportion_ci(method="wilson")
    return Share(successes / n, round(float(ends.low), 4), round(float(ends.high), 4), int(n))


def cross_fitted(
    features: Floats, y: Index, others: Floats, classes: int, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(n, classes) what each labelled record, and (m, classes) what each other one, seems to be.

    A discriminant with one covariance for all classes, shrunk (Ledoit & Wolf 2004), fitted on four
    fifths of the labels. No labelled record is asked of a model that saw its label, and each other
    record asks one of the models, so that the two are comparable.
    """
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    order = np.lexsort((rng.random(len(y)), y))
    fold[order] = (np.arange(len(y)) + rng.integers(_FOLDS)) % _FOLDS
    turn = rng.permutation(len(others)) % _FOLDS
    said, told = np.zeros((len(y), classes)), np.zeros((len(others), classes))
    for held in range(_FOLDS):
        weights, offset = _discriminant(features[fold != held], y[fold != held], classes)
        said[fold == held] = _softmax(features[fold == held] @ weights + offset)
        told[turn == held] = _softmax(others[turn == held] @ weights + offset)
    return said, told


def label_noise(
    features: Floats, y: Index, classes: int, said: npt.NDArray[np.float64], seed: int = 0
) -> Noise | None:
    """How many labels are wrong; None of under 60 records or under 8 a class.

    `said` is what `cross_fitted` says of the records. Among those of which a model is surest it
    errs least, so another label there is mostly a wrong label: the lowest rate over regions stands
    for the noise, as anchor points do (Liu & Tao 2016, IEEE TPAMI 38, section 3.3; Northcutt,
    Jiang & Chuang 2021, JAIR 70, on doubting single labels). It is an upper estimate where the
    classes overlap even there. How many wrong labels are noticed is known from those that were
    planted.
    """
    if len(y) < _FEWEST or len(y) < _EACH * len(np.unique(y)):
        return None
    sure = np.argsort(-said.max(1), kind="stable")
    doubted = said.argmax(1) != y
    top = sure[: max(_SUREST, len(y) // 4)]
    rate = share(int(doubted[top].sum()), len(top))
    half = sure[: max(_SUREST, len(y) // 2)]
    flagged = half[doubted[half]]
    noticed = planted = 0
    for time in range(_TIMES):
        rng = np.random.default_rng((seed, time))
        changed = rng.random(len(y)) < _PLANTED
        others = y.copy()
        others[changed] = (y[changed] + rng.integers(1, classes, changed.sum())) % classes
        told, _ = cross_fitted(features, others, features[:0], classes, seed + time)
        near = np.argsort(-told.max(1), kind="stable")[: len(half)]
        planted += int(changed.sum())
        noticed += int((changed[near] & (told[near].argmax(1) != others[near])).sum())
    caught = share(noticed, planted)
    return Noise(
        rate,
        caught,
        flagged,
        _precision(rate, caught, len(flagged) / len(y), len(flagged)),
        float(doubted.mean()),
    )


def _precision(rate: Share, caught: Share, flagged: float, n: int) -> Share | None:
    """Wrong ones among the flagged: those that there are, times the share that is caught."""
    if not flagged or not caught.n:
        return None
    value, low, high = (
        min(1.0, r * c / flagged)
        for r, c in ((rate.value, caught.value), (rate.low, caught.low), (rate.high, caught.high))
    )
    return Share(value, round(low, 4), round(high, 4), n)


def _discriminant(
    x: Floats, y: Index, classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights (width, classes) and offsets (classes,); a class without records is never named."""
    n = np.bincount(y, minlength=classes)
    hot = np.zeros((len(y), classes))
    hot[np.arange(len(y)), y] = 1
    means = hot.T @ x / np.maximum(n, 1)[:, None]
    residual = x - means[y]
    free = len(y) - int((n > 0).sum())
    if free < 5:  # one record a class: its spread is unknown, that of all has to do
        residual, free = x - x.mean(0), len(y) - 1
    fitted: Any = LedoitWolf(assume_centered=True).fit(residual)
    spread = fitted.covariance_ * len(y) / max(free, 1)
    spread[np.diag_indices_from(spread)] += 1e-6 * np.trace(spread) / len(spread) + 1e-12
    weights = np.linalg.solve(spread, means.T)
    with np.errstate(divide="ignore"):
        prior = np.log(n / max(len(y), 1))
    return weights, prior - 0.5 * (means.T * weights).sum(0)


def _softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    raised = np.exp(scores - scores.max(1, keepdims=True))
    found: npt.NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return found
