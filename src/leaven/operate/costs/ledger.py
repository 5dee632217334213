"""What a service took in a time, off the store: fits, serving, answers of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from leaven.evaluate.spending import HOUR
from leaven.operate.registry import Registered, Registry
from leaven.operate.releases import Event
from leaven.store.cost_tables import serving_costs
from leaven.store.loop_tables import loop_events
from leaven.store.store import Store
from leaven.store.tables import events, queues

__all__ = ["Fit", "Served", "bought", "fits", "queues_of", "registered", "served"]


@dataclass(frozen=True)
class Fit:
    """A fit for a service: of which run, when it was known, and what it took."""

    run: str
    at: float
    cpu_seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class Served:
    """What one release took to answer so many records, in CPU seconds."""

    run: str
    version: str
    cpu_seconds: float
    answered: float


def served(store: Store, service: str, since: float, until: float) -> list[Served]:
    """What each release took in that time. Of an hour that it cuts, the share that lies in it."""
    table = serving_costs.c
    query = select(
        table.run, table.version, table.hour,
        func.sum(table.cpu_seconds).label("cpu"), func.sum(table.answered).label("answered"),
    ).where(
        table.service == service, table.hour > since / HOUR - 1, table.hour < until / HOUR
    ).group_by(table.run, table.version, table.hour)  # fmt: skip
    found: dict[tuple[str, str], tuple[float, float]] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            share = min(1.0, row.hour + 1 - since / HOUR)
            cpu, answered = found.get((row.run, row.version), (0.0, 0.0))
            key = row.run, row.version
            found[key] = cpu + share * float(row.cpu), answered + share * float(row.answered)
    return [Served(*key, *told) for key, told in sorted(found.items())]


def bought(store: Store, names: Sequence[str], since: float, until: float) -> dict[str, int]:
    """Answers that people gave in queues of these names in that time, by who did.

    An answer that was taken back and given again is one; skipped questions are none.
    """
    query = (
        select(events.c.person, func.count(events.c.task.distinct()))
        .join(queues, queues.c.id == events.c.queue)
        .where(
            queues.c.name.in_(names), events.c.at >= since, events.c.at < until,
            events.c.kind.in_(("answered", "adjudicated")), events.c.label.is_not(None),
        )
        .group_by(events.c.person)
    )  # fmt: skip
    with store.read() as connection:
        return {person: int(n) for person, n in connection.execute(query)}


def queues_of(service: str, runs: Sequence[Registered]) -> list[str]:
    """The queues whose answers teach a service: of its own name, and of its runs' data."""
    return sorted({service, *(one.told["dataset"]["name"] for one in runs)})


def registered(store: Store, history: Sequence[Event]) -> list[Registered]:
    """The runs of a service's releases, in the order in which they first came."""
    registry = Registry(store)
    keys = dict.fromkeys((one.run, one.digest) for one in history)
    return [registry.get(run, digest) for run, digest in keys]


def fits(store: Store, service: str, history: Sequence[Event]) -> list[Fit]:
    """The fits for a service: those of its loop, and those of releases that the loop did not make.

    A fit of the loop that came to nothing counts as well, where it told what it took.
    """
    found = []
    table = loop_events.c
    ends = table.kind == "moved", table.outcome.in_(("fitted", "failed"))
    with store.read() as connection:
        query = select(table.at, table.told).where(table.service == service, *ends)
        for at, told in connection.execute(query):
            if "cpu_seconds" in told:
                cpu, gpu = float(told["cpu_seconds"]), float(told.get("gpu_seconds", 0.0))
                found.append(Fit(str(told.get("id", "")), at, cpu, gpu))
    known = {one.run for one in found}
    for run in registered(store, history):
        cost = run.told["cost"]
        if run.run not in known and cost.get("cpu_seconds") is not None:
            known.add(run.run)
            at = next(one.at for one in history if (one.run, one.digest) == (run.run, run.digest))
            gpu = float(cost.get("gpu_seconds", 0.0))
            found.append(Fit(run.run, at, float(cost["cpu_seconds"]), gpu))
    return sorted(found, key=lambda one: one.at)
