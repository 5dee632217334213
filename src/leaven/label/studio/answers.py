"""Annotations of Label Studio as answers in a queue: each version of each of them once.

An answer's key is made of the project, the task, the annotation and the time when it was last
changed. So an annotation that was pulled is known again, a changed one is a new event that
replaces the old answer, and one that is missing from a task that is still there was deleted. An
annotation of a task that is gone as well stays: who empties a project has not changed their mind.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from leaven.core.errors import SettingError
from leaven.evaluate.report.clean import clean
from leaven.label.queue import Ask, Queue
from leaven.label.studio.client import Client, StudioError
from leaven.label.studio.config import Config
from leaven.label.studio.tasks import Asked, asked_in
from leaven.store.tables import answers as _answers
from leaven.store.tables import events as _events
from leaven.store.tables import tasks as _tasks

__all__ = ["Pulled", "Taker", "pull"]

_LONGEST_NAME = 200
_LONGEST = 30 * 86_400.0  # seconds that an annotation may have taken


@dataclass
class Pulled:
    """What a pull brought: new answers and skips, changed ones, deleted ones, and what it left.

    `again` were known. `unread` names annotations whose choice is no class of the queue, or that
    choose none or several: they stay in Label Studio and are looked at again by the next pull.
    `foreign` counts tasks of the project that the queue did not ask.
    """

    answers: int = 0
    skips: int = 0
    changed: int = 0
    deleted: int = 0
    again: int = 0
    foreign: int = 0
    people: list[str] = field(default_factory=list)
    unread: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Said:
    """One annotation as it stands: by whom, which class (None for a skip), when, how long."""

    number: int
    person: str
    label: str | None
    at: float
    seconds: float | None
    key: str


@dataclass(frozen=True)
class _Kept:
    """An answer of ours that came from an annotation."""

    task: int
    person: str
    key: str


def pull(client: Client, queue: Queue, project: Mapping[str, Any]) -> Pulled:
    """Take every annotation of a project into the queue."""
    taker = Taker(client, queue, project)
    for task in client.tasks(int(project["id"])):
        taker.take(task)
    return taker.pulled


class Taker:
    """Takes tasks of one project, one after another; `pulled` says what came of it."""

    def __init__(self, client: Client, queue: Queue, project: Mapping[str, Any]) -> None:
        self.pulled = Pulled()
        # Events have the time of their annotation, not that of the pull.
        self._now = time.time()
        self._queue = Queue(queue.store, queue.name, clock=lambda: self._now)
        self._people = client.people()
        self._config = Config.read(str(project.get("label_config", "")))
        self._labels = self._words(self._queue.classes)
        # By number and birth, so that a server that moves to another address is the same one.
        told = (queue.name, project["id"], project.get("created_at"))
        self._place = f"ls:{hashlib.sha256(repr(told).encode()).hexdigest()[:12]}:"
        self._kept = self._known()

    def take(self, task: Mapping[str, Any]) -> None:
        """Take the annotations of a task, which is given with all of them."""
        number = task.get("id")
        asked = asked_in(task, self._queue.name)
        if asked is None or not isinstance(number, int):
            self.pulled.foreign += 1
            return
        there = [one for one in task.get("annotations") or () if isinstance(one, Mapping)]
        kept = self._kept[number]
        if not there and not kept:
            return
        ours = self._task(asked, task)
        if ours is None:
            self.pulled.foreign += 1
            return
        said = self._read(number, asked, there)
        by_person: dict[str, list[_Said]] = defaultdict(list)
        for one in sorted(said, key=lambda one: (one.at, one.number)):
            by_person[one.person].append(one)
        for person, mine in by_person.items():
            self._answer(ours, person, mine, number)
        present = {int(one["id"]) for one in there if isinstance(one.get("id"), int)}
        for gone in [one for one in list(kept) if one not in present]:
            self._withdraw(kept[gone], number, gone, by_person)

    def tasks_of(self, annotations: Iterable[int]) -> set[int]:
        """The tasks of Label Studio of those of these annotations that were taken."""
        wanted = set(annotations)
        return {number for number, kept in self._kept.items() if wanted & kept.keys()}

    def _answer(self, task: int, person: str, mine: Sequence[_Said], number: int) -> None:
        """All of one person's annotations of a task; the one that was changed last stands."""
        kept = self._kept[number]
        new = [one for one in mine if not any(k.key == one.key for k in kept.get(one.number, ()))]
        for one in new:
            self._keep(task, one, one.key)
            if one.number in kept:
                self.pulled.changed += 1
            elif one.label is None:
                self.pulled.skips += 1
            else:
                self.pulled.answers += 1
            kept.setdefault(one.number, []).append(_Kept(task, person, one.key))
        self.pulled.again += len(mine) - len(new)
        if person not in self.pulled.people:
            self.pulled.people.append(person)
        if new and new[-1] is not mine[-1]:  # an older one came later
            self._keep(task, mine[-1], f"{mine[-1].key}:s{self._stands(task, person)[0]}")

    def _withdraw(
        self, kept: Sequence[_Kept], number: int, gone: int, said: Mapping[str, Sequence[_Said]]
    ) -> None:
        """An annotation was deleted: if it stands, what else its person said there stands instead.

        Without anything else its answer is undone. What that person said since elsewhere, on the
        page or in another task, stays.
        """
        last = kept[-1]
        event, key = self._stands(last.task, last.person)
        if not key.startswith(f"{self._place}{number}:{gone}:"):
            return
        others = said.get(last.person, ())
        if others:
            self._keep(last.task, others[-1], f"{others[-1].key}:s{event}")
        else:
            self._now = time.time()
            self._queue.undo(last.person, task=last.task, seconds=0)
        self.pulled.deleted += 1

    def _keep(self, task: int, said: _Said, key: str) -> None:
        self._now = min(said.at, time.time())
        self._queue.answer(
            task, said.person, said.label, key=key, seconds=said.seconds,
            note=f"annotation {said.number} of Label Studio",
        )  # fmt: skip

    def _read(self, number: int, asked: Asked, there: Iterable[Mapping[str, Any]]) -> list[_Said]:
        """The annotations that can be taken; the others are told."""
        found = []
        for one in there:
            try:
                annotation, changed = int(one["id"]), str(one["updated_at"])
                at = datetime.fromisoformat(changed).timestamp()
            except (KeyError, TypeError, ValueError, OverflowError) as odd:
                raise StudioError("Label Studio tells annotations without id and time.") from odd
            person = self._person(one.get("completed_by"))
            label, why = self._label(one)
            if why:
                told = {"annotation": annotation, "record": asked.record, "person": person}
                self.pulled.unread.append(told | {"why": why})
                continue
            key = f"{self._place}{number}:{annotation}:{round(at * 1e6)}"
            found.append(_Said(annotation, person, label, at, _seconds(one), key))
        return found

    def _label(self, annotation: Mapping[str, Any]) -> tuple[str | None, str]:
        """The class that an annotation chose, None for a skip; and why it cannot be taken."""
        if annotation.get("was_cancelled"):
            return None, ""
        chosen: list[tuple[str, Any]] = []
        regions = annotation.get("result")
        for region in regions if isinstance(regions, list) else ():
            control = region.get("from_name") if isinstance(region, Mapping) else None
            if not isinstance(control, str) or control not in self._labels:
                continue
            value = region.get("value")
            some = value.get("choices") if isinstance(value, Mapping) else None
            chosen += [(control, one) for one in (some if isinstance(some, list) else ())]
        if len(chosen) != 1:
            return (
                None,
                "it chooses no class" if not chosen else f"it chooses {len(chosen)} classes",
            )
        control, word = chosen[0]
        label = self._labels[control].get(word) if isinstance(word, str) else None
        if label is None:
            return None, f"{clean(str(word), _LONGEST_NAME)!r} is no class of the queue"
        return label, ""

    def _words(self, classes: Sequence[str]) -> dict[str, dict[str, str]]:
        """By control that chooses a class, the class of each of its words."""
        found = {}
        for name, control in self._config.controls.items():
            if control.tag == "Choices":
                found[name] = self._config.classes(name, classes)
        best = max(map(len, found.values()), default=0)
        return {name: words for name, words in found.items() if best and len(words) == best}

    def _person(self, told_as: object) -> str:
        """Who did it: a list of tasks has people by their number, a single task as an object."""
        number = told_as.get("id") if isinstance(told_as, Mapping) else told_as
        told = self._people.get(number, "") if isinstance(number, int) else ""
        name = " ".join(str(clean(told, _LONGEST_NAME - 1)).split())
        return name or (f"user {number}" if isinstance(number, int) else "unknown user")

    def _task(self, asked: Asked, task: Mapping[str, Any]) -> int | None:
        """Our task of this question, or another about the record.

        One is made where the queue's database is new and the task names the content of its record,
        as Leaven's do; None of a task that is not ours.
        """
        found = self._find(asked)
        content = (task.get("data") or {}).get("content")
        if found is not None or not isinstance(content, str):
            return found
        try:
            self._queue.add([Ask(record=asked.record, content=content, kind="import")])
        except SettingError:  # an id or a content that no record has
            return None
        return self._find(asked)

    def _find(self, asked: Asked) -> int | None:
        about = select(_tasks.c.id, _tasks.c.kind, _tasks.c.batch).where(
            _tasks.c.queue == self._queue.id, _tasks.c.record == asked.record
        )
        with self._queue.store.read() as connection:
            rows = connection.execute(about.order_by(_tasks.c.id)).all()
        exact = [row.id for row in rows if (row.kind, row.batch) == (asked.kind, asked.batch)]
        every = exact or [row.id for row in rows]
        return int(every[-1]) if every else None

    def _known(self) -> dict[int, dict[int, list[_Kept]]]:
        """What was taken before, by their task and annotation, the oldest first."""
        found: dict[int, dict[int, list[_Kept]]] = defaultdict(dict)
        query = (
            select(_events.c.task, _events.c.person, _events.c.key)
            .where(_events.c.queue == self._queue.id, _events.c.key.startswith(self._place))
            .order_by(_events.c.id)
        )
        with self._queue.store.read() as connection:
            for row in connection.execute(query):
                theirs, annotation = map(int, row.key[len(self._place) :].split(":")[:2])
                kept = _Kept(row.task, row.person, row.key)
                found[theirs].setdefault(annotation, []).append(kept)
        return found

    def _stands(self, task: int, person: str) -> tuple[int, str]:
        """The event of a person's answer that stands and its key; 0 and nothing where none does."""
        query = (
            select(_answers.c.event, _events.c.key)
            .join(_events, _events.c.id == _answers.c.event)
            .where(_answers.c.task == task, _answers.c.person == person)
        )
        with self._queue.store.read() as connection:
            row = connection.execute(query).one_or_none()
        return (0, "") if row is None else (row.event, row.key or "")


def _seconds(annotation: Mapping[str, Any]) -> float | None:
    """How long it took, where that was measured."""
    told = annotation.get("lead_time")
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        return None
    return float(told) if 0 <= told <= _LONGEST else None
