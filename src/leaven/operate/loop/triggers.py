"""What begins a cycle, and what keeps one from beginning: throttle, caps, pause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from leaven.core.errors import DataError
from leaven.core.wording import count, decimal, many, roughly
from leaven.operate.costs.prices import Prices
from leaven.operate.costs.week import left as left_of_week
from leaven.operate.loop.journal import LOOP, Event, Standing
from leaven.operate.loop.policy import Policy
from leaven.store.alert_tables import alerts
from leaven.store.prediction_tables import feedback
from leaven.store.store import Store
from leaven.store.tables import answers, queues, tasks

__all__ = [
    "Drift",
    "Marks",
    "Trigger",
    "Triggers",
    "kept_look",
    "limits",
    "marks_now",
    "spent_on_labels",
]

_HOUR, _DAY = 3600.0, 86400.0
_WEEK, _MONTH = 7 * _DAY, 30 * _DAY
_AGAIN = 1.0  # hours at least after a cycle that came to nothing by an error
#: What is told of a look at drift.
_LOOKED = "looked for drift"


@dataclass(frozen=True)
class Trigger:
    """One reason to begin: whether it holds, and in words what was seen.

    `told` is what the next cycle, or the next look, has to know of it.
    """

    name: str
    fires: bool
    says: str
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Marks:
    """The last answer and the last truth that are known: what has a higher number is new."""

    answer: int = 0
    truth: int = 0


@dataclass(frozen=True)
class Drift:
    """What a look at new records found; `outcome` as of `leaven.operate.drift.drift.Drift`."""

    outcome: str
    sentence: str


class Triggers:
    """The triggers of a service.

    Parameters
    ----------
    look : looks for drift, given how many times it was looked for before, plus one; None where
        nothing is live to hold the new records against.
    """

    def __init__(self, store: Store, service: str, policy: Policy, look: Any) -> None:
        self.store, self.service, self.policy, self._look = store, service, policy, look

    def all(self, standing: Standing, history: Sequence[Event], now: float) -> list[Trigger]:
        """Each trigger that the policy or a person has set, the most urgent first.

        A look at drift is `told`: whoever may write keeps it, so that it is not made each time.
        """
        wanted, found = self.policy.trigger, []
        if standing.wish is not None:
            said = f"{standing.wish.person} began it: {standing.wish.reason or 'no reason given'}"
            found.append(Trigger("by hand", True, f"{said}."))
        if wanted.alarms:
            found.append(self._alarm(_began(history)))
        if wanted.labels is not None:
            found.append(self._labels(wanted.labels, history))
        if wanted.drift is not None:
            found.append(self._drift(standing, history, now))
        if wanted.days is not None:
            found.append(_schedule(wanted.days, _began(history), now))
        return found

    def _alarm(self, since: float) -> Trigger:
        query = select(alerts.c.slo).where(
            alerts.c.service == self.service, alerts.c.closed.is_(None), alerts.c.opened > since
        )
        if "*" not in self.policy.trigger.alarms:
            query = query.where(alerts.c.slo.in_(self.policy.trigger.alarms))
        with self.store.read() as connection:
            open_ = sorted(set(connection.execute(query).scalars()))
        said = f"An alert is open: {', '.join(open_)}." if open_ else "No alert has opened since."
        return Trigger("alarm", bool(open_), said)

    def _labels(self, wanted: int, history: Sequence[Event]) -> Trigger:
        new = _labels_since(self.store, self.service, self.policy.asks_in, _marks(history))
        said = f"{many(new, 'label', 'labels')} since the last fit, {count(wanted)} begin a cycle."
        return Trigger("labels", new >= wanted, said)

    def _drift(self, standing: Standing, history: Sequence[Event], now: float) -> Trigger:
        came = str(self.policy.trigger.drift)
        looks = [one for one in history if one.kind == "noted" and one.outcome == _LOOKED]
        last = looks[-1] if looks else None
        if last is not None:
            left = last.at + _DAY * self.policy.trigger.drift_days - now
            used = last.cycle < standing.cycle  # a cycle has begun since
            if last.told["outcome"] == "shifted" and not used:
                return Trigger("drift", True, str(last.told["sentence"]))
            if left > 0:
                return Trigger("drift", False, f"The next look is in {roughly(left)}.")
        if "://" not in came and not Path(came).exists():
            return Trigger("drift", False, f"There are no new records at '{came}'.")
        try:
            found: Drift | None = self._look(came, len(looks) + 1)
        except DataError as unusable:
            return Trigger("drift", False, f"The new records cannot be compared: {unusable}")
        if found is None:
            return Trigger("drift", False, "Nothing is live yet to hold new records against.")
        told = {"outcome": found.outcome, "sentence": found.sentence}
        return Trigger("drift", found.outcome == "shifted", found.sentence, told)


def _schedule(days: float, began: float, now: float) -> Trigger:
    if not began:
        return Trigger("schedule", True, "No cycle has begun yet.")
    left = began + days * _DAY - now
    every = f"every {decimal(days).removesuffix('.0')} d"
    said = f"{every}: the next is in {roughly(left)}." if left > 0 else f"{every}: it is due."
    return Trigger("schedule", left <= 0, said[0].upper() + said[1:])


def limits(
    policy: Policy, standing: Standing, history: Sequence[Event], now: float, prices: Prices
) -> list[str]:
    """What keeps a cycle from beginning now, in sentences; empty where nothing does."""
    found = []
    if LOOP in standing.paused:
        event = standing.paused[LOOP]
        found.append(f"{event.person} has paused the loop{_because(event.reason)}.")
    began = _began(history)
    rest = policy.limits.rest_hours
    if standing.outcome in ("broken", "failed"):
        rest = max(rest, _AGAIN)  # what cannot be used is not tried over and over
    left = began + rest * _HOUR - now
    if began and left > 0 and standing.wish is None:
        found.append(f"The last cycle began a short while ago; the next may in {roughly(left)}.")
    week = [one for one in history if one.kind == "moved" and one.at > now - _WEEK]
    fits = sum(one.outcome == "fine" for one in week)
    if fits >= policy.limits.fits:
        found.append(f"{many(fits, 'fit', 'fits')} began in 7 days, the most allowed.")
    if said := left_of_week(policy.limits, history, now, prices).says:
        found.append(said)
    return found


def marks_now(store: Store, service: str, queue: str) -> Marks:
    """Up to where answers and truths are there now."""
    last = select(func.coalesce(func.max(answers.c.event), 0)).select_from(answers).join(tasks)
    last = last.join(queues).where(queues.c.name == queue)
    truth = select(func.coalesce(func.max(feedback.c.id), 0)).where(feedback.c.service == service)
    with store.read() as connection:
        return Marks(
            int(connection.execute(last).scalar_one()), int(connection.execute(truth).scalar_one())
        )


def spent_on_labels(history: Sequence[Event], now: float) -> float:
    """What the answers to the questions of 30 days cost."""
    asked = [one for one in history if one.outcome == "asked" and one.at > now - _MONTH]
    return sum(float(one.told.get("cost", 0.0)) for one in asked)


def kept_look(trigger: Trigger) -> tuple[str, Mapping[str, Any], str]:
    """A look at drift as the journal keeps it: reason, what was told, outcome."""
    return trigger.says, trigger.told, _LOOKED


def _labels_since(store: Store, service: str, queue: str, marks: Marks) -> int:
    """Records of which a label is new, by people or from production."""
    truths = select(func.count(feedback.c.content.distinct())).where(
        feedback.c.service == service, feedback.c.id > marks.truth, feedback.c.caused.is_(False)
    )
    said = (
        select(func.count(tasks.c.record.distinct()))
        .select_from(answers)
        .join(tasks)
        .join(queues)
        .where(
            queues.c.name == queue, tasks.c.kind != "gold", answers.c.label.is_not(None),
            answers.c.event > marks.answer,
        )
    )  # fmt: skip
    with store.read() as connection:
        return sum(int(connection.execute(one).scalar_one()) for one in (said, truths))


def _marks(history: Sequence[Event]) -> Marks:
    """Up to where labels were read by the last cycle that came to a fit, or needed none."""
    used = {one.cycle for one in history if one.outcome in ("fitted", "unchanged")}
    for event in reversed(history):
        if event.outcome in ("fine", "unchanged") and event.cycle in used:
            return Marks(int(event.told["answer"]), int(event.told["truth"]))
    return Marks()


def _began(history: Sequence[Event]) -> float:
    """When the last cycle began; 0 before the first."""
    began = [one.at for one in history if one.kind == "moved" and one.outcome == "triggered"]
    return began[-1] if began else 0.0


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}" if reason.strip() else ""
