"""One person at a queue: what each of their windows holds, what they say, what they take back."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import select

from leaven.core.errors import SettingError
from leaven.core.wording import MISSING, count, decimal
from leaven.label.queue import Queue, Receipt, Task
from leaven.label.results import Summary, summary
from leaven.serve.cards import card
from leaven.store.tables import answers, queues, tasks

__all__ = ["LEASE", "Desk", "chosen", "place"]

_AHEAD = 3  # the record in the middle and two that wait behind it
_SILENT = LEASE = 15 * 60.0  # seconds a record is held; so long silent, a window counts as closed
_STILL = 60.0  # seconds after which it yields to a window that has nothing left
_MOST = 200  # tasks of one person at once
_CHEAP = 0.05  # seconds: a summary that takes longer
_SPARED = 20  # is used for as many times the time that it took


def chosen(classes: Sequence[str], choice: int) -> str:
    """The class at that position."""
    if not 0 <= choice < len(classes):
        raise SettingError("choice", f"a class from 0 to {count(len(classes) - 1)}", choice)
    return classes[choice]


def place(queue: Queue, person: str) -> str:
    """What a browser keeps this person's unsent answers under.

    Another queue has another, and one whose database is moved keeps its own.
    """
    with queue.store.read() as connection:
        made = select(queues.c.created).where(queues.c.id == queue.id)
        created = connection.execute(made).scalar_one()
    told = (queue.name, created, person)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:24]


class Desk:
    """What one person does at a queue, from any number of windows of one browser.

    A queue knows people, not windows. Two windows of one person would be given the same records,
    so the desk remembers which window holds which. Safe to call from several threads.

    Parameters
    ----------
    now : seconds from any beginning that never go back.
    """

    def __init__(
        self, queue: Queue, person: str, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.queue, self.person, self._now = queue, person, now
        self._lock = threading.Lock()
        self._held: dict[str, set[int]] = {}
        self._heard: dict[str, float] = {}
        self._loose: set[int] = set()  # leased, and held by no window
        self._summary: tuple[float, Summary] | None = None

    @property
    def place(self) -> str:
        """What a browser keeps unsent answers under."""
        return place(self.queue, self.person)

    def take(self, window: str, have: Sequence[int], unsent: Collection[int]) -> list[Task]:
        """The tasks of a window: those it has and still holds, in its order, then others; three.

        `unsent` are tasks whose answers have not arrived: they are left out, though the person
        still holds them. Nothing is given that another window of this person holds, but for one
        that was silent for a minute when nothing else is left: browsers die without a word.
        """
        with self._lock:
            self._hear(window)
            found = self._leased(window, have, unsent)
            if not found and self._forget_silent(_STILL):
                found = self._leased(window, have, unsent)
            self._held[window] = {task.id for task in found[:_AHEAD]}
            self._loose = {task.id for task in found[_AHEAD:]}
            return found[:_AHEAD]

    def leave(self, window: str) -> None:
        """The window is closed; with the last one everything is given back."""
        with self._lock:
            self._forget(window)
            if not self._held:
                self.queue.release(self.person)
                self._loose.clear()

    def answer(self, task: int, choice: int | None, *, key: str, seconds: float | None) -> Receipt:
        """Keep the class at the position `choice`, or with None that the person skips it."""
        classes = self.queue.classes
        label = None if choice is None else chosen(classes, choice)
        with self._lock:
            receipt = self.queue.answer(task, self.person, label, key=key, seconds=seconds)
            for held in self._held.values():
                held.discard(task)
            return receipt

    def undo(self, task: int, window: str) -> Task | None:
        """Take back the answer to this task; None where none of this person's stands."""
        with self._lock:
            given = self.queue.undo(self.person, task=task)
            if given is not None:
                self._hear(window)
                self._held[window].add(given.id)
            return given

    def last(self) -> int | None:
        """The task of this person's latest answer or skip that stands; not one that settled."""
        latest = (
            select(answers.c.task)
            .join(tasks, tasks.c.id == answers.c.task)
            .where(tasks.c.queue == self.queue.id, answers.c.person == self.person)
            .where(~answers.c.final)
            .order_by(answers.c.event.desc())
            .limit(1)
        )
        with self.queue.store.read() as connection:
            return connection.execute(latest).scalar()

    def card(self, task: Task) -> str:
        """The task as HTML."""
        return card(task, self.queue.classes)

    def progress(self, *, exact: bool = True) -> dict[str, Any]:
        """How far the queue is, in numbers and words."""
        told = self.summary(exact=exact)
        agreed = told.agreement
        words = f"{count(told.done)} of {count(told.done + told.open)} done"
        if told.per_hour is not None:
            words += f" · {count(told.per_hour)} an hour"
        if agreed is not None and (value := decimal(agreed.value, 2)) != MISSING:
            ends = f"{decimal(agreed.low, 2)} to {decimal(agreed.high, 2)}"
            words += f" · agreement {value} ({ends})"
        return {
            "done": told.done, "all": told.done + told.open, "mine": told.mine,
            "skipped": told.skipped, "words": words,
        }  # fmt: skip

    def summary(self, *, exact: bool = True) -> Summary:
        """How the queue goes on; unless exact, that of a large one may be some seconds old."""
        now = self._now()
        if exact or self._summary is None or now >= self._summary[0]:
            told = summary(self.queue, self.person)
            took = self._now() - now
            self._summary = self._now() + (_SPARED * took if took > _CHEAP else 0), told
        return self._summary[1]

    def close(self) -> None:
        """Give back whatever the person holds."""
        self.queue.release(self.person)

    def _leased(self, window: str, have: Sequence[int], unsent: Collection[int]) -> list[Task]:
        """What the person holds beside other windows, and new ones up to three."""
        others = {t for name, held in self._held.items() if name != window for t in held}
        left_out = others | set(unsent)
        ours = (self._loose | self._held[window] | set(have)) - left_out
        wanted = min(len(left_out) + max(_AHEAD, len(ours)), _MOST)
        leased = self.queue.lease(self.person, wanted, seconds=LEASE)
        place = {task: i for i, task in enumerate(have)}
        found = [task for task in leased if task.id not in left_out]
        return sorted(found, key=lambda task: place.get(task.id, len(place)))

    def _hear(self, window: str) -> None:
        self._heard[window] = self._now()
        self._held.setdefault(window, set())
        self._forget_silent(_SILENT)

    def _forget_silent(self, seconds: float) -> bool:
        """Take windows that were silent for longer than that for closed; whether there were any."""
        now = self._now()
        silent = [name for name, at in self._heard.items() if now - at > seconds]
        for name in silent:
            self._forget(name)
        return bool(silent)

    def _forget(self, window: str) -> None:
        self._heard.pop(window, None)
        self._loose |= self._held.pop(window, set())
