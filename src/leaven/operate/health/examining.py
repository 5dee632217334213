"""The whole answer: every signal of a service's live run, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.core.wording import many, percent
from leaven.operate.drift.drift import Drift
from leaven.operate.health import unlabelled
from leaven.operate.health.audited import Audits, audits
from leaven.operate.health.promise import Promise, promise_of
from leaven.operate.health.reading import agreement, answers, counted, first_answer, truths
from leaven.operate.health.signal import ALARM, GOOD, UNTOLD, Signal
from leaven.operate.registry import Registry
from leaven.operate.releases import Named, Releases, State
from leaven.store.store import Store

__all__ = ["Health", "examine"]

_HOUR = 3600


@dataclass(frozen=True, eq=False)
class Health:
    """What was found at `at` of the live run of a service, by its answers since `since`.

    `verdict` is alarm where any signal is one, good where none is and an accuracy is shown, else
    cannot be told. `heard` is when the run was first heard, None where it was not yet.
    """

    service: str
    live: Named
    at: float
    since: float
    heard: float | None
    verdict: str
    sentence: str
    signals: tuple[Signal, ...]
    promise: Promise
    audits: Audits
    drift: Drift | None

    def told(self) -> dict[str, Any]:
        """As plain values, without what plots are drawn from."""
        return {
            "service": self.service, "run": self.live.run, "digest": self.live.digest,
            "at": self.at, "since": self.since, "verdict": self.verdict,
            "sentence": self.sentence, "signals": [signal.told() for signal in self.signals],
        }  # fmt: skip


def examine(
    store: Store,
    service: str,
    *,
    hours: float = 24.0,
    tolerance: float = 0.03,
    level: float = 0.05,
    least: float = 0.03,
    new: Any = None,
    clock: Callable[[], float] = time.time,
) -> Health:
    """Look at a service's live run.

    Parameters
    ----------
    hours : the answers of so many hours are held against the promise; truths count over the whole
        life of the run.
    tolerance : by how much the accuracy may be less than promised.
    level : the probability of a false alarm: of truths, ever; of each other kind, see `drift`.
    least : the share of records that must lie elsewhere for a column to have shifted.
    new : records, of which two views are asked about, see `views`; None asks about none.

    Raises DataError where nothing is live, SettingError for settings out of range.
    """
    if not 0 < hours <= 24 * 366:
        raise SettingError("hours", "more than 0 and at most a year", hours)
    for name, share in (("tolerance", tolerance), ("level", level), ("least", least)):
        if not 0 < share < 1:
            raise SettingError(name, "a share between 0 and 1", share)
    at = clock()
    state = Releases(store, service).state()
    if state.live is None:
        raise DataError(f"Nothing is live in '{service}'. Release a run: leaven release RUN.")
    live, since = state.live, at - hours * _HOUR
    found = Registry(store).get(live.run, live.digest)
    promise = promise_of(found.folder, found.told)
    heard = first_answer(store, service, live.digest)
    look = 1 + int((at - (at if heard is None else heard)) // _HOUR)  # one an hour
    came = answers(store, service, live.digest, since, at + 1)
    hour = None
    if promise.frame is not None:
        hour = counted(store, service, live.digest, since, at, promise.frame)
    told = audits(promise, truths(store, service, live.digest), tolerance, level)
    records, drift = unlabelled.drift(promise, hour, least, level, look)
    signals = (
        *told.signals,
        unlabelled.accuracy(promise, came, tolerance),
        unlabelled.confidence(promise, came),
        unlabelled.entropy(promise, came),
        unlabelled.classes(promise, came, level, look),
        unlabelled.coverage(promise, came),
        *_beside(store, service, state, live, promise, since),
        unlabelled.strangeness(promise, hour),
        records,
        *([] if new is None else [_viewed(store, live, new)]),
    )
    verdict = _verdict(signals)
    sentence = _sentence(verdict, signals, told, promise.accuracy.value)
    return Health(service, live, at, since, heard, verdict, sentence, signals, promise, told, drift)


def _viewed(store: Store, live: Named, new: Any) -> Signal:
    """Agreement of two views of new records."""
    from leaven.operate.health.views import views  # asks the model itself, and loads torch

    run = Registry(store).load(live.run, live.digest)
    return views(run, run.dataset(new))


def _beside(
    store: Store, service: str, state: State, live: Named, promise: Promise, since: float
) -> list[Signal]:
    """Agreement with the shadow and with the canary, where they stand."""
    found = []
    for place, named in (("the shadow", state.shadow), ("the canary", state.canary)):
        if named is None:
            continue
        try:
            kept = Registry(store).get(named.run, named.digest).told
            theirs = float(kept["metrics"]["accuracy"]["value"])
        except (UnknownNameError, KeyError, TypeError):
            continue
        digests = [named.digest] if named is state.shadow else [named.digest, live.digest]
        agreed = agreement(store, service, digests, since)
        found.append(unlabelled.agreement(agreed, promise.accuracy.value, theirs, place))
    return found


def _verdict(signals: tuple[Signal, ...]) -> str:
    if any(signal.verdict == ALARM for signal in signals):
        return ALARM
    shown = any(s.verdict == GOOD and s.name.startswith("accuracy") for s in signals)
    return GOOD if shown else UNTOLD


def _sentence(verdict: str, signals: tuple[Signal, ...], told: Audits, promised: float) -> str:
    wrong = [signal.name for signal in signals if signal.verdict == ALARM]
    audited, estimated = signals[0], signals[2]
    if verdict == ALARM:
        if told.shown is not None:
            return (
                f"It is no longer as good as promised: {told.shown}, and {percent(promised)} is "
                "promised."
            )
        alarms = many(len(wrong), "alarm", "alarms")
        return f"{alarms}: {', '.join(wrong)}. Whether it is less accurate only truth tells."
    if audited.verdict == GOOD:
        return "It is as accurate as promised, by truth."
    if estimated.verdict == GOOD:
        return (
            "It seems as accurate as promised, by what it says of itself: truths of answers "
            "drawn at random would show it."
        )
    return "How good it is now cannot be told yet."
