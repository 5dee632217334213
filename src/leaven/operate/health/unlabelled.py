"""Signals that need no label: what the model says now, held against what it said when it was made.

Means are compared by bounds that hold at any time (`operate.canary.betting`), so a window may be
looked at while it fills. None of these sees that labels have come to mean something else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leaven.core.wording import count, percent, points
from leaven.evaluate.intervals import wilson
from leaven.operate.canary.betting import Bets, difference_bounds, mean_bounds
from leaven.operate.drift.columns import Names
from leaven.operate.drift.comparing import compare
from leaven.operate.drift.drift import Drift, judged
from leaven.operate.drift.reference import Reference
from leaven.operate.drift.testing import SAME, SHIFTED
from leaven.operate.health.frame import Hour
from leaven.operate.health.promise import Promise
from leaven.operate.health.reading import Answers
from leaven.operate.health.signal import ALARM, GOOD, UNTOLD, Signal, untold

__all__ = ["accuracy", "agreement", "classes", "confidence", "coverage", "drift", "entropy",
           "fallen", "strangeness"]  # fmt: skip

Floats = npt.NDArray[np.float64]

#: A mean that moved less than this does not matter; of coverage and classes twice that.
_MARGIN = 0.05
_SURE = 0.95  # from here on a guess would be taken for a label
_SIDE = 0.025  # each bound of a 95 % interval
_NEW = "Ask for the truth of a few answers (leaven serve --explore 0.02, POST /feedback)."
_FEW = "Wait for more answers."


def accuracy(promise: Promise, came: Answers, tolerance: float) -> Signal:
    """Estimated by the confidences, set right by the judged records."""
    name, promised = "accuracy, estimated", promise.accuracy.value
    if promise.calibration is None:
        return untold(name, promise.why["calibration"])
    if not len(came.confidence):
        return untold(name, "No answer was logged in this time.", _FEW)
    found = promise.calibration.estimate(came.confidence)
    change = promise.calibration.change(came.confidence)
    said = (
        f"By what it says of itself it is right in {_span(found.value, found.low, found.high)} of "
        f"{count(found.n)} answers; {percent(promised)} is promised. Since it was judged that has "
        f"changed by {points(change.value)} points ({points(change.low)} to {points(change.high)})."
    )
    told = (found.value, found.low, found.high, promised, found.n)
    if change.high < -tolerance:
        advice = f"The records have become harder. Label some of them and fit again. {_NEW}"
        return Signal(name, ALARM, said, advice, *told)
    if change.low >= -tolerance:
        blind = "It does not see labels that changed their meaning."
        return Signal(name, GOOD, f"{said} {blind}", "", *told)
    return Signal(name, UNTOLD, said, _NEW, *told)


def confidence(promise: Promise, came: Answers) -> Signal:
    """Whether the model has become less sure of its answers."""
    advice = "The records have become harder or others. See the records below, and label some."
    return fallen("confidence", "It is sure of its answers to", promise.confidence,
                  came.confidence, _MARGIN, advice, promise.why.get("answers", ""))  # fmt: skip


def entropy(promise: Promise, came: Answers) -> Signal:
    """Whether the model has become surer of everything, as one does that collapses."""
    advice = (
        "It has become surer of everything: see whether the records are empty or all alike, or a "
        "model was released that has collapsed (leaven rollback)."
    )
    return fallen("entropy", "What it leaves open, as a share of the highest entropy, is",
                  promise.entropy, came.entropy, _MARGIN, advice,
                  promise.why.get("answers", ""))  # fmt: skip


def coverage(promise: Promise, came: Answers) -> Signal:
    """The share of answers that are sure enough to become pseudo-labels."""
    now, before = (np.asarray(side >= _SURE, np.float64)
                   for side in (came.confidence, promise.confidence))  # fmt: skip
    advice = "A fit on these records would learn from fewer of them. Label some."
    said = f"Guesses of {percent(_SURE, 0)} or more, as pseudo-labels are made of, are"
    why = promise.why.get("answers", "")
    return fallen("coverage", said, before, now, 2 * _MARGIN, advice, why)


def classes(promise: Promise, came: Answers, level: float, look: int) -> Signal:
    """Whether other classes are answered than before."""
    name = "classes"
    if not promise.answers:
        return untold(name, promise.why["answers"])
    if not came.labels:
        return untold(name, "No answer was logged in this time.", _FEW)
    reference = Reference.of({name: Names.of(promise.answers)})
    sketch = reference.sketch({name: Names.of(came.labels)})
    found = compare(reference, sketch, least=2 * _MARGIN, level=level, look=look)[0]
    said = f"{percent(found.effect)} of the answers are of other classes than before: {found.said}."
    advice = (
        "Either the records have another mix, or the model has turned to one class. "
        "See the records below, and ask for the truth of a few answers."
    )
    verdict = {SHIFTED: ALARM, SAME: GOOD}.get(found.verdict, UNTOLD)
    return Signal(name, verdict, said, {ALARM: advice, UNTOLD: _FEW}.get(verdict, ""),
                  found.effect, found.low, found.high, 0.0, found.n)  # fmt: skip


def agreement(agreed: npt.NDArray[np.bool_], ours: float, theirs: float, beside: str) -> Signal:
    """Whether two models agree as often as their promised accuracies let expect at least.

    Two answers differ only where one of them is wrong, so models that are right with a and b agree
    in a + b - 1 of the records or more.
    """
    name, least = f"agreement with {beside}", max(ours + theirs - 1, 0.0)
    if not len(agreed):
        return untold(name, "Both were not asked about the same records in this time.", _FEW)
    value = float(agreed.mean())
    low, high = mean_bounds(Bets(agreed), _SIDE)
    said = (
        f"Both say the same of {_span(value, low, high)} of {count(len(agreed))} records; as "
        f"accurate as promised they would of {percent(least)} or more."
    )
    told = (value, low, high, least, len(agreed))
    if high < least:
        advice = f"At least one of them is less accurate than promised. {_NEW}"
        return Signal(name, ALARM, said, advice, *told)
    if low >= least:
        return Signal(name, GOOD, said, "", *told)
    return Signal(name, UNTOLD, said, _FEW, *told)


def strangeness(promise: Promise, came: Hour | None) -> Signal:
    """The share of records that have a cell unlike any that the model was made with."""
    name = "out of distribution"
    if promise.frame is None:
        return untold(name, promise.why["frame"])
    if came is None or not came.n:
        return untold(name, "No record was counted in this time.", _FEW)
    value, expected = came.strange / came.n, promise.frame.expected
    low, high = (float(end) for end in wilson(came.strange, came.n))
    most = expected + _MARGIN
    said = (
        f"{_span(value, low, high)} of {count(came.n)} records have a value beyond all, or a "
        f"category that is new, to the model; up to {percent(expected)} would be usual."
    )
    told = (value, low, high, expected, came.n)
    if low > most:
        advice = "It guesses where records are unlike its own. See what delivers them."
        return Signal(name, ALARM, said, advice, *told)
    if high < most:
        return Signal(name, GOOD, said, "", *told)
    return Signal(name, UNTOLD, said, _FEW, *told)


def drift(
    promise: Promise, came: Hour | None, least: float, level: float, look: int
) -> tuple[Signal, Drift | None]:
    """Whether the columns of the records are as they were, and all that was found."""
    name = "records"
    if promise.frame is None:
        return untold(name, promise.why["frame"]), None
    if came is None or not came.n:
        return untold(name, "No record was counted in this time.", _FEW), None
    reference, sketch = promise.frame.reference, promise.frame.sketch(came)
    shifts = compare(reference, sketch, least=least, level=level, look=look)
    found = judged(shifts, None, reference, sketch, least)
    worst = shifts[0]
    verdict = {SHIFTED: ALARM, SAME: GOOD}.get(found.outcome, UNTOLD)
    advice = " ".join(found.advice)
    return Signal(name, verdict, found.sentence, advice, worst.effect, worst.low, worst.high, 0.0,
                  came.n), found  # fmt: skip


def fallen(
    name: str, said: str, before: Floats, now: Floats, margin: float, advice: str, why: str,
    what: str = "answers",
) -> Signal:  # fmt: skip
    """Whether a mean of shares is lower than it was by more than a margin.

    Parameters
    ----------
    before, now : (m,) and (n,) in [0, 1].
    why : there is nothing before, where there is not.
    what : is counted.
    """
    if not len(before):
        return untold(name, why)
    if not len(now):
        return untold(name, "No answer was logged in this time.", _FEW)
    value, reference = float(now.mean()), float(before.mean())
    fell, most = difference_bounds(Bets(before), Bets(now), _SIDE)
    low, high = max(reference - most, 0.0), min(reference - fell, 1.0)
    sentence = (
        f"{said} {_span(value, low, high)} ({count(len(now))} {what}); it was {percent(reference)}"
        f" ({points(value - reference)} points)."
    )
    told = (value, low, high, reference, len(now))
    if fell > margin:
        return Signal(name, ALARM, sentence, advice, *told)
    if most < margin:
        return Signal(name, GOOD, sentence, "", *told)
    return Signal(name, UNTOLD, sentence, _FEW, *told)


def _span(value: float, low: float, high: float) -> str:
    return f"{percent(value)} ({points(low, sign=False)} to {points(high, sign=False)})"
