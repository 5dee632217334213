"""What is seen of a canary, signal by signal: how much worse it is at least and at most.

Two kinds of evidence. *Arms*: requests that the canary answered against those that the live run
answered. Who is answered by which is drawn by the hash of a key, so they are alike but for the
model, as long as the share stands: arms count within a step, each key once. *Pairs*: requests that
were drawn to be asked both, where the same record meets both models; they count over all steps.

Of each signal the *harm* is bounded: below with the error that is a false alarm's, above with that
of a false pass. It is `worse` where the lower bound says so, `fine` where the upper is within the
margin, `open` before either, and `unseen` without evidence. Errors, latency, accuracy and
calibration have a better and a worse, so any harm that is shown is worse unless it is within the
margin. Another answer, class or confidence may be the better one: those are worse from their margin
on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from leaven.core.wording import THIN, count, decimal, points
from leaven.operate.canary.betting import Bets, difference_bounds, mean_bounds, times_until
from leaven.operate.canary.policy import SHIFT, Policy

__all__ = ["Arms", "Evidence", "Signal", "judged"]

Floats = npt.NDArray[np.float64]
_NOTHING: Floats = np.zeros(0)
#: Classes that are looked at one by one; the rarer ones are looked at together.
_CLASSES = 12
OTHERS = "all others"


@dataclass(frozen=True, eq=False)
class Arms:
    """Values in [0, 1], one a request: (n,) of the canary, (m,) of the live run."""

    canary: Floats = field(default_factory=lambda: _NOTHING)
    live: Floats = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen of a canary and the run beside it.

    Attributes
    ----------
    errors, slow, confidence : failed, slow (0 or 1), mean confidence of each request.
    classes : of each class, its share among the records of each request.
    otherwise : (p,) the share of the records of a pair on which the canary says otherwise.
    accuracy : (t,) of pairs with truth, whether the live run was right less whether the canary was.
    calibration : (t,) the squared error of the canary's confidence less that of the live run's.
    slow_from : seconds above which a request was slow; None before that is known.
    ninety_five : the seconds within which the canary and the live run answered 95 %.
    """

    errors: Arms = field(default_factory=Arms)
    slow: Arms = field(default_factory=Arms)
    confidence: Arms = field(default_factory=Arms)
    classes: Mapping[str, Arms] = field(default_factory=dict)
    otherwise: Floats = field(default_factory=lambda: _NOTHING)
    accuracy: Floats = field(default_factory=lambda: _NOTHING)
    calibration: Floats = field(default_factory=lambda: _NOTHING)
    slow_from: float | None = None
    ninety_five: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class Signal:
    """One signal: `canary` and `live` are how many requests it was seen in (for pairs alike).

    `harm` is the estimate, between `low` and `high`; `needed` is about how many more requests of
    the canary would show that it is fine if they are like those so far, None where none would. What
    is unseen has no `harm`.
    """

    name: str
    state: str
    canary: int
    live: int
    harm: float | None
    low: float
    high: float
    margin: float
    needed: int | None
    sentence: str


def judged(evidence: Evidence, policy: Policy) -> tuple[Signal, ...]:
    """Each signal that the policy looks at.

    A canary that is no worse shows a `worse` in any signal, at any look of any step, with
    probability `policy.false_alarms` at most, which is shared out among signals and steps.
    """
    each = policy.false_alarms / len(policy.names)
    step = each / len(policy.steps)
    low, high = step, policy.false_passes
    judges: dict[str, Callable[[], Signal]] = {
        "errors": lambda: _more("errors", evidence.errors, policy.errors, low, high, _failed),
        "latency": lambda: _more(
            "latency", evidence.slow, policy.slow, low, high, lambda a: _slow(a, evidence)
        ),
        "agreement": lambda: _pairs(
            "agreement", evidence.otherwise, policy.agreement, each, high, _otherwise
        ),
        "classes": lambda: _classes(evidence.classes, policy.classes, low, high),
        "confidence": lambda: _apart(
            "confidence", evidence.confidence, policy.confidence, low, high, _sure
        ),
        "accuracy": lambda: _pairs(
            "accuracy", evidence.accuracy, policy.accuracy, each, high, _right
        ),
        "calibration": lambda: _pairs(
            "calibration", evidence.calibration, policy.calibration, each, high, _squared
        ),
    }
    return tuple(judges[name]() for name in policy.names)


Said = Callable[[Arms], str]
#: Bounds of the harm when there were so many times as many requests.
Bounds = Callable[[float], tuple[float, float]]


def _more(name: str, arms: Arms, margin: float, low: float, high: float, said: Said) -> Signal:
    """How much larger the canary's mean is than the live run's."""
    canary, live = Bets(arms.canary), Bets(arms.live)

    def bounds(times: float) -> tuple[float, float]:
        return difference_bounds(canary, live, low, high, times=times)

    return _signal(name, arms, canary.mean - live.mean, margin, bounds, said)


def _apart(name: str, arms: Arms, margin: float, low: float, high: float, said: Said) -> Signal:
    """How far apart both means are, whichever is larger."""
    canary, live = Bets(arms.canary), Bets(arms.live)

    def bounds(times: float) -> tuple[float, float]:
        most = difference_bounds(canary, live, high, times=times)
        least = difference_bounds(canary, live, low / 2, times=times)
        return max(least[0], -least[1], 0.0), max(most[1], -most[0])

    return _signal(name, arms, abs(canary.mean - live.mean), margin, bounds, said)


def _classes(classes: Mapping[str, Arms], margin: float, low: float, high: float) -> Signal:
    """The class whose shares differ most surely, the error shared out among the classes."""
    looked_at = _frequent(classes)
    if not looked_at:
        return _signal("classes", Arms(), math.nan, margin, lambda _: (0.0, 1.0), _failed)
    found = [
        _apart("classes", arms, margin, low / len(looked_at), high, _share_of(name))
        for name, arms in looked_at.items()
    ]
    order = {"worse": 3, "open": 2, "fine": 1, "unseen": 0}
    worst = max(found, key=lambda one: (order[one.state], one.low, one.high))
    more = [math.inf if one.needed is None else one.needed for one in found]
    needed = None if math.isinf(max(more)) else int(max(more))
    return Signal(**(vars(worst) | {"needed": needed}))


def _frequent(classes: Mapping[str, Arms]) -> dict[str, Arms]:
    """The classes that are named most, and all others together."""
    if len(classes) <= _CLASSES:
        return dict(classes)
    named = sorted(classes, key=lambda name: classes[name].canary.sum() + classes[name].live.sum())
    rest = [classes[name] for name in named[:-_CLASSES]]
    together = Arms(
        np.minimum(np.sum([one.canary for one in rest], axis=0), 1.0),
        np.minimum(np.sum([one.live for one in rest], axis=0), 1.0),
    )
    return {name: classes[name] for name in named[-_CLASSES:]} | {OTHERS: together}


def _pairs(
    name: str, values: Floats, margin: float, low: float, high: float, said: Callable[[Floats], str]
) -> Signal:
    """The mean of values of pairs, which lie in [0, 1] for agreement and in [-1, 1] for the others.

    What has not been seen is taken, for how many are needed, as if both were alike.
    """
    shift, width = (0.0, 1.0) if name in SHIFT else (1.0, 2.0)
    bets = Bets((values + shift) / width)
    ahead = bets if bets.n else Bets([shift / width])

    def bounds(times: float) -> tuple[float, float]:
        ends = mean_bounds(bets if times == 1 else ahead, low, high, times=times)
        return width * ends[0] - shift, width * ends[1] - shift

    arms = Arms(values, values)
    mean = width * bets.mean - shift
    return _signal(name, arms, mean, margin, bounds, lambda told: said(told.canary))


def _signal(
    name: str, arms: Arms, harm: float, margin: float, bounds: Bounds, said: Said
) -> Signal:
    n, m = len(arms.canary), len(arms.live)
    low, high = bounds(1.0)
    worse = low > margin if name in SHIFT else low > 0
    state = "unseen" if not n or not m else "fine" if high <= margin else "open"
    if worse and state == "open":
        state = "worse"
    needed: int | None = 0
    if state != "fine":
        times = times_until(lambda times: bounds(times)[1] <= margin, 1.0 + 1e-9)
        needed = None if math.isinf(times) else max(1, math.ceil(max(n, 1) * times) - n)
    if state == "unseen":
        sentence = f"{_UNSEEN[name]}."
    else:
        ends = f"{points(low)} to {points(high)}"
        sentence = (
            f"{said(arms)}: {_HARM[name]} {ends} points, {points(margin, sign=False)} allowed."
        )
    estimate = None if math.isnan(harm) else harm
    return Signal(name, state, n, m, estimate, low, high, margin, needed, sentence)


_UNSEEN = {
    "errors": "No request was answered by both yet",
    "latency": "Too few requests were answered by the live run to know what is slow",
    "agreement": "No request was asked of both yet",
    "classes": "No request was answered by both yet",
    "confidence": "No request was answered by both yet",
    "accuracy": "No truth came back of a record that was explored and asked of both",
    "calibration": "No truth came back of a record that was explored and asked of both",
}
_HARM = {
    "errors": "more by", "latency": "more by", "agreement": "otherwise by",
    "classes": "apart by", "confidence": "apart by", "accuracy": "worse by",
    "calibration": "worse by",
}  # fmt: skip


def _shares(arms: Arms, what: str) -> str:
    return (
        f"{_percent(arms.canary)} of {count(len(arms.canary))} requests of the canary {what}, "
        f"{_percent(arms.live)} of {count(len(arms.live))} of the live run"
    )


def _failed(arms: Arms) -> str:
    return _shares(arms, "failed")


def _slow(arms: Arms, evidence: Evidence) -> str:
    canary, live = (1000 * seconds for seconds in evidence.ninety_five)
    bound = 1000 * (evidence.slow_from or math.nan)
    return (
        f"{_shares(arms, f'took over {decimal(bound, 0)}{THIN}ms')}; 95{THIN}% took up to "
        f"{decimal(canary, 0)} and {decimal(live, 0)}{THIN}ms"
    )


def _otherwise(values: Floats) -> str:
    return (
        f"On {count(len(values))} requests asked of both {_percent(values)} is answered otherwise"
    )


def _share_of(name: str) -> Said:
    def said(arms: Arms) -> str:
        return (
            f"{name[:60]!r} is {_percent(arms.canary)} of the canary's answers and "
            f"{_percent(arms.live)} of the live run's"
        )

    return said


def _sure(arms: Arms) -> str:
    return (
        f"The canary is sure to {_percent(arms.canary)} on average, the live run to "
        f"{_percent(arms.live)}"
    )


def _right(values: Floats) -> str:
    better, worse = int((values < 0).sum()), int((values > 0).sum())
    return (
        f"Of {count(len(values))} explored records with truth the canary alone was right in "
        f"{count(better)}, the live run alone in {count(worse)}"
    )


def _squared(values: Floats) -> str:
    mean = decimal(float(values.mean()), 3, sign=True)
    return (
        f"The squared error of the canary's confidence differs by {mean} on {count(len(values))} "
        "records with truth"
    )


def _percent(values: Floats) -> str:
    return f"{decimal(100 * float(values.mean()))}{THIN}%"
