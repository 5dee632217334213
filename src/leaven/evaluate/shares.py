"""How frequent the classes are where labels do not say: estimated from unlabelled records.

Who labels the same number of each class knows nothing of their shares, and a model that is taught
so takes all for equally frequent. The shares are those under which its calibrated probabilities,
with their class biases mended on records left out, make the unlabelled records most likely
(Saerens, Latinne & Decaestecker 2002; bias-corrected calibration: Alexandari, Kundaje & Shrikumar
2020).

Few labels leave the calibration unsure, and an error in it becomes a larger one in the shares. Two
things tell how much of the estimate to trust:

- The labelled records are drawn again many times, which tells how far it strays.
- Were the shares equal, a model would on average say of the unlabelled records what it says of
  labelled ones that it was not taught (Lipton, Wang & Smola 2018). Where the difference could be
  chance, there is nothing to estimate. This asks nothing of the calibration, which eight labels
  cannot tell: there the draws agree with each other, and are wrong together.

The estimate is drawn towards the shares that are expected before any record is read, by as much as
it strays, or by as much of the difference as is chance (James & Stein 1961), whichever is more.
Equal shares are expected, and what still differs from them by less than 0.15 in total variation is
not believed; but where two classes answer a question by yes and no (`class_names.saying_no`), three
in four are expected to be no, and fewer than ten labels of a class do not overrule the names. Who
knows the shares can give them instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import f as f_distribution

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.wording import percent
from leaven.learn.class_names import saying_no
from leaven.learn.predictions import Floats, Ints

__all__ = ["Shares", "drawn_evenly", "estimate_shares", "expected_shares", "given_shares"]

_DRAWS = 30
_MOST = 1500  # unlabelled records that are read
_LEAST = 100  # … and with fewer nothing is estimated
_MOST_CLASSES = 50
_FEW = 10  # labels a class, under which that no difference is seen does not mean that there is none
_BIAS = 0.5  # spread of a class's bias before any record is seen, in nats
_SHARPNESS = 0.5  # spread of the logarithm of the temperature
_FLOOR = 1e-4
_ROUNDED = 0.011  # that given shares may lack of 1, or have too much
_NAMED, _STEPS = 0.4, 21
_EVENLY = 0.8
_SAME, _TIED = 0.5, 3  # of the classes, and classes at least, must have equally many labels
_NO = 0.75  # of records are expected to be of the class that says no
#: Where all classes are equally frequent the estimate still strays by a tenth or so from that.
_APART = 0.15
_UNEVEN = 0.05  # a class whose share is further from an equal one makes the records uneven
_CHANCE = 0.1  # a difference that the expected shares show as often is no sign of others
_NO_DOUBT = 1e-9  # variance of what is said of a class's records, below which there is no chance
_OF_SEVERAL = 0.7  # of the estimate is kept where there are more than two classes to mistake


@dataclass(frozen=True)
class Shares:
    """The classes' estimated shares among the unlabelled records.

    `labelled` (k,) are those of the labels, `expected` (k,) those expected before a record is read,
    `estimated` (k,) with `low` and `high` (95 % of the draws, and the estimate itself), `trust` in
    [0, 1] how much of the difference from the expected ones is kept. Where labels were not drawn
    evenly they tell the shares themselves: then all are `labelled`. Shares that were `given` are
    not estimated. They are `untold` where labels were drawn evenly and records do not tell either.
    """

    labelled: tuple[float, ...]
    expected: tuple[float, ...]
    estimated: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    trust: float
    sentence: str
    given: bool = False
    untold: bool = False

    @property
    def shifted(self) -> bool:
        """Whether the estimate differs from the labels' shares."""
        return self.estimated != self.labelled

    def used(self, outputs: Floats) -> tuple[float, ...]:
        """(k,) shares that a model with these outputs (u, k) for unlabelled records predicts for.

        They are on the way from the labels' shares to the estimated ones, as far as every class is
        still named. For a model that is sure of little the likeliest class is the commonest,
        whatever the record: right most often, and of no use. So each class is to be named at least
        0.4 times as often as it is there.
        """
        if not self.shifted or not len(outputs):
            return self.estimated
        estimated, labelled = np.array(self.estimated), np.maximum(self.labelled, _FLOOR)
        ratio, k = np.log(estimated / labelled), len(labelled)
        for part in np.linspace(1, 0, _STEPS):
            named = np.bincount((outputs + part * ratio).argmax(1), minlength=k) / len(outputs)
            if (named >= _NAMED * estimated).all():
                break
        used = labelled * np.exp(part * ratio)
        return _plain(used / used.sum())


def drawn_evenly(counts: npt.ArrayLike) -> float:
    """How probable it is that labels were drawn class by class, equally many of each.

    `counts` (k,) are the labels of each class. Records drawn as they come give any composition of
    the n labels, each as likely as another where nothing is known of the shares (Laplace); equal
    counts are one of C(n + k - 1, k - 1). Both ways of drawing are taken for equally likely before.
    Classes that had fewer records than were asked for may have fewer.

    >>> round(drawn_evenly([4, 4]), 2), round(drawn_evenly([7, 1]), 2)
    (0.9, 0.0)
    """
    number = np.asarray(counts, np.int64)
    number = number[number > 0]
    n, k = int(number.sum()), len(number)
    most = int((number == number.max()).sum())
    if k < 2 or (most < k and (most < _TIED or most < _SAME * k)):
        return 0.0
    compositions = math.lgamma(n + k) - math.lgamma(k) - math.lgamma(n + 1)
    return 1 / (1 + math.exp(-min(compositions, 50.0)))


def expected_shares(classes: tuple[str, ...]) -> Floats | None:
    """(k,) shares before any record is read, where the names of two classes tell; else None.

    >>> expected_shares(("yes", "no")), expected_shares(("cat", "dog"))
    (array([0.25, 0.75]), None)
    """
    no = saying_no(classes)
    return None if no is None else np.where(np.arange(2) == no, _NO, 1 - _NO)


def given_shares(given: Mapping[str, float], classes: Sequence[str]) -> Floats:
    """(k,) shares as they were given; classes that are not named have the rest in equal parts.

    Raises UnknownNameError for a class that is not there, SettingError for shares that are none.

    >>> given_shares({"fraud": 0.04}, ["fraud", "honest"]).tolist()
    [0.04, 0.96]
    """
    for name, share in given.items():
        if name not in classes:
            raise UnknownNameError("share", name, classes)
        if not 0 < share < 1:
            raise SettingError("share", f"more than 0 and less than 1 for {name!r}", share)
    rest, total = [name for name in classes if name not in given], sum(given.values())
    left = 1 - total
    if (rest and left <= 0) or (not rest and abs(left) > _ROUNDED):
        wanted = "less than 1 together, for others are left" if rest else "1 together"
        raise SettingError("share", wanted, f"{total:g}")
    shares = np.array([given.get(name, left / max(len(rest), 1)) for name in classes])
    return np.asarray(shares / shares.sum())


def estimate_shares(
    left_out: Floats,
    targets: Ints,
    unlabelled: Floats,
    classes: tuple[str, ...],
    seed: int = 0,
    *,
    counts: Ints | None = None,
    expected: Floats | None = None,
    given: Floats | None = None,
) -> Shares:
    """The shares of the classes among the unlabelled records.

    Parameters
    ----------
    left_out : (n, k) outputs for labelled records by models that were not taught them.
    targets : (n,) their classes.
    unlabelled : (u, k) outputs of the model for unlabelled records.
    counts : (k,) all labelled records of each class; those of `targets` where not given.
    expected : (k,) shares expected before any record is read; those of the labels where not given.
    given : (k,) shares that are known; then nothing is estimated.
    """
    k, judged = len(classes), np.bincount(targets, minlength=len(classes))
    counts = judged if counts is None else counts
    labelled = counts / max(counts.sum(), 1)
    if given is not None:
        return _as_given(labelled, given)
    by_name = expected is not None
    least = 0.0 if by_name else _APART  # there is nothing special about three in four
    expected = labelled if expected is None else expected
    if drawn_evenly(counts) < _EVENLY:
        return _as_labelled(labelled, "The labels' own shares are taken for those of all records.")
    few = f"Labels were drawn evenly; with {len(unlabelled)} unlabelled records of {k} classes "
    if len(unlabelled) < _LEAST or k > _MOST_CLASSES or judged.min() < 2:
        few += "the true shares are not estimated."
        return replace(_as_labelled(labelled, few), untold=True)
    rng = np.random.default_rng([seed, 11])
    asked = unlabelled[rng.permutation(len(unlabelled))[:_MOST]]
    members = [np.flatnonzero(targets == c) for c in range(k)]
    sizes = np.maximum(np.rint(labelled * len(targets)), 1).astype(np.int64)  # as it was taught
    draws = []
    for _ in range(_DRAWS):
        drawn = np.concatenate([rng.choice(*one) for one in zip(members, sizes, strict=True)])
        sharpness, bias = _calibration(left_out[drawn], targets[drawn])
        pseudo = len(asked) * (k - 1) / len(targets) * expected
        draws.append(_most_likely(softmax(asked * sharpness + bias, axis=1), labelled, pseudo))
    found = np.array(draws)
    middle = found.mean(0)
    strays = float(((found - middle) ** 2).sum(1).mean())
    trust = min(
        _kept(float(((middle - expected) ** 2).sum()), strays),
        _shown(softmax(left_out, axis=1), targets, softmax(asked, axis=1), expected),
    )
    trust *= 1.0 if k == 2 else _OF_SEVERAL
    if np.abs(middle - expected).sum() / 2 < least or (by_name and judged.min() < _FEW):
        trust = 0.0
    estimated = np.maximum(expected + trust * (middle - expected), _FLOOR)
    estimated /= estimated.sum()
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    low, high = np.minimum(low, estimated), np.maximum(high, estimated)
    return Shares(
        _plain(labelled), _plain(expected), _plain(estimated), _plain(low), _plain(high), trust,
        _sentence(expected, estimated, low, high, trust, classes),
        untold=not trust and int(judged.min()) < _FEW,
    )  # fmt: skip


def _as_labelled(labelled: Floats, sentence: str) -> Shares:
    told = _plain(labelled)
    return Shares(told, told, told, told, told, 0.0, sentence)


def _as_given(labelled: Floats, given: Floats) -> Shares:
    told = _plain(given)
    sentence = (
        "The classes' shares are those that were given. Predictions are made for them, as far as "
        "every class is still named; --decide balanced takes all classes for equal."
    )
    return Shares(_plain(labelled), told, told, told, told, 1.0, sentence, given=True)


def _kept(squared: float, variance: float) -> float:
    """What James & Stein keep of a vector of that squared length; in [0, 1]."""
    return max(0.0, 1 - variance / max(squared, 1e-12))


def _shown(left_out: Floats, targets: Ints, asked: Floats, expected: Floats) -> float:
    """How much of the difference between what is said of labelled and unlabelled records is shift.

    Of the `expected` shares (k,) the mean of `asked` (u, k) is that of `left_out` (n, k), each
    class with its share, but for the chance of which records have labels. The squared distance of
    the means is held against the variance within classes; its degrees of freedom are fewer than
    k - 1 where only some classes are confused (Box 1954). Returns 0 where such a distance is seen
    in more than one of ten cases of the expected shares.
    """
    k = left_out.shape[1]
    mean = np.array([left_out[targets == c].mean(0) for c in range(k)])
    worth = 1 / float((expected**2 / np.bincount(targets, minlength=k)).sum())
    apart = left_out - mean[targets]
    inner = len(left_out) - k
    covariance = apart.T @ apart / inner
    variance = float(np.trace(covariance))
    if variance < _NO_DOUBT:
        return 1.0
    freedom = variance**2 / float((covariance**2).sum())
    squared = float(((asked.mean(0) - expected @ mean) ** 2).sum())
    ratio = squared * worth / variance
    if ratio < f_distribution.isf(_CHANCE, freedom, freedom * inner):
        return 0.0
    return _kept(squared, variance / worth)


def _calibration(outputs: Floats, targets: Ints) -> tuple[float, Floats]:
    """Sharpness and a bias a class (k,) that make the labels most likely, both held near none."""
    rows = np.arange(len(targets))

    def cost(values: Floats) -> tuple[float, Floats]:
        sharpness, bias = math.exp(values[0]), values[1:]
        logits = outputs * sharpness + bias
        said = log_softmax(logits, axis=1)
        apart = np.exp(said)
        apart[rows, targets] -= 1
        value = -said[rows, targets].sum() + values[0] ** 2 / (2 * _SHARPNESS**2)
        value += (bias**2).sum() / (2 * _BIAS**2)
        slope = (apart * outputs).sum() * sharpness + values[0] / _SHARPNESS**2
        return float(value), np.r_[slope, apart.sum(0) + bias / _BIAS**2]

    found: Any = minimize(cost, np.zeros(outputs.shape[1] + 1), jac=True, method="L-BFGS-B")
    return math.exp(found.x[0]), found.x[1:]


def _most_likely(probabilities: Floats, labelled: Floats, pseudo: Floats) -> Floats:
    """(k,) shares by expectation-maximisation; `pseudo` (k,) records stand for expected shares."""
    shares, n = labelled.copy(), len(probabilities)
    for _ in range(200):
        own = probabilities * (shares / labelled)
        own /= own.sum(1, keepdims=True)
        renewed = (own.sum(0) + pseudo) / (n + pseudo.sum())
        if np.abs(renewed - shares).max() < 1e-5:
            break
        shares = renewed
    return np.asarray(renewed)


def _sentence(
    expected: Floats,
    estimated: Floats,
    low: Floats,
    high: Floats,
    trust: float,
    classes: tuple[str, ...],
) -> str:
    if not trust and expected.max() > expected.min():
        first = int(expected.argmax())
        return (
            "Labels were drawn evenly, and what the model says of the unlabelled records does not "
            f"tell the shares. As {classes[first]!r} answers no, where yes is mostly the rarer, "
            f"predictions are made as if it were {percent(float(expected[first]))} of the records, "
            "as far as every class is still named. Where you know the share, fit with --share; "
            "--decide balanced takes both classes for equal."
        )
    if not trust:
        return (
            "Labels were drawn evenly, and what the model says of the unlabelled records does not "
            "tell other shares: the classes are taken for equally frequent."
        )
    first = int(estimated.argmax())
    interval = f"{percent(float(low[first]))} to {percent(float(high[first]))}"
    uneven = np.abs(estimated - 1 / len(estimated)).max() > _UNEVEN
    records = "the records are not" if uneven else "and so, about, are the records"
    return (
        f"Labels were drawn evenly, {records}: the commonest class among the unlabelled "
        f"ones is probably {classes[first]!r}, {percent(float(estimated[first]))} ({interval}). "
        "Predictions are made for such shares, as far as every class is still named; --decide "
        "balanced takes all classes for equal."
    )


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
