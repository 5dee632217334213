"""Whether a person has paused automatic labelling, which a stream asks about while it runs.

A thread looks at the store every few seconds, so no answer waits for a database. What cannot be
known is taken for a pause: a store that cannot be read, and a look that takes too long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from leaven.core.errors import LeavenError, StoreError, UnknownNameError
from leaven.operate.loop.journal import LABELLING, Journal
from leaven.operate.loop.told import looped
from leaven.operate.releases import services
from leaven.store.store import store_at

__all__ = ["Hold"]

_EVERY = 3.0  # seconds between two looks
_STALE = 12.0  # seconds without a look that came to an end: then nothing is known any more


class Hold:
    """The pause of a service, as `leaven loop pause --labelling` writes it.

    Parameters
    ----------
    store : a file or URL, see `Store`; it is opened for each look, so one that was moved away or
        restored is noticed.
    tell : is called with a sentence whenever it begins to hold and when it ends, from the thread.
    clock : seconds that only grow.

    Raises DataError where there is no such store, UnknownNameError for a service that it does not
    know; a store that is there and cannot be read holds.
    """

    def __init__(
        self,
        store: str | Path | None,
        service: str,
        *,
        every: float = _EVERY,
        tell: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self.service, self._every = store, service, every
        self._tell, self._clock = tell or (lambda _: None), clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="leaven-hold", daemon=True)
        self._why = ""
        try:
            self._say(self._found())
        except StoreError as failed:
            self._say(_unread(failed))
        self._looked = clock()
        self._thread.start()

    def why(self) -> str:
        """Why nothing may be accepted now; "" where it may."""
        if self._why:
            return self._why
        ago = self._clock() - self._looked
        if ago > _STALE:
            return f"The store did not say for {ago:.0f} s whether automatic labelling is paused."
        return ""

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(5)

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            try:
                found = self._found()
            except LeavenError as failed:
                found = _unread(failed)
            except Exception as failed:  # noqa: BLE001 - a thread that ended would hold for ever
                found = _unread(failed)
            self._say(found)
            self._looked = self._clock()

    def _found(self) -> str:
        """Why nothing may be accepted, as the store has it."""
        store = store_at(self._address, "Whether labelling is paused cannot be known")
        try:
            event = Journal(store, self.service).paused(LABELLING)
            if event is None:
                known = sorted({*services(store), *looped(store)})
                if self.service not in known:
                    raise UnknownNameError("service", self.service, known)
                return ""
        finally:
            store.close()
        said = f"{event.person} has paused automatic labelling of '{self.service}'."
        return f"{said} {event.reason}".rstrip()

    def _say(self, why: str) -> None:
        if why != self._why:
            self._tell(f"Accepts nothing: {why}" if why else "Accepts pseudo-labels again.")
        self._why = why


def _unread(failed: Exception) -> str:
    return f"Whether automatic labelling is paused cannot be read. {failed}"
