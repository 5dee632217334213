"""Learning curves: accuracy by the number of labels and by the number of unlabelled records.

Every accuracy is out of fold: a record is judged by models that were taught by others only, and
has no part in them, not even as an unlabelled record.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.wording import count, many
from leaven.data.dataset import Index
from leaven.evaluate.advice import advise_labels, advise_unlabelled
from leaven.evaluate.curve_plan import LEAST, Plan
from leaven.evaluate.forecast import forecast
from leaven.evaluate.intervals import Estimate
from leaven.learn.classic_method import ClassicMethod, Frozen

__all__ = ["Growth", "Point", "grow"]

Floats = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Point:
    """The mean accuracy at one size with its 95 % interval.

    `size` counts labels or unlabelled records that taught; `spread` is the standard deviation of
    the accuracy from one repetition to another; `n` counts judged records.
    """

    size: int
    value: float
    low: float
    high: float
    spread: float
    n: int


@dataclass(frozen=True)
class Growth:
    """Learning curves, what the next `ahead` labels are worth, and what to do.

    `labels` are points by number of labels, `unlabelled` by number of unlabelled records (empty
    where the method reads none), `curve` what was fitted, read at sizes up to `labelled + ahead`.
    `now`, `then`, `gain` (what one will see) and `expected` (its mean over the records that may be
    drawn) are None where there were too few labels to judge. `outcome` is
    `go on`, `perhaps`, `stop` or `unknown`; `doubled` is what the last doubling of the unlabelled
    records brought. `pool` unlabelled records were read of the `known` ones.
    """

    method: str
    labelled: int
    pool: int
    known: int
    ahead: int
    worth: float
    folds: int
    repeats: int
    planned: int
    labels: tuple[Point, ...]
    unlabelled: tuple[Point, ...]
    curve: tuple[Point, ...]
    now: Estimate | None
    then: Estimate | None
    gain: Estimate | None
    expected: Estimate | None
    doubled: Estimate | None
    outcome: str
    sentence: str
    unlabelled_sentence: str
    note: str


def grow(
    known: Frozen,
    method: ClassicMethod,
    *,
    seed: int = 0,
    seconds: float | None = 20.0,
    ahead: int = 50,
    worth: float = 0.005,
    units: Index | None = None,
) -> Growth:
    """Measure learning curves out of fold, and forecast what `ahead` more labels are worth.

    Parameters
    ----------
    known : features, labels and unlabelled records, as the method learns from them.
    method : the method with its settings.
    seconds : whole repetitions are left out that would end later; the first one always ends. None
        for as much as the numbers of records allow, whatever the clock says.
    ahead : labels to look ahead, drawn as those that are there.
    worth : a gain in accuracy under which labelling is not worth it, a share.
    units : (labelled,) which records are one (copies, one patient) and are never parted.

    The same seed gives the same curves; under a time, as long as it suffices for as many
    repetitions.
    Raises SettingError for an `ahead` under 1 or a `worth` outside [0, 1].
    """
    if ahead < 1:
        raise SettingError("ahead", "a number of labels, at least 1", ahead)
    if not 0 <= worth <= 1:
        raise SettingError("worth", "a share of the records in [0, 1]", worth)
    plan = Plan.of(known, method, seed, seconds, units)
    if plan is None:
        return _unknown(known, method, ahead, worth)
    by_size, by_share = _measured(plan, seconds)
    gap = forecast(
        plan.sizes.astype(float), *_moments(by_size), known.labelled, ahead, by_size.shape[2],
        _luck(by_size, plan), seed,
    )  # fmt: skip
    unlabelled: tuple[Point, ...] = ()
    doubled = None
    if len(plan.shares) > 1:
        unlabelled = tuple(_points(plan.shares, by_share))
        doubled = _paired(by_share[:, -1], by_share[:, -2])
    outcome, sentence = advise_labels(gap.gain, gap.expected, known.labelled, ahead, worth)
    return Growth(
        method=method.name,
        labelled=known.labelled,
        pool=plan.pool,
        known=len(known.places),
        ahead=ahead,
        worth=worth,
        folds=plan.folds,
        repeats=len(by_size),
        planned=plan.repeats,
        labels=tuple(_points(plan.sizes, by_size)),
        unlabelled=unlabelled,
        curve=tuple(Point(m, e.value, e.low, e.high, 0.0, e.n) for m, e in gap.curve),
        now=gap.now,
        then=gap.then,
        gain=gap.gain,
        expected=gap.expected,
        doubled=doubled,
        outcome=outcome,
        sentence=sentence,
        unlabelled_sentence=advise_unlabelled(doubled, worth),
        note=_note(plan, len(by_size)),
    )


def _measured(plan: Plan, seconds: float | None) -> tuple[Hits, Hits]:
    """(repetitions, sizes, judged) and (repetitions, shares, judged): who was named rightly.

    Whole repetitions, as many as are planned or as the time allows.
    """
    place = np.empty(plan.known.labelled, np.int64)
    place[plan.judged] = np.arange(len(plan.judged))
    by_size, by_share = [], []
    begun = time.monotonic()
    for repetition in range(plan.repeats):
        sizes = np.zeros((len(plan.sizes), len(plan.judged)), bool)
        shares = np.zeros((len(plan.shares), len(plan.judged)), bool)
        for teach, held, unlabelled in plan.folds_of(repetition):
            to = place[held]
            for i, size in enumerate(plan.sizes):
                sizes[i, to] = plan.right(teach[:size], unlabelled, held)
            for i, share in enumerate(plan.shares[:-1]):
                shares[i, to] = plan.right(teach[: plan.sizes[-1]], unlabelled[:share], held)
            shares[-1:, to] = sizes[-1, to]
        by_size.append(sizes)
        by_share.append(shares)
        spent = time.monotonic() - begun
        if seconds is not None and spent * (repetition + 2) / (repetition + 1) > seconds:
            break
    return np.stack(by_size), np.stack(by_share)


def _moments(hits: Hits) -> tuple[Floats, Floats]:
    """(s,) mean errors and (s, s) the covariance of these means.

    Two things move them: which records were judged, which moves all sizes alike, and which were
    drawn to teach.
    """
    repetitions, _, judged = hits.shape
    of_record = hits.mean(0)
    covariance = np.atleast_2d(np.cov(of_record)) / judged
    if repetitions > 1:
        covariance = covariance + np.atleast_2d(np.cov(hits.mean(2).T)) / repetitions
    # No error at all in few records is no proof of none: Jeffreys' interval is so wide then.
    least = (0.7 / judged) ** 2 * (np.ones_like(covariance) + np.eye(len(covariance)))
    return 1 - of_record.mean(1), covariance + least


def _luck(hits: Hits, plan: Plan) -> float:
    """Standard deviation of a model's accuracy by which records taught it, at all labels.

    A repetition's accuracy is the mean over folds, each with its own teachers: what it varies by
    more than single records do is their luck. Taken from subsets of half the labels at most,
    which overlap little, and carried on by the root of their size.
    """
    if len(hits) < 2:
        return 0.0
    accuracy = hits.mean(2).var(0, ddof=1)
    single = hits.var(0, ddof=1).mean(1) / hits.shape[2]
    n = plan.known.labelled
    by_size = plan.folds * (accuracy - single) * plan.sizes / n
    few = plan.sizes <= max(n / 2, plan.sizes[0])
    return float(np.sqrt(max(by_size[few].mean(), 0.0)))


def _points(sizes: Index, hits: Hits) -> list[Point]:
    """The accuracy at each size."""
    errors, covariance = _moments(hits)
    spread = hits.mean(2).std(0, ddof=1) if len(hits) > 1 else np.zeros(len(sizes))
    half = _Z95 * np.sqrt(np.diag(covariance))
    return [
        Point(
            int(size), float(1 - error), float(max(1 - error - h, 0)), float(min(1 - error + h, 1)),
            float(s), hits.shape[2],
        )
        for size, error, h, s in zip(sizes, errors, half, spread, strict=True)
    ]  # fmt: skip


def _paired(more: Hits, less: Hits) -> Estimate:
    """The difference of two accuracies on the same records, with its 95 % interval."""
    _, covariance = _moments(np.stack([more, less], 1))
    gap = float(more.mean() - less.mean())
    both = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    half = _Z95 * math.sqrt(max(both, 0.0))
    return Estimate(gap, gap - half, gap + half, more.shape[1])


def _unknown(known: Frozen, method: ClassicMethod, ahead: int, worth: float) -> Growth:
    """What is said where too little can be judged."""
    said = (
        f"{many(known.labelled, 'label is', 'labels are')} too few to say what more would bring. "
        f"It takes {LEAST} in classes that have two or more."
    )
    return Growth(
        method=method.name, labelled=known.labelled, pool=0, known=len(known.places),
        ahead=ahead, worth=worth, folds=0, repeats=0, planned=0, labels=(), unlabelled=(),
        curve=(), now=None, then=None, gain=None, expected=None, doubled=None, outcome="unknown",
        sentence=said, unlabelled_sentence="", note="",
    )  # fmt: skip


def _note(plan: Plan, repeats: int) -> str:
    """What was done, and what was left out for want of time."""
    said = (
        f"Each of {count(len(plan.judged))} labelled records was judged "
        f"{many(repeats, 'time', 'times')}, by {plan.method.name} that had not seen it "
        f"({plan.folds} folds)"
    )
    if repeats < plan.repeats:
        said += f"; {plan.repeats} times were planned, and the time was up"
    said += "."
    known = len(plan.known.places)
    if plan.pool < known and plan.method.unlabelled:
        said += f" {count(plan.pool)} of {count(known)} unlabelled records were read."
    return said
