"""An incident: read off events that are added and never changed, by whoever works on it.

At most one is open a service, so that two who are woken at once work on the same. What somebody
begins is kept before it is done, with what was chosen: after a kill the same is done, by whoever
calls again, and what is done already is done once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select

from leaven.core.errors import DataError, UnknownNameError
from leaven.label.tasks import check_name, check_text
from leaven.store import audit
from leaven.store.histories import told_of
from leaven.store.incident_tables import incident_events
from leaven.store.store import Store

__all__ = ["BEGUN", "DONE", "FAILED", "UNDONE", "Act", "Event", "Incident", "Incidents", "folded"]

#: How a step stands.
BEGUN, DONE, FAILED, UNDONE = "begun", "done", "failed", "undone"
_LONGEST = 4000  # characters of a reason


@dataclass(frozen=True)
class Event:
    """The `number`-th event of an incident; `step` is "" where it is of none."""

    incident: int
    number: int
    service: str
    at: float
    kind: str
    step: str
    person: str
    reason: str
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Act:
    """A step that somebody began, with its `settings`, and what came of it.

    `plan` is what was chosen at its beginning. `ended`, `by_end` and `reason` are of its end, or of
    the act that undid it; `result` is what it brought.
    """

    step: str
    settings: Mapping[str, Any]
    plan: Mapping[str, Any]
    began: float
    by: str
    state: str = BEGUN
    ended: float | None = None
    by_end: str = ""
    reason: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two acts the same: the step and its settings."""
        return _key(self.step, self.settings)


@dataclass(frozen=True)
class Incident:
    """What the events come to; `last` is the number of the last.

    `since` is when the fault began, as a person said (None where nobody did), `alert` what told of
    it, `evidence` the event by which it was frozen.
    """

    number: int
    service: str = ""
    reason: str = ""
    by: str = ""
    opened: float = 0.0
    since: float | None = None
    alert: Mapping[str, Any] | None = None
    folder: str = ""
    evidence: Event | None = None
    acts: tuple[Act, ...] = ()
    notes: tuple[Event, ...] = ()
    closed: Event | None = None
    last: int = 0

    def act(self, step: str, settings: Mapping[str, Any]) -> Act | None:
        """The latest act of this step with these settings."""
        found = [one for one in self.acts if one.key == _key(step, settings)]
        return found[-1] if found else None

    def done(self, step: str) -> Act | None:
        """The latest act of this step that is done, whatever its settings."""
        found = [one for one in self.acts if one.step == step and one.state == DONE]
        return found[-1] if found else None


def folded(events: Iterable[Event]) -> Incident:
    """What these events, of one incident and in order, come to."""
    incident = Incident(0)
    for event in events:
        incident = _after(incident, event)
    return incident


class Incidents:
    """The incidents of a store.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self.store, self.clock = store, clock

    def all(self) -> list[Incident]:
        """Every incident, the latest first."""
        with self.store.read() as connection:
            events = self._events(connection)
        found: dict[int, list[Event]] = {}
        for event in events:
            found.setdefault(event.incident, []).append(event)
        return [folded(found[number]) for number in sorted(found, reverse=True)]

    def get(self, number: int) -> Incident:
        """One by its number; UnknownNameError where there is none."""
        return folded(self.history(number))

    def history(self, number: int) -> list[Event]:
        """What happened in it, in order; raises as `get`."""
        with self.store.read() as connection:
            return self._known(connection, number)

    def open(
        self,
        service: str,
        *,
        by: str,
        reason: str,
        since: float | None = None,
        alert: Mapping[str, Any] | None = None,
        folder: Callable[[int, float], str] = lambda number, at: "",
    ) -> tuple[Incident, bool]:
        """The open incident of a service, and whether it was opened now.

        `folder` makes of number and time where its evidence goes.
        """
        check_name("by", by)
        check_text("reason", reason, _LONGEST)
        if not reason.strip():
            raise DataError("Say what is wrong: --reason TEXT. It is kept.")
        with self.store.write() as connection:
            query = select(incident_events.c.incident).where(incident_events.c.service == service)
            for number in sorted(set(connection.execute(query).scalars()), reverse=True):
                found = folded(self._events(connection, number))
                if found.closed is None:
                    return found, False
            newest = select(func.coalesce(func.max(incident_events.c.incident), 0))
            number, at = int(connection.execute(newest).scalar_one()) + 1, self.clock()
            told = {"since": since, "alert": alert, "folder": folder(number, at)}
            event = Event(number, 1, service, at, "opened", "", by, reason, told)
            self._insert(connection, event)
        return folded([event]), True

    def freeze(self, number: int, *, by: str, reason: str, told: Mapping[str, Any]) -> Incident:
        """Keep what the evidence is; where somebody was quicker, theirs counts."""
        with self.store.write() as connection:
            events = self._known(connection, number)
            if folded(events).evidence is None:
                events.append(self._add(connection, events, "frozen", by, reason, told=told))
        return folded(events)

    def note(self, number: int, text: str, *, by: str) -> Incident:
        """Keep what somebody says; also of an incident that is closed."""
        check_name("by", by)
        check_text("text", text, _LONGEST)
        if not text.strip():
            raise DataError("A note says something.")
        with self.store.write() as connection:
            events = self._known(connection, number)
            events.append(self._add(connection, events, "noted", by, text))
        return folded(events)

    def begin(
        self, number: int, step: str, settings: Mapping[str, Any], plan: Mapping[str, Any], by: str
    ) -> Act:
        """Begin a step; the act that was begun already, or done, where there is one.

        Raises DataError where the incident is closed.
        """
        check_name("by", by)
        with self.store.write() as connection:
            events = self._known(connection, number)
            standing = folded(events)
            if standing.closed is not None:
                raise DataError(_closed(standing))
            there = standing.act(step, settings)
            if there is not None and there.state in (BEGUN, DONE):
                return there
            told = {"settings": dict(settings), "plan": dict(plan)}
            events.append(self._add(connection, events, BEGUN, by, "", step, told))
        return folded(events).acts[-1]

    def end(
        self, number: int, act: Act, state: str, *, by: str, reason: str,
        result: Mapping[str, Any] | None = None, undoes: str = "",
    ) -> Act:  # fmt: skip
        """Say what came of an act; what somebody else has said of it already counts.

        `undoes` is the step whose acts it takes back.
        """
        with self.store.write() as connection:
            events = self._known(connection, number)
            there = folded(events).act(act.step, act.settings)
            if there is not None and there.state != BEGUN:
                return there
            told = {"settings": dict(act.settings), "result": dict(result or {}), "undoes": undoes}
            events.append(self._add(connection, events, state, by, reason, act.step, told))
        ended = folded(events).act(act.step, act.settings)
        assert ended is not None
        return ended

    def close(
        self, number: int, *, by: str, reason: str, told: Mapping[str, Any] | None = None
    ) -> Incident:
        """Close it, for a reason; DataError where somebody has."""
        check_name("by", by)
        check_text("reason", reason, _LONGEST)
        if not reason.strip():
            raise DataError("Say what it came to: --reason TEXT. It is kept.")
        with self.store.write() as connection:
            events = self._known(connection, number)
            standing = folded(events)
            if standing.closed is not None:
                raise DataError(_closed(standing))
            events.append(self._add(connection, events, "closed", by, reason, told=told))
        return folded(events)

    def _known(self, connection: Connection, number: int) -> list[Event]:
        events = self._events(connection, number)
        if not events:
            known = select(incident_events.c.incident).distinct()
            names = [str(one) for one in connection.execute(known).scalars()]
            raise UnknownNameError("incident", str(number), names)
        return events

    def _events(self, connection: Connection, number: int | None = None) -> list[Event]:
        query = select(incident_events).order_by(incident_events.c.id)
        if number is not None:
            query = query.where(incident_events.c.incident == number)
        names = Event.__dataclass_fields__
        rows = connection.execute(query)
        return [Event(**{name: getattr(row, name) for name in names}) for row in rows]

    def _add(
        self, connection: Connection, events: list[Event], kind: str, by: str, reason: str,
        step: str = "", told: Mapping[str, Any] | None = None,
    ) -> Event:  # fmt: skip
        """The next event of these."""
        first, number = events[0], events[-1].number + 1
        event = Event(
            first.incident, number, first.service, self.clock(), kind, step, by, reason, told or {}
        )
        self._insert(connection, event)
        return event

    def _insert(self, connection: Connection, event: Event) -> None:
        row = {name: getattr(event, name) for name in Event.__dataclass_fields__}
        # What failed may quote anything, and every database is to keep it.
        row["reason"] = event.reason[:_LONGEST].replace("\0", "\ufffd")
        row["reason"] = row["reason"].encode("utf-8", "replace").decode()
        added = insert(incident_events).values(row).returning(incident_events.c.id)
        told = told_of(connection, "incident", connection.execute(added).scalar_one())
        what = f"incident.{event.kind}"
        audit.note(connection, event.person, what, event.service, told, at=event.at)


def _key(step: str, settings: Mapping[str, Any]) -> str:
    return json.dumps([step, settings], sort_keys=True, default=str)


def _closed(standing: Incident) -> str:
    assert standing.closed is not None
    return (
        f"{standing.closed.person} has closed incident {standing.number}. Open another: leaven "
        "incident open."
    )


def _after(incident: Incident, event: Event) -> Incident:
    incident = replace(incident, last=event.number)
    if event.kind == "opened":
        return replace(
            incident, number=event.incident, service=event.service, reason=event.reason,
            by=event.person, opened=event.at, **event.told,
        )  # fmt: skip
    if event.kind == "frozen":
        return replace(incident, evidence=event)
    if event.kind == "noted":
        return replace(incident, notes=(*incident.notes, event))
    if event.kind == "closed":
        return replace(incident, closed=event)
    settings = event.told["settings"]
    if event.kind == BEGUN:
        act = Act(event.step, settings, event.told["plan"], event.at, event.person)
        return replace(incident, acts=(*incident.acts, act))
    return replace(incident, acts=tuple(_ended(act, event) for act in incident.acts))


def _ended(act: Act, event: Event) -> Act:
    """The act after a step has ended: it is that one, or one that was undone by it, or another."""
    said: dict[str, Any] = {"ended": event.at, "by_end": event.person, "reason": event.reason}
    if act.state == BEGUN and act.key == _key(event.step, event.told["settings"]):
        return replace(act, state=event.kind, result=event.told["result"], **said)
    if event.kind == DONE and act.state == DONE and act.step == event.told["undoes"]:
        said["reason"] = f"{act.by_end}: {act.reason} Taken back since: {event.reason}"
        return replace(act, state=UNDONE, **said)
    return act
