"""What was answered, written down behind the answers: bounded, and never in their way.

Whoever answers puts rows into a line in memory; a thread writes them to the store, many in one
transaction. Where the store is down they wait, and where too many wait the newest are dropped and
counted. Records that the model was unsure of go the same way into the review queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert

from leaven.core.errors import LeavenError, StoreError
from leaven.core.wording import percent
from leaven.label.queue import Ask, Queue
from leaven.serve.models.loading import Source
from leaven.store.canary_tables import failures
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from leaven.store.upsert import add_new

__all__ = ["BATCH", "PredictionLog", "Unsure"]

#: What questions from production are asked together as: a record is asked once in it.
BATCH = "production"
_ROWS, _EVERY, _AGAIN = 500, 0.2, 1.0  # at once; seconds between two writings, after a failure
_GLANCE = 0.02  # seconds between two looks of who waits for all to be written
_GUESSES, _ID = 5, 16
_TRIES = 10  # to ask about records, where the log itself could be written
_UNSURE = 256  # records that may wait: they are held whole, and may be pictures


@dataclass(frozen=True)
class Unsure:
    """A record that people are to look at: where it is, what the model says, and which did."""

    source: Source
    content: str
    guess: Sequence[tuple[str, float]]
    run: str
    classes: Sequence[str]


class PredictionLog:
    """Writes predictions, and questions about those that were unsure, on a thread of its own.

    Parameters
    ----------
    queue : the name of the review queue.
    most : rows that may wait.
    """

    def __init__(
        self,
        store: Store,
        queue: str,
        *,
        most: int = 20_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._queue, self._most, self._clock = store, queue, most, clock
        self._rows: deque[dict[str, Any]] = deque()
        self._failures: deque[dict[str, Any]] = deque(maxlen=most)
        self._unsure: deque[Unsure] = deque()
        self._wake, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._ended, self._tries = False, 0
        self._failed_at = float("-inf")
        self._asked: deque[str] = deque(maxlen=10_000)
        #: Rows written, questions asked, and rows and questions that were lost.
        self.written = self.asked = self.dropped = 0
        #: Rows taken in: those of now are in the store once `written` has reached it.
        self.taken = 0
        #: Why nothing can be written; "" while it can.
        self.problem = ""
        self._thread = threading.Thread(target=self._work, name="leaven-log", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[dict[str, Any]], unsure: Sequence[Unsure] = ()) -> None:
        """Let these be written soon. Never waits, never fails."""
        self.taken += self._join(self._rows, rows, self._most)
        if unsure:
            self._join(self._unsure, unsure, _UNSURE)
        if self._idle.is_set() and (rows or unsure):
            self._idle.clear()

    def add_failure(self, row: dict[str, Any]) -> None:
        """Let a request that failed be written soon. Never waits; the oldest make room."""
        self._failures.append(row)
        self._idle.clear()

    def hurry(self) -> None:
        """Let what waits be written now."""
        self._wake.set()

    def failed_within(self, seconds: float) -> bool:
        """Whether it could not write at some time within the last so many seconds."""
        return time.monotonic() - self._failed_at < seconds

    def flush(self, seconds: float) -> bool:
        """Wait until what was added is written; False where it was not in time."""
        until = time.monotonic() + seconds
        while True:
            self._wake.set()
            if self._idle.wait(_GLANCE):
                return True
            if time.monotonic() > until:
                return False

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, and end the thread; what the store did not take in time is counted."""
        self._ended = True
        self._wake.set()
        self._thread.join(seconds)
        self.dropped += len(self._rows) + len(self._unsure)
        if self._rows:
            _LOG.warning("%d predictions were not logged. %s", len(self._rows), self.problem)

    def _work(self) -> None:
        until = float("inf")
        while True:
            self._wake.wait(_AGAIN if self.problem else _EVERY)
            self._wake.clear()
            if self._ended and until == float("inf"):
                until = time.monotonic() + _AGAIN * 3
            try:
                # Few rows wait for more to come: a transaction for each would cost more than they.
                self._write()
                while self._many() or (self._ended and self._waits()):
                    self._write()
                self.problem = ""
                if not self._waits():
                    self._idle.set()
                    if self._waits():  # one came between the two lines
                        self._idle.clear()
            except LeavenError as failed:
                self._tell(str(failed))
            except Exception as failed:  # noqa: BLE001 - the log must outlive whatever it is
                self._tell(f"The log failed: {failed}.")
            if self._ended and (self._idle.is_set() or time.monotonic() > until):
                return

    def _join(self, line: deque[Any], some: Sequence[Any], most: int) -> int:
        """Put as many of them into a line as there is room for; how many these are."""
        room = min(len(some), max(0, most - len(line)))
        line.extend(some[:room])
        self.dropped += len(some) - room
        return room

    def _waits(self) -> bool:
        return bool(self._rows or self._failures or self._unsure)

    def _many(self) -> bool:
        return max(len(self._rows), len(self._failures), len(self._unsure)) >= _ROWS

    def _write(self) -> None:
        failed = [self._failures[i] for i in range(min(_ROWS, len(self._failures)))]
        if failed:
            with self._store.write() as connection:
                connection.execute(insert(failures), failed)
            for _ in failed:
                self._failures.popleft()
        rows = [self._rows[i] for i in range(min(_ROWS, len(self._rows)))]
        if rows:
            with self._store.write() as connection:
                add_new(connection, predictions, rows)
            for _ in rows:
                self._rows.popleft()
            self.written += len(rows)
        some = [self._unsure[i] for i in range(min(_ROWS, len(self._unsure)))]
        if some:
            try:
                self.asked += self._ask(some)
            except LeavenError as failed:
                self._tries += 1
                if isinstance(failed, StoreError) and self._tries < _TRIES:
                    raise
                self.dropped += len(some)  # they must not stand in the way of those to come
                self._tell(str(failed))
            self._tries = 0
            for _ in some:
                self._unsure.popleft()

    def _ask(self, some: Sequence[Unsure]) -> int:
        """Put them into the queue, once a content; returns how many were new."""
        known = set(self._asked)
        by_content = {one.content: one for one in some if one.content not in known}
        new = list(by_content.values())
        if not new:
            return 0
        classes = list(dict.fromkeys(name for one in new for name in one.classes))
        modality = new[0].source.reader.modality
        queue = Queue.made(self._store, self._queue, classes=classes, modality=modality)
        asks = [
            Ask(
                record=one.content[:_ID],
                content=one.content,
                shown=one.source.show(),
                guess=tuple(one.guess[:_GUESSES]),
                reason=f"The model in production was unsure: {percent(one.guess[0][1], 0)}",
                batch=BATCH,
                priority=1 - one.guess[0][1],
                origin={"run": one.run, "strategy": BATCH},
            )
            for one in new
        ]
        added = queue.add(asks)
        self._asked.extend(one.content for one in new)
        return added

    def _tell(self, problem: str) -> None:
        self._failed_at = time.monotonic()
        if problem != self.problem:
            _LOG.warning("%s", problem)
        self.problem = problem


_LOG = logging.getLogger(__name__)
