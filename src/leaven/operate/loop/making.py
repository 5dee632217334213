"""The work from the data to a run that may be released: checking, fitting, judging, approving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from leaven.core.errors import CapError, LeavenError, RunError, StoreError
from leaven.core.wording import count, many, records
from leaven.data.dataset import Dataset
from leaven.operate.costs.week import Left, left
from leaven.operate.loop.bench import Bench, Done, Waits
from leaven.operate.loop.triggers import marks_now
from leaven.store.store import Store

__all__ = ["approve", "check", "fit", "judge", "keep_labels", "labels_given"]

#: What a label joined from the queue or from production says of itself.
_COLUMNS = ("content", "id", "label", "origin", "people")


def check(bench: Bench) -> Done:
    """Read the data and the labels given since, and keep these as they are for the fit."""
    from leaven.data.given import given_with_answers

    policy = bench.policy
    marks = marks_now(bench.store, bench.service, policy.asks_in)  # before they are read
    labels = labels_given(bench.store, bench.service, policy.asks_in)
    # The name is this holder's own: who was overtaken writes over nothing that another reads.
    file = keep_labels(labels, bench.folder / f"labels-{bench.token}.parquet")
    try:
        dataset = given_with_answers(policy.data, file, **_reading(bench))
    except StoreError:
        raise
    except LeavenError as unusable:
        return Done("broken", f"The data cannot be used: {unusable}")
    errors = [one.message for one in dataset.findings if one.severity == "error"]
    if errors:
        return Done("broken", f"The data have errors: {' '.join(errors[:3])}")
    told = {
        "hash": dataset.hash, "records": len(dataset), "labelled": len(dataset.labelled),
        "labels": labels.num_rows, "file": None if file is None else str(file),
        "settings": _settings(bench),
    } | asdict(marks)  # fmt: skip
    if _is_known(bench, told, dataset):
        return Done("unchanged", "Neither the data nor the labels have changed since.", told)
    said = f"{records(len(dataset))}, {count(len(dataset.labelled))} of them labelled"
    since = f", {many(labels.num_rows, 'label', 'labels')} given by people or by production"
    return Done("fine", said + (since if labels.num_rows else "") + ".", told)


def fit(bench: Bench) -> Done | Waits:
    """Fit a run, or go on with the one that was begun; one that is done is only opened."""
    tries, most = int(bench.standing.told("fitting", "tries", 0)), bench.policy.limits.tries
    if tries >= most:
        said = many(tries, "time", "times")
        return Done("failed", f"The fit was begun {said} and never ended, the most allowed.")
    room = left(bench.policy.limits, bench.history, bench.clock(), bench.prices)
    stopped = bench.standing.told("fitting", "stopped")
    if room.says or (stopped is not None and not room.is_more(stopped["left"])):
        return _stopped(bench, room, stopped)
    asked = bench.policy.fit.model_dump(exclude_none=True)
    # By these one sees from outside how the fit goes on.
    kept = {"folder": str(bench.folder), "budget": asked.get("budget", "")}
    bench.note(f"Try {tries + 1} of {most}.", {"tries": tries + 1} | kept)
    if "labelling" in bench.standing.paused:
        asked.pop("rules", None)
    file = bench.standing.told("checking", "file")
    try:
        run = bench.fit(
            bench.policy.data, answers=file, out=bench.folder, progress=bench.tell,
            cpu_hours=room.cpu_hours, money=room.money, prices=bench.prices, **asked,
        )  # fmt: skip
    except StoreError:
        raise
    except CapError as cap:
        told = {"left": (room.cpu_hours, room.money), "spent": dict(cap.spent)}
        bench.note(str(cap), {"tries": tries, "stopped": told})  # it goes on once more is left
        return _stopped(bench, room, told)
    except LeavenError as wrong:
        if isinstance(wrong, RunError) and isinstance(wrong.__cause__, BlockingIOError):
            bench.note("Another process makes the run.", {"tries": tries})  # this was no try
            return Waits(str(wrong))
        return Done("failed", f"It cannot be fitted: {wrong}")
    cost = run.story["cost"]
    told = {"run": str(run.folder.resolve()), "id": run.story["run"]["id"]}
    took = {name: cost.get(name, 0.0) for name in ("cpu_seconds", "gpu_seconds", "seconds")}
    return Done("fitted", run.verdict.sentence, told | took)


def _stopped(bench: Bench, room: Left, stopped: Mapping[str, Any] | None) -> Done | Waits:
    """What a fit comes to for which nothing is left: it goes on once more is, for as long as the
    policy has patience."""
    why = room.says or "The fit has used what was left of the limits of 7 days."
    if bench.over(bench.standing.since):
        return Done("failed", f"{why} It has waited too long.", (stopped or {}).get("spent", {}))
    return Waits(f"{why} It goes on where it stopped, once more is left.")


def judge(bench: Bench) -> Done:
    """Hold the run against its baseline and the live run."""
    from leaven.evaluate.run import Run
    from leaven.operate.loop.gate import judge as judged
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases

    state, live, lost = Releases(bench.store, bench.service).state(), None, ""
    if state.live is not None:
        try:
            live = Run.load(Registry(bench.store).get(state.live.run, state.live.digest).folder)
        except (RunError, LookupError) as gone:
            lost = f"the live run cannot be read. {gone}"
    found = judged(Run.load(bench.run), live, bench.policy.gate, lost)
    told = asdict(found) | {"against_run": None if state.live is None else state.live.run}
    return Done(found.outcome, found.reason, told)


def approve(bench: Bench) -> Done | Waits:
    """Wait for a person, for as long as the policy has patience."""
    decision = bench.standing.decision
    if decision is not None:
        outcome = "approved" if decision.kind == "approved" else "refused"
        why = f": {decision.reason}" if decision.reason else "."
        return Done(outcome, f"{decision.person} {outcome} it{why}", {"person": decision.person})
    if bench.over(bench.standing.since):
        return Done("expired", "Nobody decided in time.")
    return Waits(
        f"A person decides: leaven loop approve {bench.service}, or leaven loop refuse "
        f"{bench.service}. {bench.standing.why}"
    )


def _reading(bench: Bench) -> dict[str, Any]:
    """By which names the records are read, as `leaven fit` does."""
    told = bench.policy.fit
    names = ("label", "modality", "id", "group", "time", "labels")
    return {name: getattr(told, name) for name in names} | {"audit": None}


def labels_given(store: Store, service: str, queue: str) -> pa.Table:
    """The labels that people gave, and those of production of records that they did not label."""
    from leaven.label.queue import Queue, queue_names
    from leaven.label.results import labels
    from leaven.operate.production_labels import production_labels

    rows: list[dict[str, Any]] = []
    if queue in queue_names(store):
        rows += labels(Queue(store, queue)).to_pylist()
    known = {row["content"] for row in rows}
    truths, _ = production_labels(store, service)
    # What the model's own action brought about is no label.
    rows += [row for row in truths.to_pylist() if not row["caused"] and row["content"] not in known]
    columns = {name: [row.get(name) for row in rows] for name in _COLUMNS}
    return pa.table(columns, schema=pa.schema({name: pa.string() for name in _COLUMNS}))


def keep_labels(labels: pa.Table, file: Path) -> Path | None:
    """Where the labels are now, encrypted if there is a key; None where there are none."""
    from leaven.evaluate.tables import write_parquet

    if not labels.num_rows:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(labels, file)
    return file


def _settings(bench: Bench) -> str:
    """Digest of how a run is fitted."""
    told = json.dumps(bench.policy.fit.model_dump(), sort_keys=True)
    paused = "labelling" in bench.standing.paused
    return hashlib.sha256(f"{told}{paused}".encode()).hexdigest()


def _is_known(bench: Bench, told: dict[str, Any], dataset: Dataset) -> bool:
    """Whether such a fit was made already; a person who begins a cycle gets one all the same."""
    if "by hand" in bench.standing.told("waiting", "triggers", ()):
        return False
    moved = [one for one in bench.history if one.kind == "moved"]
    fitted = {one.cycle for one in moved if one.outcome == "fitted"}
    before = [one.told for one in moved if one.outcome == "fine" and one.cycle in fitted]
    if before:
        return all(before[-1][name] == told[name] for name in ("hash", "settings"))
    return _is_live(bench, dataset)


def _is_live(bench: Bench, dataset: Dataset) -> bool:
    """Whether the live run was made of these data, but for records that cannot be decoded."""
    from leaven.evaluate.run import Run
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases

    live = Releases(bench.store, bench.service).state().live
    if live is None:
        return False
    try:
        known = Registry(bench.store).get(live.run, live.digest)
        taught = known.told.get("dataset", {}).get("hash")
        if dataset.hash == taught:
            return True
        run = Run.load(known.folder)
        rest = run.decoded(dataset)
        if len(rest) == len(dataset) or rest.hash != taught:
            return False
        left = dataset.select(np.flatnonzero(~np.isin(dataset.ids, rest.ids)))
        return len(run.predictor.front.readable(left)[0]) == 0  # nobody has mended one
    except LeavenError:
        return False
