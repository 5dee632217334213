"""The loop of a service: takes the lease, goes on from where it stands, and stops where it waits.

Each state's work writes what it is about to do, does it under a key by which it is found again, and
writes the result. So a process may be killed at any moment, and the next one goes on without doing
anything twice. Whoever was overtaken can write nothing any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leaven.core.progress import Progress
from leaven.operate.costs.prices import Prices
from leaven.operate.loop.bench import Bench, Done, Fitting, Waits, Work
from leaven.operate.loop.journal import LOOP, Event, Journal, Lease, Overtaken, Standing, folded
from leaven.operate.loop.policy import Policy
from leaven.operate.loop.states import REST, STATES
from leaven.operate.loop.triggers import Drift, Trigger, Triggers, kept_look, limits
from leaven.store.store import Store

__all__ = ["Loop", "Outlook", "Step"]

_LEASE = 120.0  # seconds; renewed while work goes on
_DRIFT = "drift"


@dataclass(frozen=True)
class Step:
    """One thing that happened: in which cycle, from which state, by what outcome, and why. Without
    an outcome it is what the loop waits for."""

    cycle: int
    state: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class Outlook:
    """What would be done now, and why; nothing is done. `holds` are reasons for which no cycle
    begins although a trigger may fire."""

    standing: Standing
    triggers: tuple[Trigger, ...]
    holds: tuple[str, ...]
    says: str


class Loop:
    """The loop of one service.

    Parameters
    ----------
    fit : makes a run, goes on with one that was cut off, or opens it: `leaven.api.fit`.
    canary : how a canary is judged, the table `[canary]`; None for the guard's own policy.
    prices : by which the money of the policy's limits is reckoned; SettingError where it has a cap
        of money and they have none.
    clock : seconds since 1970.
    listen : is called with what a fit says while it works.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        policy: Policy,
        fit: Fitting,
        *,
        canary: Mapping[str, Any] | None = None,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.time,
        listen: Callable[[Progress], None] | None = None,
    ) -> None:
        self.store, self.service, self.policy, self._fit = store, service, policy, fit
        self._canary, self._clock, self._listen = canary, clock, listen or (lambda _: None)
        self._prices = prices or Prices()
        self._prices.caps(money=policy.limits.money)  # one that cannot be kept is told at once
        self.journal = Journal(store, service, clock=clock)
        self._triggers = Triggers(store, service, policy, self._look_for_drift)
        self._lease: Lease | None = None
        self._noted = Standing(service)

    def run(self) -> Iterator[Step]:
        """Go on until there is something to wait for, which is the last step.

        Errors that a person must mend (a store that cannot be written, a policy that names what is
        not there) are raised; what was done until then is kept.
        """
        self._lease = self.journal.take(_LEASE)
        if self._lease is None:
            held = self.journal.lease()
            who = held.holder if held else "somebody"
            standing = self.journal.standing()
            yield Step(standing.cycle, standing.state, "", f"{who} goes on with it.")
            return
        try:
            while True:
                step = self._step()
                if step is not None:
                    yield step
                    if not step.outcome:
                        return
        finally:
            self.journal.give_back(self._lease)

    def outlook(self) -> Outlook:
        """What would be done now, and why."""
        history = self.journal.history()
        standing = folded(self.service, history)
        triggers, holds = [], limits(self.policy, standing, history, self._clock(), self._prices)
        if standing.state == REST:
            triggers = self._triggers.all(standing, history, self._clock())
        fires = [one for one in triggers if one.fires]
        if standing.state != REST:
            says = _now(standing) if LOOP not in standing.paused else holds[0]
        elif fires and holds:
            says = f"A cycle would begin ({_names(fires)}), but: {holds[0]}"
        elif fires:
            says = f"A cycle would begin: {' '.join(one.says for one in fires)}"
        else:
            says = "Nothing would be done: no trigger fires."
        return Outlook(standing, tuple(triggers), tuple(holds), says)

    def _step(self) -> Step | None:
        """Do what comes next; None where a person wrote meanwhile, and it is looked at anew."""
        assert self._lease is not None
        history = self.journal.history()
        standing = folded(self.service, history)
        try:
            self._lease = self.journal.renew(self._lease, _LEASE)
        except Overtaken:
            return Step(standing.cycle, standing.state, "", "Another process goes on with it.")
        try:
            return self._worked(standing, history)
        except Overtaken:
            return None

    def _worked(self, standing: Standing, history: list[Event]) -> Step:
        assert self._lease is not None
        cycle, state = standing.cycle, standing.state
        if state == REST:
            standing, found = self._rest(standing, history)
        elif LOOP in standing.paused:
            event = standing.paused[LOOP]
            found = Waits(f"{event.person} has paused it. {event.reason}".rstrip())
        else:
            bench = self._bench(standing, history)
            found = _work()[state](bench)
            standing = self._noted
        if isinstance(found, Waits):
            return Step(cycle, state, "", found.why)
        standing = self.journal.move(standing, self._lease, found.outcome, found.reason, found.told)
        return Step(standing.cycle, state, found.outcome, found.reason)

    def _rest(self, standing: Standing, history: list[Event]) -> tuple[Standing, Done | Waits]:
        """Whether a cycle begins."""
        assert self._lease is not None
        triggers = self._triggers.all(standing, history, self._clock())
        for one in triggers:
            if one.name == _DRIFT and one.told:
                reason, told, outcome = kept_look(one)
                standing = self.journal.note(standing, self._lease, reason, told, outcome)
        fires = [one for one in triggers if one.fires]
        holds = limits(self.policy, standing, history, self._clock(), self._prices)
        if holds and (fires or LOOP in standing.paused):
            return standing, Waits(" ".join(holds))
        if not fires:
            said = " ".join(one.says for one in triggers)
            return standing, Waits(f"No trigger fires. {said}".rstrip())
        told = {"triggers": [one.name for one in fires]}
        return standing, Done("triggered", " ".join(one.says for one in fires), told)

    def _bench(self, standing: Standing, history: list[Event]) -> Bench:
        """What the work of a state is given; what it notes is kept in `_noted`."""
        assert self._lease is not None
        self._noted = standing

        def note(reason: str, told: Mapping[str, Any]) -> None:
            assert self._lease is not None
            self._noted = self.journal.note(self._noted, self._lease, reason, told)

        return Bench(
            store=self.store, service=self.service, policy=self.policy, canary=self._canary,
            fit=self._fit, clock=self._clock, token=self._lease.token, standing=standing,
            history=history, note=note, tell=self._told, prices=self._prices,
        )  # fmt: skip

    def _told(self, progress: Progress) -> None:
        """Hold the lease while a fit goes on; Overtaken ends the fit where another has taken it."""
        assert self._lease is not None
        if self._lease.until - self._clock() < _LEASE / 2:
            self._lease = self.journal.renew(self._lease, _LEASE)
        self._listen(progress)

    def _look_for_drift(self, came: str, look: int) -> Drift | None:
        """Hold new records against those of the live run."""
        from leaven.operate.drift.watched import Watched
        from leaven.operate.registry import Registry
        from leaven.operate.releases import Releases

        live = Releases(self.store, self.service).state().live
        if live is None:
            return None
        watched = Watched.of(Registry(self.store).get(live.run, live.digest).folder)
        found = watched.compare(watched.read(came), look=look)
        return Drift(found.outcome, found.sentence)


def _now(standing: Standing) -> str:
    """What would be done in this state."""
    state = STATES[standing.state]
    waits = f" It may wait for {state.waits}." if state.waits else ""
    return f"Cycle {standing.cycle} would go on: {state.does}{waits}"


def _names(triggers: list[Trigger]) -> str:
    return ", ".join(one.name for one in triggers)


def _work() -> Mapping[str, Work]:
    """The work of each state but that of rest. Loads torch, which who only looks does without."""
    from leaven.operate.loop import asking, making, placing

    return {
        "checking": making.check,
        "fitting": making.fit,
        "judging": making.judge,
        "approving": making.approve,
        "shadowing": placing.shadow,
        "ramping": placing.ramp,
        "asking": asking.ask,
    }
