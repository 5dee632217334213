"""The journal of a loop: what happened, what stands, and who may go on.

What stands is read off the events, which are added and never changed. Whoever acts holds a lease,
and writes only while its number is that of the lease that stands and nothing was written since they
read (a fencing token; Kleppmann 2016, "How to do distributed locking"). So a clock that is wrong
may let two act at once, and still only one of them gets its results in; what they do meanwhile is
done under keys by which the second finds that it was done.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, insert, select

from leaven.core.errors import DataError, SettingError
from leaven.label.tasks import check_name, check_text
from leaven.operate.loop.states import REST, after
from leaven.store import audit
from leaven.store.histories import told_of
from leaven.store.loop_tables import loop_events, loop_leases
from leaven.store.store import Store
from leaven.store.upsert import put

__all__ = [
    "LABELLING",
    "LOOP",
    "Event",
    "Journal",
    "Lease",
    "Overtaken",
    "Standing",
    "folded",
    "holder",
]

#: Who acts where no person did.
LOOP = "loop"
#: What can be paused: all that it does, or that pseudo-labels teach.
LABELLING = "labelling"
PAUSABLE = (LOOP, LABELLING)
_LONGEST = 4000  # characters of a reason


class Overtaken(Exception):
    """Somebody else has written since this was read, or holds the lease."""


@dataclass(frozen=True)
class Event:
    """The `number`-th event of a service; `state` is where the loop stands after it."""

    number: int
    at: float
    kind: str
    cycle: int
    state: str
    outcome: str
    person: str
    reason: str
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """What stands after an event; `number` is that event's, 0 before the first.

    `since` is when the state began, `began` when the cycle did (seconds since 1970). `why` is the
    reason of the last move. `known` is what was told in this cycle, by the state that told it.
    `wish` is a person's trigger that no cycle has begun by yet, `decision` what a person said about
    this cycle. `paused` are the events of what is paused, by its name.
    """

    service: str
    number: int = 0
    cycle: int = 0
    state: str = REST
    outcome: str = ""
    since: float = 0.0
    began: float = 0.0
    why: str = ""
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wish: Event | None = None
    decision: Event | None = None
    paused: Mapping[str, Event] = field(default_factory=dict)

    def told(self, state: str, name: str, otherwise: Any = None) -> Any:
        """What a state of this cycle told under a name."""
        return self.known.get(state, {}).get(name, otherwise)


@dataclass(frozen=True)
class Lease:
    """The right to act for a service: the `token`-th that was given."""

    service: str
    token: int
    holder: str
    until: float


def holder() -> str:
    """This process, as others name it."""
    return f"{socket.gethostname()[:180]}/{os.getpid()}"


def folded(service: str, events: Iterable[Event]) -> Standing:
    """What stands after these events."""
    standing = Standing(service)
    for event in events:
        standing = _after(standing, event)
    return standing


class Journal:
    """The journal of one service.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(
        self, store: Store, service: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        check_name("service", service)
        self.store, self.service, self.clock = store, service, clock

    def history(self) -> list[Event]:
        """Everything that happened, in order."""
        with self.store.read() as connection:
            return self._events(connection)

    def standing(self) -> Standing:
        """What stands now."""
        return folded(self.service, self.history())

    def paused(self, what: str) -> Event | None:
        """The event by which this is paused; None where it is not. Reads nothing else."""
        rows = loop_events.c
        about = (rows.service == self.service) & (rows.outcome == what)
        names = [name for name in Event.__dataclass_fields__ if name != "told"]
        query = select(*(rows[name] for name in names)).where(
            about, rows.kind.in_(("paused", "resumed"))
        )
        with self.store.read() as connection:
            row = connection.execute(query.order_by(rows.number.desc()).limit(1)).one_or_none()
        if row is None or row.kind == "resumed":
            return None
        return Event(**{name: getattr(row, name) for name in names}, told={})

    def lease(self) -> Lease | None:
        """Who held the service last; None where nobody ever did."""
        with self.store.read() as connection:
            return self._lease(connection)

    def acting(self) -> Lease | None:
        """Who acts now; None where nobody does, or its process is known to have ended."""
        held = self.lease()
        return held if held is not None and held.until > self.clock() and _lives(held) else None

    def take(self, seconds: float, *, who: str | None = None) -> Lease | None:
        """The right to act for so many seconds; None while somebody else has it.

        A lease of a process of this machine that has ended is taken at once.
        """
        mine, now = who or holder(), self.clock()
        with self.store.write() as connection:
            held = self._lease(connection)
            if held is not None and held.until > now and _lives(held):
                return None
            token = 1 if held is None else held.token + 1
            lease = Lease(self.service, token, mine, now + seconds)
            self._put(connection, lease)
        return lease

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """The same lease for so many seconds from now; Overtaken where another has taken it."""
        longer = replace(lease, until=self.clock() + seconds)
        with self.store.write() as connection:
            self._check(connection, lease)
            self._put(connection, longer)
        return longer

    def give_back(self, lease: Lease) -> None:
        """Let others act at once; nothing where somebody else acts already."""
        with suppress(Overtaken):
            self.renew(lease, 0.0)

    def move(
        self,
        seen: Standing,
        lease: Lease,
        outcome: str,
        reason: str,
        told: Mapping[str, Any] | None = None,
    ) -> Standing:
        """Go on by an outcome of the state; a new cycle begins where the loop was at rest.

        Raises Overtaken where something was written since `seen`, or the lease is not the last.
        """
        target = after(seen.state, outcome).target
        cycle = seen.cycle + (seen.state == REST)
        blank = Event(0, 0.0, "moved", cycle, target, outcome, LOOP, reason, told or {})
        return self._add(blank, seen, lease)

    def note(
        self, seen: Standing, lease: Lease, reason: str, told: Mapping[str, Any], outcome: str = ""
    ) -> Standing:
        """Keep what was found or is about to be done; raises as `move`."""
        blank = Event(0, 0.0, "noted", seen.cycle, seen.state, outcome, LOOP, reason, told)
        return self._add(blank, seen, lease)

    def trigger(self, person: str, reason: str) -> Standing:
        """A person begins a cycle, as soon as the loop waits."""
        return self._person("triggered", person, reason)

    def decide(self, person: str, reason: str, *, approve: bool) -> Standing:
        """A person approves or refuses what waits for that; DataError where nothing does."""
        return self._person("approved" if approve else "refused", person, reason)

    def pause(self, what: str, person: str, reason: str) -> Standing:
        """Nothing of `loop` or `labelling` is done by itself; DataError where it is paused."""
        return self._person("paused", person, reason, what)

    def resume(self, what: str, person: str, reason: str) -> Standing:
        """It goes on; DataError where it was not paused."""
        return self._person("resumed", person, reason, what)

    def _person(self, kind: str, person: str, reason: str, about: str = "") -> Standing:
        check_name("by", person)
        check_text("reason", reason, _LONGEST)
        if about and about not in PAUSABLE:
            raise SettingError("what", f"one of {', '.join(PAUSABLE)}", about)
        with self.store.write() as connection:
            standing = folded(self.service, self._events(connection))
            if refusal := _refusal(standing, kind, about):
                raise DataError(refusal)
            event = Event(
                standing.number + 1, self.clock(), kind, standing.cycle, standing.state, about,
                person, reason, {},
            )  # fmt: skip
            self._insert(connection, event)
        return _after(standing, event)

    def _add(self, blank: Event, seen: Standing, lease: Lease) -> Standing:
        with self.store.write() as connection:
            self._check(connection, lease)
            newest = select(loop_events.c.number).where(loop_events.c.service == self.service)
            newest = newest.order_by(loop_events.c.number.desc()).limit(1)
            if (connection.execute(newest).scalar() or 0) != seen.number:
                raise Overtaken
            event = replace(blank, number=seen.number + 1, at=self.clock())
            self._insert(connection, event)
        return _after(seen, event)

    def _insert(self, connection: Connection, event: Event) -> None:
        row = {name: getattr(event, name) for name in Event.__dataclass_fields__}
        row["reason"] = _plain(event.reason)
        insertion = insert(loop_events).values(service=self.service, **row)
        added = connection.execute(insertion.returning(loop_events.c.id)).scalar_one()
        told = told_of(connection, "loop", added)
        act = f"loop.{event.kind}"
        audit.note(connection, event.person, act, self.service, told, at=event.at)

    def _events(self, connection: Connection) -> list[Event]:
        query = select(loop_events).where(loop_events.c.service == self.service)
        names = Event.__dataclass_fields__
        return [
            Event(**{name: getattr(row, name) for name in names})
            for row in connection.execute(query.order_by(loop_events.c.number))
        ]

    def _lease(self, connection: Connection) -> Lease | None:
        query = select(loop_leases).where(loop_leases.c.service == self.service)
        row = connection.execute(query).one_or_none()
        return None if row is None else Lease(row.service, row.token, row.holder, row.until)

    def _put(self, connection: Connection, lease: Lease) -> None:
        told = {"token": lease.token, "holder": lease.holder, "until": lease.until}
        put(connection, loop_leases, {"service": self.service}, told)

    def _check(self, connection: Connection, lease: Lease) -> None:
        held = self._lease(connection)
        if held is None or held.token != lease.token:
            raise Overtaken


def _lives(held: Lease) -> bool:
    """False only where the holder was a process of this machine, and has ended."""
    host, _, number = held.holder.rpartition("/")
    if host != socket.gethostname()[:180] or not number.isdigit():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):
        return True
    return True


def _plain(reason: str) -> str:
    """As every database can keep it: what was found may quote anything."""
    return reason[:_LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _refusal(standing: Standing, kind: str, about: str) -> str:
    """Why a person cannot do this now; "" where they can."""
    name = f"The loop of '{standing.service}'"
    if kind in ("approved", "refused"):
        if standing.state != "approving":
            return f"{name} asks for no decision: it is {standing.state}. See leaven loop status."
        if standing.decision is not None:
            last = standing.decision
            return f"{last.person} was quicker, and has {last.kind} it."
    if kind == "triggered" and standing.wish is not None:
        return f"{standing.wish.person} has triggered it already; it begins when the loop waits."
    what = "the loop" if about == LOOP else "automatic labelling"
    if kind == "paused" and about in standing.paused:
        return f"{standing.paused[about].person} has paused {what} of '{standing.service}' already."
    if kind == "resumed" and about not in standing.paused:
        return f"{what.capitalize()} of '{standing.service}' is not paused."
    return ""


def _after(standing: Standing, event: Event) -> Standing:
    standing = replace(standing, number=event.number)
    if event.kind == "moved":
        return _moved(standing, event)
    if event.kind == "noted":
        known = {**standing.known.get(event.state, {}), **event.told}
        return replace(standing, known={**standing.known, event.state: known})
    if event.kind == "triggered":
        return replace(standing, wish=event)
    if event.kind in ("approved", "refused"):
        return replace(standing, decision=event)
    paused = {name: one for name, one in standing.paused.items() if name != event.outcome}
    if event.kind == "paused":
        paused[event.outcome] = event
    return replace(standing, paused=paused)


def _moved(standing: Standing, event: Event) -> Standing:
    """What a state told stays known to the end of the cycle, and while the loop then waits."""
    begins = event.cycle != standing.cycle
    known = {} if begins else dict(standing.known)
    known[standing.state] = {**known.get(standing.state, {}), **event.told}
    return replace(
        standing,
        cycle=event.cycle,
        state=event.state,
        outcome=event.outcome,
        since=event.at,
        began=event.at if begins else standing.began,
        why=event.reason,
        known=known,
        wish=None if begins else standing.wish,
        decision=None if begins else standing.decision,
    )
