"""Where a loop stands, in words and plain values: for the command line, programs and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from leaven.core.errors import DataError, UnknownNameError
from leaven.operate.canary.guard import looks
from leaven.operate.loop.journal import LOOP, Event, Journal, Lease, Standing, folded
from leaven.operate.loop.states import REST, STATES, TRANSITIONS
from leaven.store.loop_tables import loop_events
from leaven.store.store import Store

__all__ = ["cycles", "looped", "named_loop", "told"]


def looped(store: Store) -> list[str]:
    """The services of a store that have a loop, by name."""
    with store.read() as connection:
        names = select(loop_events.c.service).distinct().order_by(loop_events.c.service)
        return list(connection.execute(names).scalars())


def named_loop(store: Store, service: str | None) -> str:
    """This service, or the only one that has a loop.

    Raises DataError for None where there are others, or none; UnknownNameError for one without.
    """
    known = looped(store)
    if service is None and len(known) != 1:
        raise DataError(f"Name the service. Loops so far: {', '.join(known) or 'none'}.")
    if service is not None and service not in known:
        raise UnknownNameError("service", service, known)
    return service or known[0]


def told(journal: Journal) -> dict[str, Any]:
    """Where the loop of a service stands, why, what comes next, and what it waits for.

    `service`, `state` with its `title`, `since`, `cycle`, `why`, `waits` (sentences), `next` (pairs
    of what may happen and the state that follows), `wish` and `decision` (events or None), `paused`
    (by what), `lease` (None where nobody acts), `cycles` and `events`.
    """
    history = journal.history()
    standing = folded(journal.service, history)
    state, lease = STATES[standing.state], journal.acting()
    return {
        "service": journal.service,
        "state": state.name,
        "title": state.title,
        "since": standing.since or None,
        "cycle": standing.cycle,
        "why": standing.why or "No cycle has begun yet.",
        "waits": _waits(journal, standing, lease),
        "next": [
            {"when": one.says, "state": STATES[one.target].title}
            for one in TRANSITIONS
            if one.source == state.name
        ],
        "wish": None if standing.wish is None else asdict(standing.wish),
        "decision": None if standing.decision is None else asdict(standing.decision),
        "paused": {name: asdict(one) for name, one in standing.paused.items()},
        "lease": None if lease is None else asdict(lease),
        "cycles": cycles(history),
        "events": [asdict(one) for one in history],
    }


def cycles(history: Sequence[Event]) -> list[dict[str, Any]]:
    """Each cycle: when it began, by what, which states it went through, and how it ended."""
    found: dict[int, dict[str, Any]] = {}
    for event in history:
        if event.kind != "moved":
            continue
        one = found.setdefault(
            event.cycle,
            {"cycle": event.cycle, "began": event.at, "by": event.reason, "run": None,
             "path": [REST], "ended": None, "outcome": "", "steps": []},
        )  # fmt: skip
        step = {"at": event.at, "from": one["path"][-1], "state": event.state}
        one["steps"].append(step | {"outcome": event.outcome, "reason": event.reason})
        one["path"].append(event.state)
        one["run"] = event.told.get("id", one["run"])
        one["ended"] = event.at if event.state == REST else None
        if event.state in ("asking", REST) and not one["outcome"]:
            one["outcome"] = event.outcome
    return list(found.values())


def _waits(journal: Journal, standing: Standing, lease: Lease | None) -> list[str]:
    """For what, in sentences."""
    found = []
    for name, event in standing.paused.items():
        what = "the loop" if name == LOOP else "automatic labelling"
        because = f": {event.reason}" if event.reason else "."
        found.append(f"{event.person} has paused {what}{because}")
    if standing.wish is not None:
        said = "begins with the next look" if standing.state == REST else "begins when it waits"
        found.append(f"{standing.wish.person} wants a cycle; it {said} (leaven loop run).")
    decided, waits = standing.decision is not None, STATES[standing.state].waits
    if standing.state == "approving" and decided:
        waits = ""
    elif standing.state == "ramping" and (last := _look(journal, standing)):
        found.append(last)
    elif waits:
        found.append(f"It waits for {waits}.")
    if lease is not None:
        found.append(f"{lease.holder} goes on with it.")
    elif not waits:
        found.append("No process goes on with it now: leaven loop run.")
    return found


def _look(journal: Journal, standing: Standing) -> str:
    """What the guard said last of this cycle's run."""
    mine = [
        one
        for one in looks(journal.store, journal.service)
        if one["run"] == standing.told("fitting", "id") and one["at"] >= standing.since
    ]
    return f"The guard: {mine[-1]['reason']}" if mine else ""
