"""How often one may ask: so many times a second on average, and a few at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["Rate"]

_MOST = 10_000  # who are remembered at once
_ROUNDING = 1e-9  # seconds


class Rate:
    """Counts requests by who sends them, as a bucket of tokens does that is filled steadily.

    Of each is kept only when their bucket will be full again (the generic cell rate algorithm of
    ATM traffic management, ITU-T I.371), so memory is bounded: where too many are known, those who
    asked longest ago are forgotten.

    Parameters
    ----------
    rate : requests a second on average; inf for any number.
    burst : requests that may come at once; by default those of two seconds.
    clock : seconds.
    """

    def __init__(
        self, rate: float, burst: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every = 1 / rate
        self._ahead = (max(1.0, 2 * rate if burst is None else burst) - 1) * self._every
        self._clock = clock
        self._full: dict[str, float] = {}

    def wait(self, who: str) -> int:
        """Take this request in; returns 0, or where it must not pass in how many seconds it may."""
        if self._every == 0:
            return 0
        if left := self.left(who):
            return left
        full = max(self._full.pop(who, 0.0), self._clock()) + self._every
        while len(self._full) >= _MOST:
            self._full.pop(next(iter(self._full)))
        self._full[who] = full
        return 0

    def left(self, who: str) -> int:
        """In how many whole seconds this one may ask next; 0 for now. Counts nothing."""
        over = self._full.get(who, 0.0) - self._clock() - self._ahead
        return math.ceil(over) if over > _ROUNDING else 0
