"""Tasks of a queue as tasks of Label Studio: their data, their predictions, their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from leaven.evaluate.report.clean import clean
from leaven.label.queue import Ask, Queue, Task
from leaven.label.studio.config import Choosing, shown_as
from leaven.label.studio.known import Guess
from leaven.store.tables import OPEN
from leaven.store.tables import tasks as _tasks

__all__ = ["Asked", "asked_in", "channels", "data_of", "open_tasks", "prediction", "scores"]

_LONGEST_TEXT = 20_000
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Asked:
    """Which question a task of Label Studio is: a record is asked once in a batch and a kind."""

    record: str
    kind: str
    batch: str

    @classmethod
    def of(cls, task: Ask) -> Asked:
        """The question of a task of ours."""
        return cls(task.record, task.kind, task.batch)


def open_tasks(queue: Queue) -> list[Task]:
    """The tasks that anybody may still answer, the most urgent first; none of them is leased."""
    query = (
        select(_tasks)
        .where(_tasks.c.queue == queue.id, OPEN, _tasks.c.assigned.is_(None))
        .order_by(_tasks.c.priority.desc(), _tasks.c.id)
    )
    with queue.store.read() as connection:
        rows = connection.execute(query).all()
    return [Task.of(row) for row in rows]


def scores(tasks: Sequence[Task]) -> list[float]:
    """A score for each of these tasks, which are in order: the lowest is served first.

    Label Studio's uncertainty sampling takes the prediction with the lowest score (1.23,
    `projects/functions/next_task.py`). The arc cotangent of the priority over pi lies in [0, 1]
    and falls as the priority rises, so tasks of two pushes keep their order too; equal priorities
    get the next number that a float can have.

    >>> scores([Task("a", "", priority=3.0), Task("b", "", priority=-1.0)])
    [0.10241638234956672, 0.75]
    """
    found: list[float] = []
    for task in tasks:
        score = math.atan2(1.0, task.priority) / math.pi
        found.append(score if not found or score > found[-1] else math.nextafter(found[-1], 2.0))
    return found


def data_of(queue: Queue, task: Task, media: str | None) -> dict[str, Any] | None:
    """A task for Label Studio, without predictions; None where there is nothing to show of it.

    Texts and cells are data, which its page escapes: a row is shown by `<Table>`, never as HTML.

    Parameters
    ----------
    media : of a picture or sound, the path of the upload.
    """
    tag, name = shown_as(queue.modality)
    shown: Any
    if tag in ("Image", "Audio"):
        shown = media
    elif tag == "Text":
        shown = clean(str(task.shown.get("text", "")), _LONGEST_TEXT)
    elif tag == "TimeSeries":
        shown = _series(task.shown)
    else:
        shown = {
            str(clean(str(one.get("name", "")))): str(clean(str(one.get("value", ""))))
            for one in task.shown.get("cells") or ()
            if isinstance(one, Mapping)
        }
    if not shown:
        return None
    reason = clean(task.reason, _LONGEST_REASON) or "–"
    return {
        "data": {name: shown, "uid": task.record, "content": task.content, "reason": reason},
        "meta": {"leaven": {"queue": queue.name, "kind": task.kind, "batch": task.batch}},
    }


def prediction(
    choosing: Choosing, guess: Guess, score: float, version: str, number: str
) -> dict[str, Any] | None:
    """What the model says, as a prediction; None where it says nothing that can be chosen.

    The region's own score is the class's calibrated probability.
    """
    label, share = next(((n, s) for n, s in guess if n in choosing.words), (None, 0.0))
    if label is None:
        return None
    regions = [choosing.region(label, share, number)]
    return {"model_version": version, "score": score, "result": regions}


def asked_in(task: Mapping[str, Any], queue: str) -> Asked | None:
    """Which question of the queue a task of Label Studio is; None where it is none of it."""
    data, meta = (task.get(name) or {} for name in ("data", "meta"))
    if not isinstance(data, Mapping) or not isinstance(meta, Mapping):
        return None
    record, told = data.get("uid"), meta.get("leaven")
    if not isinstance(record, str) or not record:
        return None
    if not isinstance(told, Mapping):
        return Asked(record, "ask", "")
    if told.get("queue", queue) != queue:
        return None
    return Asked(record, str(told.get("kind", "ask")), str(told.get("batch", "")))


def channels(tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """The columns that the most channels of any of these series need, and what they are called."""
    most: list[Any] = max((_channels(task.shown) for task in tasks), key=len, default=[])
    return [(_column(place), str(one.get("name", ""))) for place, one in enumerate(most)]


def _series(shown: Mapping[str, Any]) -> dict[str, list[float]]:
    """A series by columns, with its step's number; the steps that are shown, evenly apart.

    A gap is a line between the values beside it: Label Studio would draw it at 0.
    """
    rows = [one.get("values") or [] for one in _channels(shown)]
    length = max(map(len, rows), default=0)
    filled = {_column(i): _filled(row, length) for i, row in enumerate(rows)}
    if not any(isinstance(value, int | float) for row in rows for value in row):
        return {}
    steps = shown.get("steps")
    last = steps - 1 if isinstance(steps, int) and steps > 1 else max(length - 1, 1)
    times = [round(last * i / max(length - 1, 1), 6) for i in range(length)]
    return {"step": times} | filled


def _filled(row: Sequence[Any], length: int) -> list[float]:
    known = [i for i, value in enumerate(row) if isinstance(value, int | float)]
    if not known:
        return [0.0] * length
    values = np.interp(np.arange(length), known, [float(row[i]) for i in known])
    return [float(value) for value in values]


def _channels(shown: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in shown.get("channels") or () if isinstance(one, Mapping)]


def _column(place: int) -> str:
    return f"channel {place + 1}"
