"""Kills of a process at some transaction of its store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leaven.store.store import Store

__all__ = ["Fate", "Killed"]


class Killed(BaseException):
    """The process is no more."""


class Fate:
    """Kills before or after the `left`-th transaction from now on is kept; who is dead writes
    nothing any more."""

    def __init__(self, store: Store) -> None:
        self._write, self.left, self.kills = store.write, 10**9, 0
        store.write = self.write  # type: ignore[method-assign]

    @contextmanager
    def write(self, scope: int = 0) -> Iterator[Any]:
        self._strike()
        with self._write(scope) as connection:
            yield connection
        self._strike()

    def _strike(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self.kills += self.left == 0
            raise Killed
