"""The parts of the evidence: what each reads of the store, the runs and the configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, func, select

from leaven.core.errors import DataError, LeavenError
from leaven.operate.incidents.drawing import confused, drawn
from leaven.operate.incidents.incident import Incident
from leaven.operate.releases import Releases, State, folded
from leaven.store.alert_tables import alerts
from leaven.store.audit_tables import audit
from leaven.store.loop_tables import loop_events
from leaven.store.people_tables import people_events
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from leaven.store.tables import events, queues, tasks

if TYPE_CHECKING:
    from leaven.operate.registry import Registered

__all__ = ["PARTS", "Site"]

_LATEST = 200  # events of each kind
_DRAWN = 50  # answers of each kind
_LARGEST = 1_000_000_000  # bytes of data that are hashed


@dataclass(frozen=True)
class Site:
    """What evidence is taken of: an incident, at a time, with the configuration's file.

    `since` is from when on answers may be wrong; both in seconds since 1970.
    """

    store: Store
    incident: Incident
    config: Path
    since: float
    now: float

    @property
    def service(self) -> str:
        """The service of the incident."""
        return self.incident.service

    def state(self) -> State:
        """What stands of the releases."""
        return Releases(self.store, self.service).state()

    def live(self) -> Registered:
        """The live run; DataError where nothing is live."""
        from leaven.operate.registry import Registry

        named = self.state().live
        if named is None:
            raise DataError(f"Nothing is live in '{self.service}'.")
        return Registry(self.store).get(named.run, named.digest)


def _releases(site: Site) -> Any:
    history = Releases(site.store, site.service).history()
    state = folded(site.service, history)
    return {"state": asdict(state), "events": [asdict(one) for one in history[-_LATEST:]]}


def _runs(site: Site) -> Any:
    """The runs that serve and the one before: as registered, and whether their files still are."""
    from leaven.operate.manifest import verified
    from leaven.operate.registry import Registry

    state, found = site.state(), []
    places = [("live", state.live), ("canary", state.canary), ("shadow", state.shadow)]
    places += [("before", state.before[-1])] if state.before else []
    for place, named in places:
        if named is None:
            continue
        told: dict[str, Any] = {"place": place, "run": named.run, "digest": named.digest}
        try:
            one = Registry(site.store).get(named.run, named.digest)
            told |= {"folder": str(one.folder), "registered": one.at, "told": one.told}
            told["files"] = verified(one.model, named.digest).files
            told["as_released"] = True
        except LeavenError as gone:
            told |= {"as_released": False, "problem": str(gone)}
        found.append(told)
    return found


def _data(site: Site) -> Any:
    """The data of the live run: its hash then, and its file now."""
    from leaven.evaluate.run import Run

    found = site.live()
    told: dict[str, Any] = {"dataset": found.told["dataset"], "labels": found.told.get("labels")}
    source = str(Run.load(found.folder).story["dataset"]["source"] or "")
    told |= {"source": source, "there": Path(source).exists() if source else False}
    if source and Path(source).is_file():
        stands = Path(source).stat()
        told |= {"bytes": stands.st_size, "changed": stands.st_mtime}
        if stands.st_size <= _LARGEST:
            with Path(source).open("rb") as file:
                told["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return told


def _thresholds(site: Site) -> Any:
    """By what guesses are accepted, answers given, canaries judged and promises held."""
    from leaven.operate.canary.guard import looks
    from leaven.operate.objectives.config import Objectives

    told: dict[str, Any] = {}
    with suppress(DataError):
        live = site.live()
        told |= {"recipe": live.told["recipe"], "answering": _answering(site, live.digest)}
    kept = looks(site.store, site.service)
    told["canary"] = kept[-1]["told"].get("policy") if kept else None
    with suppress(LeavenError):
        given = Objectives.read(site.config if site.config.is_file() else None)
        told["objectives"] = [one.model_dump(mode="json") for one in given.of(site.service)]
    return told


def _answering(site: Site, digest: str) -> dict[str, Any]:
    """Between which probabilities an answer becomes a question, as the log shows.

    A server is told its threshold when it is started, and no store keeps it.
    """
    table = predictions
    mine = (
        table.c.service == site.service, table.c.digest == digest, table.c.at >= site.since,
        table.c.place.in_(("live", "canary")),
    )  # fmt: skip
    query = select(
        table.c.route, func.count(), func.min(table.c.probability), func.max(table.c.probability)
    )
    with site.store.read() as connection:
        rows = connection.execute(query.where(*mine).group_by(table.c.route)).all()
    return {route: {"n": n, "lowest": low, "highest": high} for route, n, low, high in rows}


def _config(site: Site) -> Any:
    if not site.config.is_file():
        raise DataError(f"There is no '{site.config}' here.")
    return site.config.read_bytes()


def _history(site: Site) -> Any:
    """The latest events of loop, alerts, people, labels, and the audit log."""
    loop = _latest(site, loop_events, loop_events.c.service == site.service)
    with site.store.read() as connection:
        named = (site.service, _dataset(site))
        mine = select(queues.c.id).where(queues.c.name.in_(named))
        query = (
            select(events.c.at, events.c.person, events.c.kind, events.c.label, events.c.guess,
                   events.c.confidence, tasks.c.record, tasks.c.kind.label("asked_as"))
            .outerjoin(tasks, tasks.c.id == events.c.task)
            .where(events.c.queue.in_(mine))
            .order_by(events.c.id.desc())
            .limit(_LATEST)
        )  # fmt: skip
        answers = [dict(row) for row in connection.execute(query).mappings()]
    return {
        "loop": loop,
        "alerts": _latest(site, alerts, alerts.c.service == site.service),
        "people": _latest(site, people_events),
        "labels": answers[::-1],
        "audit": _latest(site, audit, order="number"),
    }


def _dataset(site: Site) -> str:
    """What the live run's data are called, as its queue is."""
    with suppress(LeavenError, KeyError):
        return str(site.live().told["dataset"]["name"])
    return site.service


def _latest(site: Site, table: Table, *where: Any, order: str = "id") -> list[dict[str, Any]]:
    query = select(table).where(*where).order_by(table.c[order].desc()).limit(_LATEST)
    with site.store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()][::-1]


def _objectives(site: Site) -> Any:
    from leaven.operate.objectives.checking import known_alerts, last_looks

    return {
        "looks": [one for one in last_looks(site.store) if one["service"] == site.service],
        "open": [one for one in known_alerts(site.store) if one["service"] == site.service],
    }


def _health(site: Site) -> Any:
    from leaven.operate.health.examining import examine

    found = examine(site.store, site.service, clock=lambda: site.now)
    shifts = [] if found.drift is None else [asdict(one) for one in found.drift.shifts]
    return found.told() | {"shifts": shifts}


def _pseudo_labels(site: Site) -> Any:
    """What audits say of each class of the live run's pseudo-labels."""
    from leaven.label.queue import Queue, queue_names
    from leaven.label.trust.auditing import audited, judge

    run, name = site.live().folder.name, _dataset(site)
    queue = Queue(site.store, name) if name in queue_names(site.store) else None
    told = [] if queue is None else [one for one in audited(queue) if one.run == run]
    if queue is None or not told:
        raise DataError(f"No pseudo-label of '{run}' was audited: leaven label audit.")
    at_least = min(one.at_least for one in told)
    verdicts = judge(queue, run, confidence=at_least)
    return [asdict(one) | {"class": queue.classes[one.of]} for one in verdicts]


def _sources(site: Site) -> Any:
    from leaven.operate.incidents.sources import sources

    folder = site.live().folder
    return [asdict(one) for one in sources(site.store, site.service, _dataset(site), folder)]


def _newcomers(site: Site) -> Any:
    """Whose labels taught the live run and not the one before."""
    from leaven.operate.incidents.sources import newcomers
    from leaven.operate.registry import Registry

    before = site.state().before
    if not before:
        raise DataError("There is no run before the live one.")
    known = Registry(site.store).get(before[-1].run, before[-1].digest)
    return newcomers(site.live().folder, known.folder)


def _answers(site: Site) -> Any:
    """Answers from the log, and how each class fared by the truths that came back."""
    found = drawn(site.store, site.service, site.since, site.now, _DRAWN, site.incident.number)
    if not any(found.values()):
        raise DataError("The log has no answer of that time.")
    wrong = confused(site.store, site.service, site.since, site.now)
    return found | {"since": site.since, "until": site.now, "confused": wrong}


def _records(site: Site) -> Any:
    """The records of those answers, of which a queue holds a copy: no log keeps them."""
    answers = drawn(site.store, site.service, site.since, site.now, _DRAWN, site.incident.number)
    contents = sorted({row["content"] for kind in answers.values() for row in kind})
    query = select(queues.c.name, tasks.c.record, tasks.c.content, tasks.c.shown).join(
        queues, queues.c.id == tasks.c.queue
    )
    found: dict[str, dict[str, Any]] = {}
    with site.store.read() as connection:
        for row in connection.execute(query.where(tasks.c.content.in_(contents))).mappings():
            if row["shown"]:
                found.setdefault(row["content"], dict(row))
    if not found:
        raise DataError(f"No queue holds any of the {len(contents)} records.")
    return list(found.values())


#: Each part: its file, and what makes it, plain values or bytes.
PARTS: Mapping[str, Callable[[Site], Any]] = {
    "releases.json": _releases,
    "runs.json": _runs,
    "data.json": _data,
    "thresholds.json": _thresholds,
    "leaven.toml": _config,
    "history.json": _history,
    "objectives.json": _objectives,
    "health.json": _health,
    "pseudo-labels.json": _pseudo_labels,
    "sources.json": _sources,
    "newcomers.json": _newcomers,
    "answers.json": _answers,
    "records.json": _records,
}
