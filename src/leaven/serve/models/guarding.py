"""The guard of a canary, looking from time to time on a thread of the server."""

from __future__ import annotations

import logging
import threading
from typing import Any

from leaven.core.errors import LeavenError
from leaven.operate.canary.decision import HOLD
from leaven.operate.canary.guard import Guard, Look

__all__ = ["GuardWatch"]

_SAID = logging.getLogger(__name__)


class GuardWatch:
    """Lets a guard look every so often.

    Parameters
    ----------
    every : seconds between two looks.
    """

    def __init__(self, guard: Guard, *, every: float = 10.0) -> None:
        self._guard, self._every = guard, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="leaven-guard", daemon=True)
        #: What was seen last; None where there is no canary.
        self.last: Look | None = None
        #: Why it cannot look; "" while it can.
        self.problem = ""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self) -> None:
        """Look once. What goes wrong is told, and does not end the thread."""
        try:
            self.last = self._guard.look()
            problem = ""
        except LeavenError as failed:
            problem = str(failed)
        except Exception as failed:  # noqa: BLE001 - a guard that ended would let a bad canary be
            problem = f"The canary cannot be judged: {failed}."
        if problem and problem != self.problem:
            _SAID.warning("%s", problem)
        self.problem = problem
        if not problem and self.last is not None and self.last.decision.action != HOLD:
            _SAID.warning("Guard: %s. %s", self.last.decision.action, self.last.decision.reason)

    def told(self) -> dict[str, Any]:
        """What it waits for or did last, for the status."""
        last = self.last
        if last is None:
            return {"problem": self.problem, "action": None, "reason": ""}
        return {
            "problem": self.problem, "action": last.decision.action,
            "reason": last.decision.reason,
        }  # fmt: skip

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            self.look()
