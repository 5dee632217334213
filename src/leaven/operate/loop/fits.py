"""The fits of a loop, read off its journal: when each began and ended, how often, at what cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from leaven.operate.loop.journal import Event

__all__ = ["Fit", "fits"]


@dataclass(frozen=True)
class Fit:
    """The fit of one cycle.

    It was begun `tries` times, the last time at `began`; `ended` is when it came to an end (seconds
    since 1970), None while it goes on. `finished` says that a `run` came of it, in `seconds` of
    work and `cpu_seconds`; `stopped` that it waits, because a cap was reached. `folder` is that of
    the cycle, None where an earlier version kept none; `budget` is as a recipe has it, "" where the
    recipe's own counts.
    """

    cycle: int
    began: float
    tries: int = 0
    ended: float | None = None
    run: Path | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    folder: Path | None = None
    budget: str = ""
    stopped: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether somebody works on it, as far as the journal knows."""
        return self.ended is None and self.tries > 0 and not self.stopped

    @property
    def finished(self) -> bool:
        """Whether a run came of it."""
        return self.run is not None

    @property
    def lost(self) -> int:
        """How many tries came to nothing; the one that goes on is not among them."""
        return max(self.tries - (self.finished or self.goes_on), 0)


def fits(history: Iterable[Event]) -> list[Fit]:
    """All of them, the oldest first."""
    found: dict[int, Fit] = {}
    for event in history:
        if event.kind == "moved" and event.state == "fitting":
            found[event.cycle] = Fit(event.cycle, event.at)
        if event.cycle not in found:
            continue
        fit, told = found[event.cycle], event.told
        if event.kind == "noted" and event.state == "fitting" and "tries" in told:
            folder = Path(str(told["folder"])) if "folder" in told else fit.folder
            fit = replace(fit, began=event.at, tries=int(told["tries"]), folder=folder,
                          budget=str(told.get("budget", fit.budget)),
                          stopped="stopped" in told)  # fmt: skip
        elif event.kind == "moved" and event.outcome in ("fitted", "failed"):
            fit = replace(fit, ended=event.at)
            if event.outcome == "fitted":
                run = Path(str(told["run"]))
                fit = replace(fit, run=run, folder=run.parent, seconds=float(told["seconds"]),
                              cpu_seconds=float(told["cpu_seconds"]))  # fmt: skip
        found[event.cycle] = fit
    return list(found.values())
