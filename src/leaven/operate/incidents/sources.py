"""Who or what gave the labels, and how often what they said is known to be wrong.

A label is known to be right or wrong by others: by the truth of production, by a gold question, or
by the final answer of another person. Who is found to mislead is revoked by name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from leaven.core.errors import LeavenError
from leaven.evaluate.intervals import wilson
from leaven.evaluate.lineage import FILE
from leaven.evaluate.tables import read_parquet
from leaven.label.queue import Queue, queue_names
from leaven.label.results import labels
from leaven.label.trust.revoking import imported_from
from leaven.operate.production_labels import production_labels
from leaven.store.store import Store
from leaven.store.tables import answers, events, tasks

__all__ = ["Given", "Source", "given_in", "newcomers", "sources"]

#: Origins of labels: a person, a file that was imported or is the data, rules.
PERSON, DATA, RULE = "person", "data", "rule"


@dataclass(frozen=True)
class Given:
    """An answer that stands in a queue; `file` says that it came in by one, "" where not."""

    record: str
    content: str
    person: str
    label: str | None
    truth: str | None
    final: bool
    file: str


@dataclass(frozen=True)
class Source:
    """Of the labels of one source, `n` are known by others, and `wrong` of these were wrong.

    `share` with its interval of 95 % `low` to `high` (Wilson).
    """

    kind: str
    name: str
    n: int
    wrong: int
    share: float
    low: float
    high: float


def given_in(queue: Queue) -> list[Given]:
    """The answers that stand in a queue, in order."""
    names = (tasks.c.record, tasks.c.content, tasks.c.truth)
    query = (
        select(*names, answers.c.person, answers.c.label, answers.c.final, events.c.note)
        .join(tasks, tasks.c.id == answers.c.task)
        .join(events, events.c.id == answers.c.event)
        .where(tasks.c.queue == queue.id)
        .order_by(answers.c.event)
    )
    mark = imported_from("")
    with queue.store.read() as connection:
        rows = connection.execute(query).all()
    return [
        Given(
            row.record, row.content, row.person, row.label, row.truth, row.final,
            row.note.removeprefix(mark) if (row.note or "").startswith(mark) else "",
        )
        for row in rows
    ]  # fmt: skip


def sources(store: Store, service: str, queue: str, run: Path) -> list[Source]:
    """The sources of which something is known, the one that is shown to mislead most first.

    Parameters
    ----------
    queue : whose answers are looked at, and tell of the labels of `run`.
    run : the folder of a run whose labels are looked at.
    """
    truths, _ = production_labels(store, service)
    known = {
        row["content"]: (row["label"], row["people"])
        for row in truths.to_pylist()
        if not row["caused"]
    }
    told: dict[tuple[str, str], list[bool]] = defaultdict(list)
    if queue in queue_names(store):
        opened = Queue(store, queue)
        given = given_in(opened)
        for source, right in _answered(given, known):
            told[source].append(right)
        known = {row["content"]: (row["label"], row["people"])
                 for row in labels(opened).to_pylist()} | known  # fmt: skip
    if (run / FILE).is_file():
        for source, right in _taught(run, known):
            told[source].append(right)
    return sorted(
        (_source(*source, right) for source, right in told.items()),
        key=lambda one: (-one.low, -one.n, one.name),
    )


def newcomers(run: Path, before: Path) -> list[dict[str, Any]]:
    """Whose labels taught a run that did not teach the one before: `by`, `origin`, and how many,
    `n` of `total`, the one with most first. Raises as `read_parquet` for a run that keeps none."""
    names = ["content", "label", "origin", "by"]
    known = {(row["content"], row["label"])
             for row in read_parquet(before / FILE, names).to_pylist()}  # fmt: skip
    new = Counter(
        (row["by"], row["origin"])
        for row in read_parquet(run / FILE, names).to_pylist()
        if (row["content"], row["label"]) not in known
    )
    return [
        {"by": by, "origin": origin, "n": n, "total": new.total()}
        for (by, origin), n in new.most_common(20)
    ]


def _answered(
    given: list[Given], known: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], bool]]:
    """Whether each answer that others know better about was right."""
    finals = {one.record: one for one in given if one.final}
    for one in given:
        final, truth = finals.get(one.record), one.truth
        label, people = known.get(one.content, (None, ""))
        if truth is None and one.person not in people.split(", "):
            truth = label
        if truth is None and final is not None and final.person != one.person:
            truth = final.label
        if one.label is not None and truth is not None:
            yield (PERSON, one.person), one.label == truth


def _taught(
    run: Path, known: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], bool]]:
    """Whether each label that a run was given, not by a person, is what others know."""
    try:
        rows: list[dict[str, Any]] = read_parquet(run / FILE).to_pylist()
    except (LeavenError, OSError, ValueError):
        return
    for row in rows:
        if row["origin"] != PERSON and row["label"] is not None and row["content"] in known:
            kind = RULE if row["origin"] == RULE else DATA
            yield (kind, str(row["by"])), row["label"] == known[row["content"]][0]


def _source(kind: str, name: str, right: list[bool]) -> Source:
    n, wrong = len(right), len(right) - sum(right)
    low, high = wilson(wrong, n)
    return Source(kind, name, n, wrong, wrong / n, float(low), float(high))
