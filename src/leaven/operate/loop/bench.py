"""What the work of each state is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.progress import Progress
from leaven.operate.costs.prices import Prices
from leaven.operate.loop.journal import Event, Standing
from leaven.operate.loop.policy import Policy
from leaven.store.store import Store

if TYPE_CHECKING:
    from leaven.evaluate.run import Run  # loads torch, which who only looks does without

__all__ = ["Bench", "Done", "Fitting", "Waits", "Work", "days"]

#: Fits a run, or goes on with it, or opens it where it is done: `leaven.api.fit`.
Fitting = Callable[..., "Run"]


@dataclass(frozen=True)
class Done:
    """The state's work is done, with an outcome of the table; `told` is kept."""

    outcome: str
    reason: str
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Waits:
    """Nothing can be done now, and why."""

    why: str


@dataclass(frozen=True)
class Bench:
    """What there is to work with: the store, the policy, the tools, and where the loop stands.

    `note` keeps what is about to be done, so that it is done alike after a kill; `tell` says how
    it goes on, and holds the lease meanwhile. Both raise `Overtaken` where somebody else went on.
    `token` is the number of the lease.
    """

    store: Store
    service: str
    policy: Policy
    canary: Mapping[str, Any] | None
    fit: Fitting
    clock: Callable[[], float]
    token: int
    standing: Standing
    history: Sequence[Event]
    note: Callable[[str, Mapping[str, Any]], None]
    tell: Callable[[Progress], None]
    prices: Prices

    @property
    def folder(self) -> Path:
        """Where this cycle's run and what it was taught are."""
        plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.service)[:60]
        runs = Path(self.policy.runs).resolve()
        return runs / f"loop-{plain}" / f"cycle-{self.standing.cycle:04d}"

    @property
    def run(self) -> Path:
        """The run of this cycle."""
        return Path(str(self.standing.told("fitting", "run")))

    def over(self, since: float) -> bool:
        """Whether the patience with what began then is over."""
        return self.clock() > since + days(self.policy.limits.patience_days)


#: The work of a state.
Work = Callable[[Bench], Done | Waits]


def days(number: float) -> float:
    """Days in seconds."""
    return number * 86400.0
