"""Which model answers: what the releases of a service say, loaded, and swapped as they change.

A `Routing` never changes. A request takes it once, so an answer is of one model from beginning to
end; the watch loads what is new beside it, warms it, and puts a new routing in its place in one
assignment. A model that fails its digests, its signature or its first answer never serves: the
routing before it stays. What a rollback would lead to is kept loaded, so that going back takes no
longer than noticing; every other model goes with the last request that holds it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from leaven.core.errors import DataError, LeavenError, StoreError
from leaven.operate.registry import Registry
from leaven.operate.releases import Named, Releases, State
from leaven.serve.models.limits import Limits
from leaven.serve.models.loading import Loaded, load

__all__ = ["CANARY", "LIVE", "SHADOW", "Cascade", "Routing", "Watch", "place_of_key"]

LIVE, CANARY, SHADOW = "live", "canary", "shadow"
_AGAIN = 5.0  # seconds after which a model that could not be loaded is tried again
_SAID = logging.getLogger(__name__)


def place_of_key(key: str, salt: str) -> float:
    """Where a key lies in [0, 1), evenly and always at the same place for the same salt.

    >>> 0 <= place_of_key("customer 7", "a") < 1
    True
    """
    told = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8, key=salt.encode()[:64])
    return int.from_bytes(told.digest(), "big") / 2**64


@dataclass(frozen=True)
class Routing:
    """What stands after the `number`-th event of a service, loaded.

    `share` is that of the requests which the canary answers. `back` is where a rollback leads to.
    """

    number: int
    live: Loaded
    canary: Loaded | None = None
    share: float = 0.0
    shadow: Loaded | None = None
    back: Loaded | None = None

    def chosen(self, key: str) -> tuple[Loaded, str]:
        """The model that answers a key, and its place: the same one each time.

        A canary that gets a larger share keeps the keys that it had.
        """
        if self.canary is not None and place_of_key(key, self.canary.digest) < self.share:
            return self.canary, CANARY
        return self.live, LIVE

    def of(self, version: str) -> tuple[Loaded, str] | None:
        """The model of a version that may be asked; None for one that is not loaded, or a shadow
        only."""
        for one, place in ((self.live, LIVE), (self.canary, CANARY)):
            if one is not None and one.is_named(version):
                return one, place
        return None

    @property
    def heard(self) -> tuple[Loaded, ...]:
        """The models that answer."""
        return (self.live,) if self.canary is None else (self.live, self.canary)


@dataclass(frozen=True)
class Cascade:
    """A registered run that is asked where another is not sure.

    `small` is the run that it stands behind, wherever that one stands; `sure` is how sure that
    must be of a record to answer it alone.
    """

    small: str
    run: str
    digest: str
    sure: float


class Watch:
    """Keeps a routing at what the releases of a service say.

    Parameters
    ----------
    every : seconds between two looks.
    cascade : a larger run behind one of those that are released.
    """

    def __init__(
        self,
        releases: Releases,
        limits: Limits,
        *,
        every: float = 0.2,
        cascade: Cascade | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cascade = cascade
        self._releases, self._limits, self._every, self._clock = releases, limits, every, clock
        self._registry = Registry(releases.store)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="leaven-watch", daemon=True)
        self._refused, self._refused_at = -1, 0.0
        #: What answers now; None before the first model is ready.
        self.routing: Routing | None = None
        #: Why the routing is not what the releases say; "" where it is.
        self.problem = ""
        #: Looks at the releases that could not be followed.
        self.failures = 0

    def start(self) -> None:
        """Load what stands, then go on watching in a thread of its own."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self) -> None:
        """Once: load and swap where something was decided."""
        try:
            number = self._releases.last()
            if self.routing is not None and number == self.routing.number:
                self._tell("")
                return
            if number == self._refused and self._clock() < self._refused_at + _AGAIN:
                return
            state = self._releases.state()
            self._refused, self._refused_at = state.number, self._clock()
            if state.live is None:
                raise DataError(
                    f"Nothing is live in '{self._releases.service}'. Release a run: "
                    "leaven release RUN."
                )
            self._swap(state, state.live)
        except StoreError as failed:  # it may be back at the next look
            self._refused = -1
            self._tell(str(failed))
        except LeavenError as failed:
            self._tell(str(failed))
        except Exception as failed:  # noqa: BLE001 - a watch that ended would miss a rollback
            self._tell(f"The releases cannot be followed: {failed}.")

    def _swap(self, state: State, live: Named) -> None:
        """Put what stands in place of what stood; LeavenError leaves it as it was."""
        before = self.routing
        found = Routing(
            state.number,
            self._loaded(live),
            None if state.canary is None else self._loaded(state.canary),
            0.0 if state.canary is None else state.canary.share,
            None if state.shadow is None else self._loaded(state.shadow),
            before.back if before is not None else None,
        )
        self.routing = found
        self._tell("")
        back = state.before[-1] if state.before else None
        try:
            kept = None if back is None else self._loaded(back, before)
        except LeavenError as failed:
            kept = None
            _SAID.warning("A rollback would fail: %s", failed)
        self.routing = replace(found, back=kept)

    def _loaded(self, named: Named, before: Routing | None = None) -> Loaded:
        """The model, from what is loaded already where it is there."""
        for routing in (self.routing, before):
            if routing is None:
                continue
            for one in (routing.live, routing.canary, routing.shadow, routing.back):
                if one is not None and (one.run, one.digest) == (named.run, named.digest):
                    return one
        found, cascade = load(self._registry, named, self._limits), self._cascade
        if cascade is not None and named.run == cascade.small:
            larger = load(self._registry, Named(cascade.run, cascade.digest), self._limits)
            found.back(larger, cascade.sure)
        return found

    def _tell(self, problem: str) -> None:
        self.failures += bool(problem)
        if problem and problem != self.problem:
            _SAID.warning("%s", problem)
        self.problem = problem

    def _watch(self) -> None:
        while not self._ended.wait(self._every):
            self.look()
