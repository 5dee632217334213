"""How far people agree beyond chance, and what they say together.

`answers` (n, m) are class positions, one column a person, -1 where there is none. Every figure is
1 for perfect agreement and 0 for that of chance. Where only one class was ever named chance alone
would agree as well: the figure is NaN then, its interval everything from -1 to 1.

Intervals are 95 % percentile bootstrap over records. Where all agree no resample disagrees, and the
lower end is that of a Wilson interval of the share of records that are agreed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.dataset import Index
from leaven.evaluate.intervals import Estimate, percentiles, wilson
from leaven.learn.answers import check_answers, counted, distinct
from leaven.learn.label_models import dawid_skene, majority
from leaven.learn.predictions import Floats, Ints

__all__ = [
    "Adjudicated", "Period", "adjudicated", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha",
    "over_time",
]  # fmt: skip

_CELLS = 1_000_000  # of one block of resamples
_CONSENSUS = {"majority": majority, "dawid-skene": dawid_skene}
_SURE = {"majority": math.nextafter(0.5, 1), "dawid-skene": 0.9}


def cohen_kappa(
    first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> Estimate:
    """Cohen's kappa (1960) of two people, or models, on the records that both answered.

    (p_o - p_e) / (1 - p_e), with p_o the share that they agree on and p_e what two would agree on
    who answer at random, each with his own shares of the classes. `n` counts records of both.

    >>> first, second = [0] * 25 + [1] * 25, [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    >>> round(cohen_kappa(first, second).value, 2)
    0.4
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.ndim != 1 or one.shape != other.shape:
        raise SettingError("answers", "two lists of one length", (one.shape, other.shape))
    codes, k = check_answers(np.column_stack([one, other]))
    pairs = distinct(codes[(codes >= 0).all(axis=1)])
    agreed = pairs.rows[:, 0] == pairs.rows[:, 1]
    hot = [counted(pairs.rows[:, [j]], k) for j in (0, 1)]

    def kappa(sums: Floats) -> tuple[Floats, Floats]:
        n = sums[:, :1]
        by_chance = (sums[:, 2 : 2 + k] / n) * (sums[:, 2 + k :] / n)
        return sums[:, 1] / n[:, 0], by_chance.sum(axis=1)

    columns = np.column_stack([np.ones(len(agreed)), agreed, *hot]).astype(np.float64)
    return _estimated(columns, pairs.times, agreed, kappa, seed, resamples)


def fleiss_kappa(answers: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Estimate:
    """Fleiss' kappa (1971) of m people, who need not be the same ones for each record.

    Agreement is the share of agreeing pairs of answers, and chance has the shares of the classes
    among all answers. Raises SettingError where an answer is missing: see `krippendorff_alpha`.
    """
    codes, k = check_answers(answers)
    m = codes.shape[1]
    if m < 2 or (codes < 0).any():
        raise SettingError(
            "answers", "two or more of each record, none missing", codes.shape,
            "Use krippendorff_alpha where people answered some records only.",
        )  # fmt: skip
    units = distinct(counted(codes, k))
    pairs = ((units.rows**2).sum(axis=1) - m) / (m * (m - 1))

    def kappa(sums: Floats) -> tuple[Floats, Floats]:
        n = sums[:, :1]
        return sums[:, 1] / n[:, 0], ((sums[:, 2:] / (n * m)) ** 2).sum(axis=1)

    columns = np.column_stack([np.ones(len(pairs)), pairs, units.rows])
    return _estimated(columns, units.times, units.rows.max(axis=1) == m, kappa, seed, resamples)


def krippendorff_alpha(answers: npt.ArrayLike, *, seed: int = 0, resamples: int = 1000) -> Estimate:
    """Krippendorff's alpha for nominal data, any number of people and missing answers.

    1 - D_o / D_e by the coincidences of answers within records (Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability", C). Records with one answer, or none, pair with nothing and
    are left out; `n` counts the others.
    """
    codes, k = check_answers(answers)
    tally = counted(codes, k)
    units = distinct(tally[tally.sum(axis=1) > 1])
    size = units.rows.sum(axis=1)
    apart = (size**2 - (units.rows**2).sum(axis=1)) / np.maximum(size - 1, 1)

    def alpha(sums: Floats) -> tuple[Floats, Floats]:
        values = sums[:, 1:]
        n = values.sum(axis=1)
        return 1 - sums[:, 0] / n, (values * (values - 1)).sum(axis=1) / (n * (n - 1))

    columns = np.column_stack([apart, units.rows])
    alike = units.rows.max(axis=1, initial=0) == size
    return _estimated(columns, units.times, alike, alpha, seed, resamples)


@dataclass(frozen=True)
class Period:
    """Agreement in one period: of n records, the share agreed on, and Cohen's kappa."""

    period: Hashable
    n: int
    agreed: float
    kappa: Estimate


def over_time(
    periods: Sequence[Hashable], first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0
) -> list[Period]:
    """Cohen's kappa for each period, in the order in which the periods first occur.

    Of teacher and student, two views, person and model: a falling one warns before accuracy can
    be measured. `periods` (n,) such as the number of a round, or a date.
    """
    one, other = np.asarray(first), np.asarray(second)
    if not len(periods) == len(one) == len(other):
        raise SettingError("periods", "one a record", (len(periods), len(one), len(other)))
    place: dict[Hashable, list[int]] = {}
    for i, period in enumerate(periods):
        place.setdefault(period, []).append(i)
    found = []
    for period, at in place.items():
        kappa = cohen_kappa(one[at], other[at], seed=seed)
        both = (one[at] >= 0) & (other[at] >= 0)
        same = float((one[at] == other[at])[both].mean()) if both.any() else math.nan
        found.append(Period(period, kappa.n, same, kappa))
    return found


@dataclass(frozen=True, eq=False)
class Adjudicated:
    """What several people say together.

    `classes` (n,) is the consensus, -1 where there is none; `confidence` (n,) its probability,
    the share of the answers by majority; `third` are the positions of records that need one more
    opinion, the least sure first; `unasked` those that nobody answered. `accuracies` (m,) is how
    right each person seems by the consensus.
    """

    classes: Ints
    confidence: Floats
    third: Index
    unasked: Index
    accuracies: Floats


def adjudicated(
    answers: npt.ArrayLike,
    classes: int | None = None,
    *,
    by: str = "majority",
    at_least: int = 2,
    sure: float | None = None,
) -> Adjudicated:
    """The consensus of answers (n, m), and which records it is too weak for.

    Parameters
    ----------
    by : `majority`, or `dawid-skene`, which trusts each person as far as he agrees with others.
    at_least : answers under which a record needs one more opinion.
    sure : the probability that the consensus must have; by default more than half of the answers
        by majority, 0.9 by Dawid-Skene. A record that misses it keeps its likeliest class but
        needs one more opinion; a tie has no class.

    >>> told = adjudicated([[0, 0, -1], [0, 1, -1], [1, -1, -1], [-1, -1, -1]])
    >>> told.classes.tolist(), told.third.tolist(), told.unasked.tolist()
    ([0, -1, 1, -1], [1, 2], [3])
    """
    if by not in _CONSENSUS:
        raise UnknownNameError("consensus", by, _CONSENSUS)
    if at_least < 1:
        raise SettingError("at_least", "a number of answers, at least 1", at_least)
    if sure is not None and not 0 < sure <= 1:
        raise SettingError("sure", "a probability in (0, 1]", sure)
    codes, k = check_answers(answers, classes)
    soft = _CONSENSUS[by](codes, k)
    top = soft.probabilities.max(axis=1, initial=0)
    confidence = np.where(soft.voted, top, math.nan)
    named = soft.named()
    weak = top < (_SURE[by] if sure is None else sure)
    weak = (weak | (named < 0) | ((codes >= 0).sum(axis=1) < at_least)) & soft.voted
    third = np.flatnonzero(weak)
    third = third[np.argsort(top[third], kind="stable")]
    return Adjudicated(named, confidence, third, np.flatnonzero(~soft.voted), soft.accuracies)


#: Of sums over records (r, q), the agreement seen and that by chance, (r,) each.
Figure = Callable[[Floats], tuple[Floats, Floats]]


def _beyond(observed: Floats, expected: Floats) -> Floats:
    """Agreement beyond chance; NaN where chance agrees always."""
    room = 1 - expected
    lacking = room < 1e-12
    return np.where(lacking, math.nan, (observed - expected) / np.where(lacking, 1, room))


def _estimated(
    columns: Floats, times: Floats, alike: npt.NDArray[np.bool_], figure: Figure, seed: int,
    resamples: int,
) -> Estimate:  # fmt: skip
    """A figure of sums over records, `columns` (u, q) each `times` (u,), with its interval.

    Resamples of n records are multinomial counts of the u different ones. `alike` (u,) says on
    which all agree.
    """
    n = round(float(times.sum()))
    if not n:
        return Estimate(math.nan, -1.0, 1.0, 0)
    observed, expected = figure((times @ columns)[None, :])
    value = float(_beyond(observed, expected)[0])
    if math.isnan(value):
        return Estimate(value, -1.0, 1.0, n)
    if alike.all():
        # As few as Wilson's end may be agreed on elsewhere, with the classes as frequent as here.
        low = _beyond(np.asarray(wilson(n, n)[0]), expected)
        return Estimate(value, float(low[0]), 1.0, n)
    rng = np.random.default_rng(seed)
    size = max(1, _CELLS // len(times))
    blocks = []
    for start in range(0, resamples, size):
        drawn = rng.multinomial(n, times / n, size=min(size, resamples - start))
        blocks.append(_beyond(*figure(drawn @ columns)))
    return percentiles(value, np.concatenate(blocks), n)
