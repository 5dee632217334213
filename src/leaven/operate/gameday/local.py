"""The set-up in which one drill is played: a folder, a store, real processes, and a diary.

Everything is the drill's own. What it sees it tells here as it comes, with what happened when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from leaven.core.errors import StoreError
from leaven.operate.gameday.databases import Database
from leaven.operate.gameday.judging import Seen
from leaven.operate.gameday.processes import Done, Group, Process
from leaven.operate.gameday.traffic import Traffic
from leaven.operate.gameday.world import World
from leaven.operate.releases import Releases
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["DETECTED", "INJECTED", "MENDED", "NOTE", "Entry", "Local", "Release"]

#: Kinds of entries: the fault begins, the system shows that it knows, all is as it was; others.
INJECTED, DETECTED, MENDED, NOTE = "injected", "detected", "mended", "note"
_ADDRESS = "Serving at "

#: `leaven.releasing.release`, which stands above this wing.
Release = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """What happened, in seconds since 1970."""

    at: float
    kind: str
    what: str


@dataclass
class Local:
    """One drill's own.

    Attributes
    ----------
    words : what a command gets beside what the drill gives it, by its name: a set-up that is not
        as it should be shows whether the drill notices.
    hear : is told what happens.
    """

    folder: Path
    world: World
    database: Database
    group: Group
    release_run: Release
    seed: int = 0
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hear: Callable[[str], object] = lambda _: None
    entries: list[Entry] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    traffic: list[Traffic] = field(default_factory=list)

    def mark(self, kind: str, what: str) -> float:
        """Write into the diary; the time, in seconds since 1970."""
        self.entries.append(Entry(time.time(), kind, what))
        self.hear(what)
        return self.entries[-1].at

    def saw(
        self,
        promise: str,
        value: float | None,
        n: int,
        of: str = "",
        *,
        note: str = "",
        evidence: Sequence[str] = (),
    ) -> None:
        """What was seen of a promise, see `Seen`."""
        self.seen[promise] = Seen(value, n, of, note, tuple(evidence[:8]))

    def release(self, kind: str, **how: Any) -> None:
        """Let a run of the world serve, by "game day", whatever its verdict."""
        told = {"by": "game day", "override": "a game day", "store": self.database.address}
        self.release_run(self.world.runs[kind], service=self.world.name, **told, **how)
        what = f"as a canary of {how['canary']:.0%}" if "canary" in how else "live"
        self.mark(NOTE, f"The {kind} run is released {what}.")

    def leaven(self, *words: str, **how: Any) -> Done:
        """A command to its end."""
        done = self.group.run(*words, *self.words.get(words[0], ()), **how)
        self.mark(NOTE, f"leaven {' '.join(words)}: exit code {done.code}")
        return done

    def start(self, *words: str, **how: Any) -> Process:
        """A command that stays."""
        self.mark(NOTE, f"leaven {' '.join(words)}")
        return self.group.start(*words, *self.words.get(words[0], ()), **how)

    def serve(self, *words: str) -> tuple[Process, Traffic]:
        """`leaven serve` on this machine, once it can be asked, and traffic to it."""
        told = ("--store", self.database.address, "--port", "0")
        server = self.start("serve", self.world.name, *told, *words)
        address = server.waits_for(_ADDRESS).rpartition(":")[2]
        world = self.world
        traffic = Traffic(int(address), world.records, world.truths, seed=self.seed)
        self.traffic.append(traffic)
        return server, traffic

    def away(self) -> AbstractContextManager[None]:
        """While this is entered the store is away."""
        return self.database.away(self.group)

    @cached_property
    def store(self) -> Store:
        """The drill's store, as this process reads it."""
        return Store(self.database.address)

    def close(self) -> None:
        """Let go of the store, if it was opened."""
        if "store" in vars(self):
            self.store.close()

    @property
    def releases(self) -> Releases:
        """The releases of the service, as the store has them."""
        return Releases(self.store, self.world.name)

    def logged(self) -> int:
        """How many answers that were heard are in the log; StoreError while that is away."""
        heard = predictions.c.place.in_(("live", "canary"))
        with self.store.read() as connection:
            query = select(func.count()).select_from(predictions).where(heard)
            return int(connection.execute(query).scalar_one())

    def truths(self) -> list[tuple[str, str]]:
        """Of each truth in the store the name of its answer, and the label."""
        with self.store.read() as connection:
            rows = connection.execute(select(feedback.c.prediction, feedback.c.label))
            return [(row.prediction, row.label) for row in rows]

    def until(self, is_so: Callable[[], bool], seconds: float) -> float | None:
        """Seconds until it is so; None where it is not in time. A store that is away is not."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            try:
                if is_so():
                    return time.monotonic() - began
            except StoreError:
                pass
            time.sleep(0.1)
        return None
