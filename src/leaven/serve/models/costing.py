"""What serving takes, written down by release and hour behind the answers, to be priced later.

A process's CPU seconds are shared among the releases by how many records each answered since the
last look; while nobody asks they are those of the live one, which they wait for. What shadows take
is borne by those that were heard.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable

from leaven.core.errors import LeavenError
from leaven.evaluate.spending import cpu_now
from leaven.operate.metrics.standing import version
from leaven.serve.models.metering import Meter
from leaven.serve.models.routing import Watch
from leaven.store.cost_tables import serving_costs
from leaven.store.store import Store
from leaven.store.upsert import put

__all__ = ["CostLog"]

_SAID = logging.getLogger(__name__)
_HOUR = 3600
_UNWRITTEN = 48  # hours that may wait where the store is down


class CostLog:
    """Writes what one process of a service takes, on a thread of its own.

    Parameters
    ----------
    every : seconds between two writings; a process that is killed loses what it took since.
    clock : seconds since 1970.
    cpu : CPU seconds of this process so far.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        watch: Watch,
        meter: Meter,
        *,
        every: float = 60.0,
        clock: Callable[[], float] = time.time,
        cpu: Callable[[], float] = cpu_now,
    ) -> None:
        self._store, self._service, self._watch, self._meter = store, service, watch, meter
        self._every, self._clock, self._cpu = every, clock, cpu
        self._process = uuid.uuid4().hex
        self._used, self._answered = cpu(), dict[tuple[str, str], int]()
        #: CPU seconds and records by run, version and hour, and which of them are not written.
        self._hours: dict[tuple[str, str, int], tuple[float, int]] = {}
        self._unwritten: set[tuple[str, str, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leaven-costs", daemon=True)
        self._problem = ""

    def start(self) -> None:
        """Begin to look and write."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Write what was taken since, and end the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self) -> None:
        """Share out what was taken since the last look, and write it. What goes wrong is told."""
        problem = ""
        try:
            self._share()
            self._write()
        except LeavenError as failed:
            problem = str(failed)
        except Exception as failed:  # noqa: BLE001 - the thread must outlive whatever it is
            problem = f"What serving costs cannot be written: {failed}."
        if problem and problem != self._problem:
            _SAID.warning("%s", problem)
        self._problem = problem

    def _work(self) -> None:
        while not self._ended.wait(self._every):
            self.look()
        self.look()

    def _share(self) -> None:
        answered = self._meter.answered_by()
        new = {key: n - self._answered.get(key, 0) for key, n in answered.items()}
        shares = {key: n for key, n in new.items() if n > 0}
        routing = self._watch.routing
        if not shares:
            if routing is None:
                return  # who is loaded first bears it
            shares = {(routing.live.run, version(routing.live.digest)): 0}
        total, used = sum(shares.values()), self._cpu()
        took, hour = used - self._used, int(self._clock() // _HOUR)
        for (run, told), n in shares.items():
            key = (run, told, hour)
            seconds, records = self._hours.get(key, (0.0, 0))
            self._hours[key] = seconds + took * (n / total if total else 1.0), records + n
            self._unwritten.add(key)
        self._used, self._answered = used, answered

    def _write(self) -> None:
        for key in sorted(self._unwritten, key=lambda one: one[2]):
            run, told, hour = key
            seconds, records = self._hours[key]
            keys = {"service": self._service, "run": run, "version": told, "hour": hour}
            row = {"cpu_seconds": seconds, "answered": records}
            with self._store.write() as connection:
                put(connection, serving_costs, keys | {"process": self._process}, row)
            self._unwritten.discard(key)
        now = int(self._clock() // _HOUR)
        self._hours = {
            key: took
            for key, took in self._hours.items()
            if key[2] >= now or (key in self._unwritten and key[2] > now - _UNWRITTEN)
        }
        self._unwritten &= self._hours.keys()
