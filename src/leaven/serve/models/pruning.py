"""Old predictions leave the log while a server runs, on a thread of its own."""

from __future__ import annotations

import logging
import threading

from leaven.core.errors import LeavenError
from leaven.operate.pruning import prune
from leaven.store.store import Store

__all__ = ["Pruner"]

_EVERY, _AGAIN = 3600.0, 60.0  # seconds between two times; after one that failed
_BY = "server"  # who does it, in the audit log
_SAID = logging.getLogger(__name__)


class Pruner:
    """Removes predictions that are older than so many days, now and every hour.

    Parameters
    ----------
    keep_days : more than 0.
    """

    def __init__(self, store: Store, service: str, keep_days: float) -> None:
        self._store, self._service, self._keep_days = store, service, keep_days
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leaven-pruner", daemon=True)
        #: Predictions removed since the start.
        self.removed = 0
        #: Why it cannot remove any; "" while it can.
        self.problem = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is left is for the next time."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self) -> None:
        """Once. What goes wrong is told, and does not end the thread."""
        try:
            found = prune(
                self._store, self._service, self._keep_days, by=_BY, is_ended=self._ended.is_set
            )
            self.removed += found.predictions
            problem = ""
        except LeavenError as failed:
            problem = str(failed)
        except Exception as failed:  # noqa: BLE001 - a log that grew for ever would be worse
            problem = f"Old predictions cannot be removed: {failed}."
        if problem and problem != self.problem:
            _SAID.warning("%s", problem)
        self.problem = problem

    def _work(self) -> None:
        while True:
            self.look()
            if self._ended.wait(_AGAIN if self.problem else _EVERY):
                return
