"""Audits of pseudo-labels in the queue: drawn by chance, shown as any other task, and judged.

Nothing on the page tells an audit from another question: it says why it is asked as a record does
that was drawn at random, and stands anywhere among those that wait.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select

from leaven.core.errors import DataError, SettingError
from leaven.core.wording import percent
from leaven.data.dataset import Dataset
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.run import Run
from leaven.label.asking.seen import Seen
from leaven.label.asking.strategy import EXPLORES
from leaven.label.asking.unmarked import places
from leaven.label.queue import Ask, Queue
from leaven.label.results import Standing, decided, open_priorities, standing
from leaven.label.trust.agreement import cohen_kappa
from leaven.label.trust.audits import draw
from leaven.label.trust.gate import Gate, Verdict
from leaven.store.tables import tasks

__all__ = ["Audited", "Batch", "Drawn", "audited", "batches", "draw_audit", "judge"]


@dataclass(frozen=True)
class Audited:
    """A pseudo-label that people have judged: what the model named, how sure, what they said.

    It was drawn by chance among those of its class that the model of `run` gave with a confidence
    of `at_least` so much.
    """

    run: str
    record: str
    named: str
    said: str
    confidence: float
    at_least: float
    batch: str
    at: float


@dataclass(frozen=True)
class Batch:
    """What one draw showed. `precision` is the share of `n` judged pseudo-labels that is right,
    `coverage` the share of unlabelled records that had one, `agreement` Cohen's kappa of people and
    model, which is corrected for chance."""

    run: str
    name: str
    at: float
    n: int
    precision: float
    coverage: float
    agreement: Estimate


@dataclass(frozen=True)
class Drawn:
    """Audits to be put into a queue; `coverage` is of each class the share of unlabelled records
    for which the model names it with at least the confidence asked."""

    asks: tuple[Ask, ...]
    coverage: dict[str, float]


def draw_audit(
    run: Run,
    dataset: Dataset,
    size: int,
    *,
    confidence: float,
    queue: Queue,
    leave_out: Collection[str] = (),
    wanted: int = 1,
    seed: int = 0,
) -> Drawn:
    """A random sample of the pseudo-labels that the run's model is sure enough of, by class.

    Parameters
    ----------
    size : how many; each class gets one at least.
    confidence : from which calibrated probability on a pseudo-label would be accepted.
    leave_out : ids of records that people are asked about, or have answered.

    Raises DataError where the model is that sure of no record.
    """
    if not 0 <= confidence <= 1:
        raise SettingError("confidence", "a share in [0, 1]", confidence)
    seen, said = Seen.by(run, dataset)
    named, sure = said.argmax(1), said.max(1)
    unlabelled = seen.dataset.targets < 0
    open_ = np.flatnonzero(unlabelled & ~np.isin(seen.dataset.ids, list(leave_out)))
    rows = open_[sure[open_] >= confidence]
    if not len(rows):
        raise DataError(
            f"The model is {percent(confidence)} sure of no record that is left. Ask for less "
            "confidence, or label on."
        )
    counts = np.bincount(named[rows], minlength=len(run.classes)) / max(len(open_), 1)
    coverage = {name: float(share) for name, share in zip(run.classes, counts, strict=True)}
    chosen = rows[draw(named[rows], size=min(size, len(rows)), seed=seed).index]
    batch = f"audit {len(_batch_names(queue)) + 1}"
    there = places(open_priorities(queue), len(chosen), seed)
    told = {
        "strategy": "audit", "coverage": float(counts.sum()), "at_least": confidence,
    }  # fmt: skip
    asks = [
        seen.ask(
            row, said[row], EXPLORES, place, wanted=wanted, kind="audit",
            origin=told | {"named": run.classes[named[row]], "confidence": float(sure[row])},
        )
        for row, place in zip(chosen.tolist(), there, strict=True)
    ]  # fmt: skip
    marked = seen.marked(asks, chosen.tolist())
    return Drawn(tuple(replace(ask, batch=batch) for ask in marked), coverage)


def audited(queue: Queue) -> list[Audited]:
    """The audits that people have decided, in the order of their last answer.

    One on which they differ evenly is none yet.
    """
    query = select(tasks.c.id, tasks.c.origin, tasks.c.batch).where(
        tasks.c.queue == queue.id, tasks.c.kind == "audit"
    )
    with queue.store.read() as connection:
        asked = {row.id: row for row in connection.execute(query)}
    given: dict[int, list[Standing]] = defaultdict(list)
    for one in standing(queue):
        if one.task in asked and one.label is not None:
            given[one.task].append(one)
    found = []
    for task, answers in given.items():
        said, row = decided(answers), asked[task]
        if said is not None:
            at = max(one.at for one in answers)
            how = row.origin["confidence"], row.origin["at_least"]
            who = row.origin["run"], answers[0].record, row.origin["named"], said
            found.append(Audited(*who, *how, row.batch, at))
    return sorted(found, key=lambda one: one.at)


def judge(
    queue: Queue, run: str, *, confidence: float, target: float = 0.9, level: float = 0.05
) -> list[Verdict]:
    """Of each class whether a run's pseudo-labels may be accepted, by all its audits; see `Gate`.

    Those of at least this `confidence` are judged: audits of less sure ones do not count, nor do
    draws among surer ones alone, which say nothing of the rest, nor audits of another run.
    """
    kept = [
        one
        for one in audited(queue)
        if one.run == run and one.at_least <= confidence <= one.confidence
    ]
    names = list(queue.classes)
    place = {name: i for i, name in enumerate(names)}
    order = {name: i for i, name in enumerate(dict.fromkeys(one.batch for one in kept))}
    return Gate(target, level).judge(
        np.array([place[one.named] for one in kept], np.int64),
        np.array([one.named == one.said for one in kept], np.bool_),
        np.array([order[one.batch] for one in kept], np.int64),
        names,
    )


def batches(queue: Queue) -> list[Batch]:
    """What each draw has shown, the oldest first: coverage, precision and agreement over time."""
    query = (
        select(tasks.c.batch, tasks.c.origin)
        .where(tasks.c.queue == queue.id, tasks.c.kind == "audit")
        .order_by(tasks.c.id)
    )
    with queue.store.read() as connection:
        coverage = {row.batch: row.origin["coverage"] for row in connection.execute(query)}
    given: dict[str, list[Audited]] = defaultdict(list)
    for one in audited(queue):
        given[one.batch].append(one)
    place = {name: i for i, name in enumerate(queue.classes)}
    found = []
    for name in coverage:
        if not given[name]:
            continue
        named, said = ([place[one] for one in side] for side in _sides(given[name]))
        right = float(np.mean(np.equal(named, said)))
        last = max(one.at for one in given[name])
        agreement = cohen_kappa(named, said)
        run = given[name][0].run
        found.append(Batch(run, name, last, len(named), right, coverage[name], agreement))
    return found


def _sides(given: Sequence[Audited]) -> tuple[list[str], list[str]]:
    return [one.named for one in given], [one.said for one in given]


def _batch_names(queue: Queue) -> list[str]:
    query = select(tasks.c.batch).where(tasks.c.queue == queue.id, tasks.c.kind == "audit")
    with queue.store.read() as connection:
        return list(connection.execute(query.distinct()).scalars())
