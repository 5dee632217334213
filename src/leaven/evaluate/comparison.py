"""Whether the unlabelled data helped: a paired comparison and its verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from leaven.core.errors import SettingError
from leaven.core.wording import count, many, points, span
from leaven.evaluate.intervals import Estimate, percentiles, resampled_sums
from leaven.evaluate.metrics import indicator
from leaven.evaluate.slices import sliced
from leaven.learn.history import Gain
from leaven.learn.predictions import Floats, Ints, check_predictions

__all__ = ["Verdict", "compare", "mcnemar", "paired", "unmeasured"]

_RESAMPLES = 10_000
_LEVEL = 0.05
#: Normal quantiles of a two-sided 5 % test that finds a true difference 8 times in 10.
_REACH = 1.959964 + 0.841621
_NORMAL = 1.959964
_HARMLESS, _RISK = 0.005, 0.2
#: How far, beyond chance, a gain in probability strays from the gain in accuracy on test records:
#: root mean square over sets with 4 labels a class, `python -m benchmarks.verdicts`.
_APART = 0.05
#: Six records, all in favour, is the least with which the exact test can reject (2 / 2**6).
_LEAST_DISAGREEMENTS = 6
_LEAST_GAINS = 4  # records whose gains have a variance, as Student's t has it
_MOST_NEEDED = 100_000


@dataclass(frozen=True)
class Verdict:
    """What the comparison says and which model ships.

    Attributes
    ----------
    outcome : `better`, `likely` (too few records to show it, but what was seen here and in the
        benchmark's history together say so), `unproven`, `worse`, `unmeasured` (no records to
        compare on) or `supervised` (the method asked for is the baseline itself).
    kept : the name of the method that ships.
    difference : accuracy of the method minus the baseline's, as a share; None if not measured.
    p_value : exact McNemar, two-sided; None if not measured.
    n : labelled records compared on.
    sentence : the finding, the number, what to do.
    needed : about how many labelled records would settle it; None if settled or out of reach.
    expected : the difference as experience and these records together let expect it, for
        `likely`; None where no experience was asked for.
    """

    outcome: str
    kept: str
    method: str
    baseline: str
    difference: Estimate | None
    p_value: float | None
    n: int
    sentence: str
    needed: int | None = None
    expected: Estimate | None = None


def compare(
    method_probs: npt.ArrayLike,
    baseline_probs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    method: str,
    baseline: str,
    seed: int = 0,
    parts: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    experience: Gain | None = None,
    gains: npt.ArrayLike | None = None,
) -> Verdict:
    """Compare two models on the same records, which neither was trained or tuned on.

    Parameters
    ----------
    method_probs, baseline_probs : (n, k) probabilities.
    targets : (n,) true class positions.
    parts : slices by name, (n,) each, on none of which the method may be shown to be worse.
    experience : what the method has gained over the baseline on other data, if that is known.
    gains : (n,) how much more probability the method gave to each true class, where that is known
        better than by the probabilities, whose temperatures are those of few records.

    The method is `better` only if the paired bootstrap interval of the accuracy difference lies
    above 0, the exact McNemar test (McNemar 1947; two-sided) has p < 0.05, and its balanced
    accuracy is not significantly lower, since a majority class can be won at the cost of the
    others, nor worse on a slice (see `sliced`). It is `worse` if interval and test agree on that.
    It is `likely` better where too few records were seen to show it, and experience of other data,
    weighed against what was seen, leaves at most one chance in five of a loss of more than half a
    point. What was seen is then how much oftener it was right, or how much more probability it gave
    to the true labels, whichever these records tell more exactly (see `_seen`). Otherwise the
    baseline is kept.

    Raises SettingError for arrays that are no probabilities or differ in shape.
    """
    ours, y = check_predictions(method_probs, targets)
    theirs, _ = check_predictions(baseline_probs, targets)
    n = len(y)
    if method == baseline:
        sentence = f"Trained on the labelled records alone; the {method} model ships."
        return Verdict("supervised", baseline, method, baseline, None, None, n, sentence)
    if not n:
        return unmeasured(method=method, baseline=baseline)
    our_hits, their_hits = ours.argmax(axis=1) == y, theirs.argmax(axis=1) == y
    won, lost = int((our_hits & ~their_hits).sum()), int((their_hits & ~our_hits).sum())
    difference, p_value = paired(our_hits, their_hits, seed=seed)
    ahead = difference.low > 0 and p_value < _LEVEL
    every = np.arange(n)
    surer: Floats = np.asarray(ours[every, y] - theirs[every, y] if gains is None else gains)
    expected = None
    if experience is not None and surer.any():  # two models that say the same are one
        expected = _expected(won, lost, surer, experience)
    hopeful = ahead or (expected is not None and _is_likely(expected, difference))
    lopsided = _balanced_loss(our_hits, their_hits, y, ours.shape[1], seed) if hopeful else None
    losing = [one for one in sliced(our_hits, their_hits, parts or {}) if one.lost]

    finding = f"{points(difference.value)} points ({span(difference.low, difference.high)})"
    records = many(n, "labelled record", "labelled records")
    keeping = f"the {baseline} model is kept"
    outcome, needed = "unproven", None
    if hopeful and lopsided is None and losing:
        sentence = (
            f"Not shown to be better everywhere: {finding} on the whole, but {losing[0]} records "
            f"({losing[0].p_value:.3f} by chance); {keeping}."
        )
    elif ahead and lopsided is None:
        outcome, sentence = "better", f"The unlabelled data helped: {finding}. Use it."
    elif difference.high < 0 and p_value < _LEVEL:
        outcome = "worse"
        sentence = (
            f"Worse by {points(-difference.value, sign=False)} points "
            f"({span(-difference.high, -difference.low)}); {keeping}."
        )
    elif hopeful and lopsided is None:
        assert experience is not None
        assert expected is not None
        outcome, needed = "likely", _needed(won, lost, n)
        sentence = (
            f"Likely better: {finding} on {records}, too few to show it, and "
            f"{points(float(surer.mean()))} points more probability for their labels; with the "
            f"experience of {experience.problems} other problems {points(expected.value)} points "
            f"({span(expected.low, expected.high)}) are expected. Use it; label more to be sure."
        )
    elif lopsided is not None:
        sentence = (
            f"Not shown to be better: {finding} in accuracy, but "
            f"{points(lopsided.value)} points ({span(lopsided.low, lopsided.high)}) in balanced "
            f"accuracy, so small classes pay for large ones; {keeping}."
        )
    elif not won and not lost:
        sentence = f"Not shown to be better: both are right on the same of {records}; {keeping}."
    else:
        needed = _needed(won, lost, n)
        advice = f" About {count(needed)} labelled records would settle it." if needed else ""
        sentence = f"Not shown to be better: {finding} on {records}; {keeping}.{advice}"
    kept = method if outcome in ("better", "likely") else baseline
    return Verdict(
        outcome, kept, method, baseline, difference, p_value, n, sentence, needed, expected
    )


def unmeasured(*, method: str, baseline: str, reason: str = "") -> Verdict:
    """The verdict where no labelled record is left to compare on; the baseline is kept.

    >>> unmeasured(method="fixmatch", baseline="supervised").sentence
    'Not measured: no labelled records are left to compare on; the supervised model is kept.'
    """
    why = reason or "no labelled records are left to compare on"
    sentence = f"Not measured: {why}; the {baseline} model is kept."
    return Verdict("unmeasured", baseline, method, baseline, None, None, 0, sentence)


def paired(ours: npt.ArrayLike, theirs: npt.ArrayLike, *, seed: int = 0) -> tuple[Estimate, float]:
    """Accuracy of ours minus theirs with its paired bootstrap interval, and the exact McNemar p.

    Parameters
    ----------
    ours, theirs : (n,) whether each model was right on the same n records, n at least 1.

    Raises SettingError where the two differ in shape or are empty.

    >>> difference, p_value = paired([True] * 8, [True] * 2 + [False] * 6)
    >>> difference.value, p_value
    (0.75, 0.03125)
    """
    a, b = np.asarray(ours, dtype=bool), np.asarray(theirs, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise SettingError("theirs", f"right or wrong for the same records as {a.shape}", b.shape)
    won, lost = int((a & ~b).sum()), int((b & ~a).sum())
    return _difference(won, lost, len(a), seed), mcnemar(won, lost)


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided p of as unequal a split of the records on which just one model is right.

    >>> mcnemar(6, 0)
    0.03125
    >>> mcnemar(0, 0)
    1.0
    """
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _difference(won: int, lost: int, n: int, seed: int) -> Estimate:
    """Accuracy difference with its paired bootstrap interval.

    A record counts +1, 0 or -1, so resampling records is a draw from a multinomial of three.
    """
    shares = np.array([won, lost, n - won - lost]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=_RESAMPLES)
    resampled: Floats = (drawn[:, 0] - drawn[:, 1]) / n
    return percentiles((won - lost) / n, resampled, n)


def _expected(won: int, lost: int, gains: Floats, experience: Gain) -> Estimate:
    """The difference to be expected: what was seen, drawn towards what others saw (95 %).

    Both are taken for normal: the gain of the problem at hand is one of those of which
    `experience` knows mean and spread, and what is seen strays from it by its error.
    """
    seen, error = _seen(won, lost, gains)
    trust = experience.spread**2 / (experience.spread**2 + error)
    value = experience.mean + trust * (seen - experience.mean)
    width = _NORMAL * math.sqrt(trust * error)
    return Estimate(value, value - width, value + width, len(gains))


def _seen(won: int, lost: int, gains: Floats) -> tuple[float, float]:
    """The gain that these records tell, and its variance: the more exact one of two readings.

    How much oftener the method was right has no bias, but on a dozen records it moves by whole
    records (one more of each kind keeps its variance from being nought). How much more probability
    it gave to the true labels, `gains` (n,), moves little from record to record, and strays from
    what is meant by `_APART`.
    """
    n = len(gains)
    right = (won - lost) / n, ((won + lost + 2) / (n + 3)) / n
    if n < _LEAST_GAINS:
        return right
    chance = float(gains.var(ddof=1)) / n * (n - 1) / (n - 3)  # that of Student's t
    given = float(gains.mean()), chance + _APART**2
    return min(right, given, key=lambda reading: reading[1])


def _is_likely(expected: Estimate, seen: Estimate) -> bool:
    """Whether a gain is expected, a loss of more than half a point is not, and none was shown."""
    spread = (expected.high - expected.low) / (2 * _NORMAL)
    loss = NormalDist(expected.value, max(spread, 1e-9)).cdf(-_HARMLESS)
    return expected.value > 0 and loss <= _RISK and seen.high >= 0


def _balanced_loss(
    ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_], y: Ints, k: int, seed: int
) -> Estimate | None:
    """The difference in balanced accuracy if its whole interval lies below 0, else None."""
    gain = ours.astype(np.float64) - theirs
    columns = indicator(y, k, gain), indicator(y, k)
    whole = [np.asarray(c.sum(axis=0), dtype=np.float64)[None, :] for c in columns]
    resampled = resampled_sums(*columns, seed=seed, resamples=2000)
    value, drawn = (_mean_recall_gain(*sums) for sums in (whole, resampled))
    estimate = percentiles(float(value[0]), drawn, len(y))
    return estimate if estimate.high < 0 else None


def _mean_recall_gain(gain: Floats, size: Floats) -> Floats:
    """Mean over the classes present of the gain in recall, one value a row."""
    shares = np.divide(gain, size, out=np.zeros_like(gain), where=size > 0)
    return np.asarray(shares.sum(axis=1) / (size > 0).sum(axis=1), dtype=np.float64)


def _needed(won: int, lost: int, n: int) -> int | None:
    """Records for which a difference as seen would be proven 8 times in 10; None if out of reach.

    The records' gains (+1, 0, -1) have this mean and variance, so the test reaches it with
    (z * spread / mean)² of them; the exact test asks for six disagreements besides.
    """
    mean = (won - lost) / n
    if mean <= 0:
        return None
    disagree = (won + lost) / n
    enough = max(
        (_REACH / mean) ** 2 * (disagree - mean**2), _LEAST_DISAGREEMENTS / disagree, n + 1
    )
    if enough > _MOST_NEEDED:
        return None
    step = max(10 ** (math.floor(math.log10(enough)) - 1), 1)
    return int(math.ceil(enough / step) * step)
