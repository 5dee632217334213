"""What was answered, counted in bins behind the answers, so that drift is seen without records.

Who answers puts records into a short line in memory; a thread counts them on the grid of their
model's reference (`operate.health.frame`) and writes one row an hour, model and process. Where more
come than can be counted the newest are left out, and told. Of pictures, sounds, series and vectors,
which have to be decoded once more for it, a few are drawn (`operate.drift.directions`). A model
without a reference is not counted.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import delete

from leaven.core.errors import LeavenError, StoreError
from leaven.operate.drift.columns import Values, values_of
from leaven.operate.drift.directions import DIRECTED, Directions
from leaven.operate.health.frame import Frame, Hour
from leaven.operate.health.reference import COUNTED, kept_of
from leaven.operate.registry import Registry
from leaven.serve.models.loading import Loaded
from leaven.serve.models.records import Record
from leaven.store.sketch_tables import sketches
from leaven.store.store import Store
from leaven.store.upsert import put

__all__ = ["Sketcher"]

_SAID = logging.getLogger(__name__)
_HOUR = 3600
_KEPT_HOURS = 24 * 90
_UNWRITTEN = 48  # hours that may wait where the store is down
_DECODED, _HEAVY = 64, 32 << 20  # records that are decoded between two writings; their bytes


class _Came(NamedTuple):
    """Records that one model answered in an hour."""

    model: Loaded
    hour: int
    records: Sequence[Record]


class _Counter(NamedTuple):
    """How records of a model are counted; `directions` make columns of those that have none."""

    frame: Frame
    directions: Directions | None

    def counts(self, model: Loaded, records: Sequence[Record]) -> Hour:
        """Count records as their reference was."""
        return self.frame.count(self._values(model, records))

    def _values(self, model: Loaded, records: Sequence[Record]) -> dict[str, Values]:
        if self.directions is None:
            return values_of(model.reader.columns, model.reader.table(records)[0])
        return self.directions.of_records(records)


class Sketcher:
    """Counts the records of one service on a thread of its own.

    Parameters
    ----------
    most : records that may wait.
    every : seconds between two writings.
    clock : seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        *,
        most: int = 1024,
        every: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._service, self._clock = store, service, clock
        self._most, self._every = most, every
        self._process = uuid.uuid4().hex
        self._line: deque[_Came] = deque()
        self._waiting = 0
        self._share, self._came = 1.0, 0  # of records that are decoded: drawn, and all of them
        self._counters: dict[str, _Counter | None] = {}
        self._hours: dict[tuple[str, int], Hour] = {}
        self._unwritten: set[tuple[str, int]] = set()
        self._pruned = 0
        self._lock = threading.Lock()  # of the line, and how many wait in it
        self._turn = threading.Lock()  # of who counts and writes
        self._wake, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="leaven-sketch", daemon=True)
        #: Records counted, and records left out.
        self.counted = self.dropped = 0
        #: Why nothing can be counted or written; "" while it can.
        self.problem = ""

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Count and write what waits, and end the thread."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def add(self, model: Loaded, records: Sequence[Record]) -> None:
        """Let these be counted soon. Never waits, never fails."""
        if model.modality not in COUNTED or self._counters.get(model.digest, True) is None:
            return
        if model.modality in DIRECTED:
            self._add_few(model, records)
            return
        with self._lock:
            if self._waiting + len(records) > self._most:
                self.dropped += len(records)
                return
            self._line.append(_Came(model, int(self._clock() // _HOUR), records))
            self._waiting += len(records)
            if self._waiting > self._most * 3 // 4:  # rarely: it disturbs who answers
                self._wake.set()

    def _add_few(self, model: Loaded, records: Sequence[Record]) -> None:
        """Some of these, drawn so that about as many come as can be decoded."""
        drawn = [one for one in records if random.random() < self._share]
        with self._lock:
            self._came += len(records)
            room = max(_DECODED - self._waiting, 0)
            kept = drawn[:room] if sum(map(_size, drawn)) < _HEAVY // _DECODED * room else []
            self.dropped += len(drawn) - len(kept)
            if kept:
                self._line.append(_Came(model, int(self._clock() // _HOUR), kept))
                self._waiting += len(kept)

    def look(self) -> None:
        """Count what waits, and write what is not written yet. What goes wrong is told."""
        try:
            with self._turn:
                self._count()
                self._write()
            with self._lock:
                self._share, self._came = min(1.0, _DECODED / max(self._came, 1)), 0
            problem = ""
        except LeavenError as failed:
            problem = str(failed)
        except Exception as failed:  # noqa: BLE001 - the thread must outlive whatever it is
            problem = f"Records cannot be counted: {failed}."
        if problem and problem != self.problem:
            _SAID.warning("%s", problem)
        self.problem = problem

    def told(self) -> dict[str, Any]:
        """What was counted and left out, for the status."""
        return {"counted": self.counted, "dropped": self.dropped, "problem": self.problem}

    def _work(self) -> None:
        written = time.monotonic()
        while True:
            full = self._wake.wait(self._every)
            self._wake.clear()
            if self._ended:
                break
            if full and time.monotonic() < written + self._every:
                self._only_count()
                continue
            self.look()
            written = time.monotonic()
        self.look()

    def _only_count(self) -> None:
        try:
            with self._turn:
                self._count()
        except Exception:  # noqa: BLE001 - the next look meets it again, and tells
            _SAID.debug("Records were not counted", exc_info=True)

    def _count(self) -> None:
        """Count what waits; what fails for good is left out, so that it stands in nobody's way."""
        while True:
            with self._lock:
                if not self._line:
                    return
                model, hour = self._line[0].model, self._line[0].hour
                known = model.digest in self._counters
            if not known:
                self._counters[model.digest] = self._counter(model)  # StoreError leaves all waiting
            records = self._taken(model, hour)
            counter = self._counters[model.digest]
            if counter is None:
                continue
            try:
                found = counter.counts(model, records)
            except Exception:
                self.dropped += len(records)
                raise
            key = (model.digest, hour)
            before = self._hours.get(key)
            self._hours[key] = found if before is None else before + found
            self._unwritten.add(key)
            self.counted += found.n

    def _taken(self, model: Loaded, hour: int) -> list[Record]:
        """The first in the line that are of this model and hour, and no longer in it."""
        records: list[Record] = []
        with self._lock:
            while self._line and self._line[0].model is model and self._line[0].hour == hour:
                records += self._line.popleft().records
            self._waiting -= len(records)
        return records

    def _counter(self, model: Loaded) -> _Counter | None:
        try:
            folder = Registry(self._store).get(model.run, model.digest).folder
            kept = kept_of(folder)
        except StoreError:
            raise
        except LeavenError as failed:
            _SAID.warning("Drift of '%s' is not watched: %s", model.run, failed)
            return None
        return None if kept is None else _Counter(Frame(kept.reference), kept.directions)

    def _write(self) -> None:
        now = int(self._clock() // _HOUR)
        for key in sorted(self._unwritten, key=lambda one: one[1]):
            hour, counter = self._hours[key], self._counters[key[0]]
            assert counter is not None  # or there were no counts
            row = {"n": hour.n, "strange": hour.strange, "counts": counter.frame.told(hour)}
            keys = {"service": self._service, "digest": key[0], "hour": key[1]}
            with self._store.write() as connection:
                put(connection, sketches, keys | {"process": self._process}, row)
                if self._pruned < now:
                    old = sketches.c.hour < now - _KEPT_HOURS
                    connection.execute(delete(sketches).where(old))
            self._pruned = now
            self._unwritten.discard(key)
        self._hours = {
            key: hour
            for key, hour in self._hours.items()
            if key[1] >= now - 1 or (key in self._unwritten and key[1] > now - _UNWRITTEN)
        }
        self._unwritten &= self._hours.keys()


def _size(record: Record) -> int:
    """Bytes of the files and numbers of a record, about."""
    return sum(
        len(cell) if isinstance(cell, bytes) else 8 * int(np.size(cell)) for cell in record.values()
    )
