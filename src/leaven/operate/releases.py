"""Releases: which run of a service is live, which is tried, and the history of who decided it.

The history is added to and never changed, and what stands now is read off it: the run that is
`live`, at most one `canary` that answers a share of the requests, at most one `shadow` that is
asked and not heard. Every change says which state it was decided on. If that is no longer the
last, because somebody else was quicker, it is refused: nobody promotes what another rolled back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.core.wording import percent
from leaven.store import audit
from leaven.store.release_tables import releases
from leaven.store.store import Store

if TYPE_CHECKING:
    from leaven.operate.registry import Registered  # which knows of runs, and loads torch

__all__ = ["Event", "Named", "Releases", "State", "folded", "named_service", "services"]

BETTER = "better"


@dataclass(frozen=True)
class Named:
    """A run at a service: its id, the digest of its model, and its share of the requests."""

    run: str
    digest: str
    share: float = 1.0


@dataclass(frozen=True)
class Event:
    """One decision: the `number`-th of its service."""

    number: int
    at: float
    kind: str
    run: str
    digest: str
    share: float | None
    person: str
    reason: str


@dataclass(frozen=True)
class State:
    """What stands after an event; `number` is that event's, 0 before the first.

    `before` are the runs that were live earlier and were not retired since, the latest last:
    where a rollback leads to.
    """

    service: str
    number: int = 0
    live: Named | None = None
    canary: Named | None = None
    shadow: Named | None = None
    before: tuple[Named, ...] = ()


def services(store: Store) -> list[str]:
    """The services of a store, by name."""
    with store.read() as connection:
        names = select(releases.c.service).distinct().order_by(releases.c.service)
        return list(connection.execute(names).scalars())


def named_service(store: Store, service: str | None) -> str:
    """This service, or the only one; DataError for None where there are others, or none.

    Raises UnknownNameError for a service that the store does not have.
    """
    known = services(store)
    if service is None and len(known) != 1:
        raise DataError(f"Name the service. Released so far: {', '.join(known) or 'none'}.")
    if service is not None and service not in known:
        raise UnknownNameError("service", service, known)
    return service or known[0]


def folded(service: str, events: Iterable[Event]) -> State:
    """The state that these events lead to."""
    state = State(service)
    for event in events:
        state = _after(state, event)
    return state


class Releases:
    """The releases of one service.

    Parameters
    ----------
    clock : seconds since 1970.
    """

    def __init__(
        self, store: Store, service: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.store, self.service, self._clock = store, service, clock

    def history(self) -> list[Event]:
        """Everything that was decided, in order."""
        with self.store.read() as connection:
            return self._events(connection)

    def state(self) -> State:
        """What stands now."""
        return folded(self.service, self.history())

    def last(self) -> int:
        """The number of the last event, by which one sees at little cost that nothing changed."""
        newest = select(func.coalesce(func.max(releases.c.number), 0))
        with self.store.read() as connection:
            query = newest.where(releases.c.service == self.service)
            return int(connection.execute(query).scalar_one())

    def release(
        self,
        found: Registered,
        *,
        by: str,
        seen: State,
        canary: float | None = None,
        shadow: bool = False,
        override: str = "",
    ) -> State:
        """Let a run serve: as a shadow, as a canary of a share of the requests, or live at once.

        Parameters
        ----------
        seen : the state on which this is decided.
        override : why a run may serve that was not shown to be better; it is kept.

        Raises DataError for a run that is not better, without `override`, and where somebody else
        was quicker; SettingError for a share outside (0, 1).
        """
        outcome = found.told["verdict"]["outcome"]
        if outcome != BETTER and not override.strip():
            raise DataError(
                f"'{found.run}' was not shown to be better than its baseline ({outcome}): "
                f'{found.told["verdict"]["sentence"]} Release it all the same: --override "reason".'
            )
        if canary is not None and not 0 < canary < 1:
            raise SettingError("canary", "a share of the requests between 0 and 100 %", canary)
        if shadow and canary is not None:
            raise SettingError("shadow", "given, or `canary`, and not both", canary)
        if (shadow or canary is not None) and seen.live is None:
            raise DataError(
                f"Nothing is live in '{self.service}' that a canary or shadow could stand beside. "
                "Release it live first."
            )
        kind = "shadow" if shadow else "live" if canary is None else "canary"
        reason = f"overridden: {override.strip()}" if outcome != BETTER else override.strip()
        told = [(kind, Named(found.run, found.digest, canary or 1.0), reason)]
        return self._decide(seen, by, told)

    def promote(self, *, by: str, seen: State, reason: str = "") -> State:
        """Make the canary live. DataError where there is none, or somebody else was quicker."""
        if seen.canary is None:
            raise DataError(f"'{self.service}' has no canary. Begin one: leaven release RUN.")
        return self._decide(seen, by, [("live", replace(seen.canary, share=1.0), reason)])

    def widen(self, share: float, *, by: str, seen: State, reason: str = "") -> State:
        """Give the canary another share of the requests."""
        if seen.canary is None:
            raise DataError(f"'{self.service}' has no canary. Begin one: leaven release RUN.")
        if not 0 < share < 1:
            raise SettingError("share", "a share of the requests between 0 and 100 %", share)
        return self._decide(seen, by, [("canary", replace(seen.canary, share=share), reason)])

    def rollback(self, *, by: str, seen: State, reason: str = "") -> State:
        """Take the canary back, or where there is none the live run for the one before it.

        Raises DataError where there is neither, or somebody else was quicker.
        """
        if seen.canary is not None:
            return self._decide(seen, by, [("retired", seen.canary, reason or "rolled back")])
        if seen.live is None or not seen.before:
            raise DataError(f"'{self.service}' has no earlier run to go back to.")
        steps = [
            ("live", seen.before[-1], reason or f"rolled back from {seen.live.run}"),
            ("retired", seen.live, reason or "rolled back"),
        ]
        return self._decide(seen, by, steps)

    def retire(self, run: str, *, by: str, seen: State, reason: str = "") -> State:
        """Take a shadow or canary away. DataError for the live one, and for one that is neither."""
        for named in (seen.canary, seen.shadow):
            if named is not None and named.run == run:
                return self._decide(seen, by, [("retired", named, reason)])
        raise DataError(f"'{run}' is neither the canary nor the shadow of '{self.service}'.")

    def _decide(self, seen: State, by: str, steps: Sequence[tuple[str, Named, str]]) -> State:
        """Add events, all or none, if nothing was decided since `seen`."""
        if not by.strip():
            raise SettingError("by", "the name of who decides", by)
        with self.store.write() as connection:
            events = self._events(connection)
            if len(events) != seen.number:
                last = events[-1]
                raise DataError(
                    f"{last.person} was quicker: '{last.run}' became {_said(last)} meanwhile. Look "
                    "at leaven releases, and decide again."
                )
            for kind, named, reason in steps:
                told = Event(
                    len(events) + 1, self._clock(), kind, named.run, named.digest,
                    named.share if kind == "canary" else None, by, reason,
                )  # fmt: skip
                row = {name: getattr(told, name) for name in Event.__dataclass_fields__}
                row["service"] = self.service
                connection.execute(insert(releases).values(row))
                audit.note(connection, by, f"release.{kind}", self.service, row, at=told.at)
                events.append(told)
        return folded(self.service, events)

    def _events(self, connection: Any) -> list[Event]:
        query = select(releases).where(releases.c.service == self.service)
        rows = connection.execute(query.order_by(releases.c.number))
        names = Event.__dataclass_fields__
        return [Event(**{name: getattr(row, name) for name in names}) for row in rows]


def _after(state: State, event: Event) -> State:
    named = Named(event.run, event.digest, 1.0 if event.share is None else event.share)
    state = replace(state, number=event.number)
    if event.kind == "shadow":
        return replace(state, shadow=named)
    if event.kind == "canary":
        return replace(state, canary=named)
    if event.kind == "live":
        return _live(state, named)
    return _retired(state, named)


def _live(state: State, named: Named) -> State:
    before = [one for one in state.before if one != named]
    if state.live is not None and state.live != named:
        before.append(state.live)
    canary, shadow = (
        None if one is not None and _same(one, named) else one
        for one in (state.canary, state.shadow)
    )
    return replace(state, live=named, canary=canary, shadow=shadow, before=tuple(before))


def _retired(state: State, named: Named) -> State:
    """A run that was rolled back is no place to go back to."""
    before = tuple(one for one in state.before if not _same(one, named))
    canary, shadow = (
        None if one is not None and _same(one, named) else one
        for one in (state.canary, state.shadow)
    )
    return replace(state, canary=canary, shadow=shadow, before=before)


def _same(one: Named, other: Named) -> bool:
    return (one.run, one.digest) == (other.run, other.digest)


def _said(event: Event) -> str:
    return f"a canary of {percent(event.share, 0)}" if event.share is not None else event.kind
