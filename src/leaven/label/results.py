"""What people have said: the labels that stand, how far they agree, how the queue goes on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import pyarrow as pa
from sqlalchemy import case, func, select

from leaven.evaluate.intervals import Estimate, wilson
from leaven.label.queue import Queue
from leaven.label.trust.agreement import krippendorff_alpha
from leaven.store.tables import answers, events, tasks

__all__ = [
    "Person",
    "Standing",
    "Summary",
    "agreement",
    "answers_given",
    "decided",
    "disputed",
    "history",
    "labels",
    "open_priorities",
    "people",
    "standing",
    "summary",
    "tasks_of",
    "waiting",
]

_ROWS = 1000  # looked up at once
_LATEST = 200  # answers by which a person's speed is told
_ANSWERS = ("answered", "adjudicated")
_IS_LABEL = case((answers.c.label.is_not(None), 1), else_=0)
_PAUSE = 120.0  # seconds without an answer after which somebody was away

_LABELS = pa.schema(
    {
        "id": pa.string(), "content": pa.string(), "label": pa.string(), "origin": pa.string(),
        "people": pa.string(), "answers": pa.int64(), "agreed": pa.float64(),
        "at": pa.timestamp("ms", "UTC"),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """One answer that stands: of whom, to what, since when."""

    task: int
    record: str
    content: str
    kind: str
    person: str
    label: str | None
    final: bool
    at: float
    truth: str | None
    guess: str | None


@dataclass(frozen=True)
class Summary:
    """How a queue goes on, for the page and the terminal.

    `open` tasks wait for an answer, `done` have all they want, `skipped` were only skipped.
    `mine` are the answers of the person asked for, `per_hour` their speed without pauses (None
    before the second answer). `agreement` is Krippendorff's alpha of all people, None where no
    record has two answers.
    """

    open: int
    done: int
    skipped: int
    mine: int
    per_hour: float | None
    agreement: Estimate | None


@dataclass(frozen=True)
class Person:
    """What one person did: answers and skips that stand, undone ones, speed, and gold questions.

    `seconds` is the median time of an answer. `gold` is the share of gold questions answered
    right, None where there were none; `with_model` how often the model's guess was confirmed.
    """

    name: str
    answered: int
    skipped: int
    undone: int
    seconds: float | None
    gold: Estimate | None
    with_model: Estimate | None


def standing(queue: Queue) -> list[Standing]:
    """All answers that stand, in the order in which they were given."""
    query = (
        select(
            tasks.c.id, tasks.c.record, tasks.c.content, tasks.c.kind, tasks.c.truth,
            answers.c.person, answers.c.label, answers.c.final, events.c.at, events.c.guess,
        )
        .join(tasks, tasks.c.id == answers.c.task)
        .join(events, events.c.id == answers.c.event)
        .where(tasks.c.queue == queue.id)
        .order_by(answers.c.event)
    )  # fmt: skip
    with queue.store.read() as connection:
        rows = connection.execute(query).all()
    return [
        Standing(
            row.id, row.record, row.content, row.kind, row.person, row.label, row.final, row.at,
            row.truth, row.guess,
        )
        for row in rows
    ]  # fmt: skip


def labels(queue: Queue) -> pa.Table:
    """One row a record that people gave a label: the label, by whom, and whether they agree.

    `id`, `content`, `label`, `origin` (`person`), `people`, `answers`, `agreed` (the share of the
    answers that named it), `at` (UTC). A final answer decides; else the label that most people
    gave. Records on which as many said one thing as another have none, and are left out: they
    want a further answer (see `disputed` of `leaven queue`). Gold questions are left out as well,
    for what is known of them was known before.
    """
    rows: dict[str, list[object]] = {name: [] for name in _LABELS.names}
    for record, given in _by_record(queue).items():
        label = decided(given)
        if label is None:
            continue
        told = {
            "id": record,
            "content": given[0].content,
            "label": label,
            "origin": "person",
            "people": ", ".join(sorted({one.person for one in given})),
            "answers": len(given),
            "agreed": sum(one.label == label for one in given) / len(given),
            "at": round(max(one.at for one in given) * 1e3),
        }
        for name, value in told.items():
            rows[name].append(value)
    return pa.table(rows, schema=_LABELS)


def disputed(queue: Queue) -> list[str]:
    """Records on which people differ so that none of their labels can be taken."""
    counted = (tasks.c.queue == queue.id, tasks.c.kind != "gold", answers.c.label.is_not(None))
    records = (
        select(tasks.c.record)
        .join(answers, answers.c.task == tasks.c.id)
        .where(*counted)
        .group_by(tasks.c.record)
        .having(func.count(answers.c.label.distinct()) > 1)
        .having(func.max(case((answers.c.final, 1), else_=0)) == 0)
    )
    said = (
        select(tasks.c.record, answers.c.label)
        .join(answers, answers.c.task == tasks.c.id)
        .where(*counted, tasks.c.record.in_(records))
        .order_by(answers.c.event)
    )
    given: dict[str, list[str]] = defaultdict(list)
    with queue.store.read() as connection:
        for row in connection.execute(said):
            given[row.record].append(row.label)
    return [record for record, labels in given.items() if _most(labels) is None]


def waiting(queue: Queue) -> list[str]:
    """Ids of the records that somebody is still to be asked about."""
    open_ = select(tasks.c.record).where(tasks.c.queue == queue.id, tasks.c.missing > 0)
    with queue.store.read() as connection:
        return list(connection.execute(open_.distinct()).scalars())


def open_priorities(queue: Queue) -> list[float]:
    """The priorities of the tasks that wait."""
    query = select(tasks.c.priority).where(tasks.c.queue == queue.id, tasks.c.missing > 0)
    with queue.store.read() as connection:
        return [float(one) for one in connection.execute(query).scalars()]


def tasks_of(queue: Queue, records: Sequence[str]) -> dict[str, int]:
    """The newest task about each of these records, of those that have one."""
    found: dict[str, int] = {}
    query = select(tasks.c.record, tasks.c.id).where(tasks.c.queue == queue.id)
    with queue.store.read() as connection:
        for start in range(0, len(records), _ROWS):
            some = tasks.c.record.in_(records[start : start + _ROWS])
            rows = connection.execute(query.where(some).order_by(tasks.c.id))
            found.update({row.record: row.id for row in rows})
    return found


def summary(queue: Queue, person: str = "") -> Summary:
    """How the queue goes on, and how fast this person is."""
    mine = tasks.c.queue == queue.id
    said = (
        select(
            answers.c.task,
            func.count(answers.c.label).label("labels"),
            func.sum(case((answers.c.person == person, 1), else_=0) * _IS_LABEL).label("own"),
        )
        .join(tasks, tasks.c.id == answers.c.task)
        .where(mine)
        .group_by(answers.c.task)
        .subquery()
    )
    skipped = func.coalesce(func.sum(case((said.c.labels == 0, 1), else_=0)), 0)
    latest = (
        select(events.c.at)
        .where(events.c.queue == queue.id, events.c.person == person, events.c.kind.in_(_ANSWERS))
        .where(events.c.note.is_(None))  # an import is quick, and says nothing of the person
        .order_by(events.c.id.desc())
        .limit(_LATEST)
    )
    with queue.store.read() as connection:
        open_ = connection.execute(select(func.count()).where(mine, tasks.c.missing > 0))
        every = connection.execute(select(func.count()).where(mine))
        waits, total = int(open_.scalar_one()), int(every.scalar_one())
        passed, own = connection.execute(
            select(skipped, func.coalesce(func.sum(said.c.own), 0))
        ).one()
        at = sorted(float(one) for one in connection.execute(latest).scalars())
    told = agreement(queue)
    return Summary(waits, total - waits, int(passed), int(own), _per_hour(at), told)


def agreement(queue: Queue) -> Estimate | None:
    """Krippendorff's alpha of all answers; None where no record has two."""
    mine = (tasks.c.queue == queue.id, answers.c.label.is_not(None))
    twice = (
        select(tasks.c.record)
        .join(answers, answers.c.task == tasks.c.id)
        .where(*mine)
        .group_by(tasks.c.record)
        .having(func.count(answers.c.person.distinct()) > 1)
    )
    query = (
        select(tasks.c.record, answers.c.person, answers.c.label)
        .join(answers, answers.c.task == tasks.c.id)
        .where(*mine, tasks.c.record.in_(twice))
        .order_by(answers.c.event)
    )
    with queue.store.read() as connection:
        given = connection.execute(query).all()
    if not given:
        return None
    names, records = ({row[i] for row in given} for i in (1, 0))
    row, column = ({name: i for i, name in enumerate(sorted(side))} for side in (records, names))
    place = {name: i for i, name in enumerate(queue.classes)}
    said = np.full((len(records), len(names)), -1, np.int64)
    for record, person, label in given:
        said[row[record], column[person]] = place[label]
    return krippendorff_alpha(said)


def answers_given(queue: Queue) -> tuple[int, float]:
    """How many answers stand, skips left out, and the seconds that people took over them."""
    query = (
        select(func.count(), func.coalesce(func.sum(events.c.seconds), 0.0))
        .select_from(answers)
        .join(events, events.c.id == answers.c.event)
        .where(events.c.queue == queue.id, answers.c.label.is_not(None))
    )
    with queue.store.read() as connection:
        number, seconds = connection.execute(query).one()
    return int(number), float(seconds)


def people(queue: Queue) -> list[Person]:
    """What each person did, the most active first."""
    query = select(events.c.person, events.c.kind, events.c.seconds)
    with queue.store.read() as connection:
        done = connection.execute(query.where(events.c.queue == queue.id)).all()
    undone = Counter(row.person for row in done if row.kind == "undone")
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in done:
        if row.kind in _ANSWERS and row.seconds is not None:
            seconds[row.person].append(row.seconds)
    given = standing(queue)
    found = []
    for name in sorted({one.person for one in given}):
        mine = [one for one in given if one.person == name]
        told = [one for one in mine if one.label is not None]
        gold = [one.label == one.truth for one in told if one.truth is not None]
        guessed = [one.label == one.guess for one in told if one.guess is not None]
        found.append(
            Person(
                name,
                len(told),
                len(mine) - len(told),
                undone[name],
                median(seconds[name]) if seconds[name] else None,
                _share(gold),
                _share(guessed),
            )
        )
    return sorted(found, key=lambda one: (-one.answered, one.name))


def history(queue: Queue, record: str) -> list[dict[str, object]]:
    """Every event about a record, in order: from any label to where it came from."""
    query = (
        select(events, tasks.c.record, tasks.c.kind.label("asked_as"), tasks.c.origin)
        .join(tasks, tasks.c.id == events.c.task)
        .where(tasks.c.queue == queue.id, tasks.c.record == record)
        .order_by(events.c.id)
    )
    with queue.store.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _by_record(queue: Queue) -> dict[str, list[Standing]]:
    """Answers by record, without skips and gold questions."""
    found: dict[str, list[Standing]] = defaultdict(list)
    for one in standing(queue):
        if one.label is not None and one.kind != "gold":
            found[one.record].append(one)
    return found


def decided(given: Sequence[Standing]) -> str | None:
    """The label that counts; None where people differ evenly."""
    final = [one.label for one in given if one.final]
    return final[-1] if final else _most([one.label for one in given if one.label is not None])


def _most(labels: Sequence[str]) -> str | None:
    """The label that most name; None in a tie."""
    (first, most), *others = Counter(labels).most_common(2)
    return None if others and others[0][1] == most else first


def _share(right: Sequence[bool]) -> Estimate | None:
    if not right:
        return None
    low, high = wilson(sum(right), len(right))
    return Estimate(sum(right) / len(right), float(low), float(high), len(right))


def _per_hour(at: Sequence[float]) -> float | None:
    """Answers an hour, pauses left out."""
    gaps = [b - a for a, b in pairwise(at) if b - a < _PAUSE]
    return 3600 * len(gaps) / sum(gaps) if gaps and sum(gaps) > 0 else None
