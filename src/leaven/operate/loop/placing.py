"""The work that lets a run serve: as a shadow, as a canary, live; and that takes it back.

Each decision carries the cycle and the step in its reason. So after a kill it is found in the
history of the releases, and not made twice; and of two who make it at once one is refused there.
"""

from __future__ import annotations

from leaven.core.errors import DataError
from leaven.core.wording import count, duration, many, percent, roughly
from leaven.operate.canary.guard import Guard
from leaven.operate.canary.policy import Policy as CanaryPolicy
from leaven.operate.loop.bench import Bench, Done, Waits
from leaven.operate.loop.journal import LOOP
from leaven.operate.registry import Registered, Registry
from leaven.operate.releases import Event, Named, Releases, State, folded

__all__ = ["ramp", "shadow"]

_LATE = Waits("Somebody else decided about the service meanwhile.")


def shadow(bench: Bench) -> Done | Waits:
    """Let the run be asked beside the live one, and look how often both agree."""
    releases, asked = Releases(bench.store, bench.service, clock=bench.clock), bench.policy.shadow
    history = releases.history()
    state = folded(bench.service, history)
    begun = _ours(bench, history, "shadow")
    if begun is None:
        if not asked.asked:
            return Done("passed", "No shadow is asked for.")
        if state.live is None:
            return Done("passed", "Nothing is live that a shadow could stand beside.")
        if state.shadow is not None:
            return Waits(f"{state.shadow.run} is a shadow already, and has to be retired first.")
        if not _release(bench, releases, state, "shadow", shadow=True):
            return _LATE
        return Waits("The shadow has begun.")
    outcome = bench.standing.told("shadowing", "outcome")
    if outcome is None:
        if not _is(state.shadow, begun):
            return Done("held back", _gone(history, begun))
        seen = _shadow_seen(bench, begun)
        if isinstance(seen, Waits):
            return seen
        outcome = seen.outcome
        # Kept before the shadow is taken away: afterwards there is nothing to judge by.
        bench.note(seen.reason, {"outcome": outcome, "reason": seen.reason})
    else:
        seen = Done(outcome, bench.standing.told("shadowing", "reason"))
    if _is(state.shadow, begun):
        try:
            reason = _reason(bench, "end of the shadow", seen.reason)
            releases.retire(begun.run, by=LOOP, seen=state, reason=reason)
        except DataError:
            if releases.last() != state.number:
                return _LATE
            raise
    return seen


def ramp(bench: Bench) -> Done | Waits:
    """Give the run a share of the requests, and wait for what the guard, or a person, decides."""
    releases = Releases(bench.store, bench.service, clock=bench.clock)
    history = releases.history()
    state = folded(bench.service, history)
    begun = _ours(bench, history, "release")
    if begun is None:
        if state.canary is not None:
            return Waits(f"{state.canary.run} is a canary already, and has to be decided first.")
        share = None
        if state.live is not None and bench.policy.canary == "always":
            share = _steps(bench).steps[0] / 100
        share = None if share == 1 else share
        if not _release(bench, releases, state, "release", canary=share):
            return _LATE
    history = releases.history()
    begun, state = _ours(bench, history, "release"), folded(bench.service, history)
    if begun is None:
        return _LATE
    why = "The guard has not looked yet."
    if _is(state.canary, begun):
        if bench.over(begun.at):
            return _taken_back(bench, releases, state)
        policy = None if bench.canary is None else CanaryPolicy.build(bench.canary)
        look = Guard(bench.store, bench.service, policy, clock=bench.clock).look()
        why = why if look is None else look.decision.reason
        history = releases.history()
        state = folded(bench.service, history)
    if _is(state.live, begun):
        return Done("promoted", f"{begun.run} is live. {_last(history, begun)}".rstrip())
    if _is(state.canary, begun):
        gets = percent(state.canary.share if state.canary else 0.0, 0)
        return Waits(f"{begun.run} answers {gets} of the requests. {why}")
    return Done("rolled back", _gone(history, begun))


def _release(
    bench: Bench,
    releases: Releases,
    state: State,
    step: str,
    *,
    canary: float | None = None,
    shadow: bool = False,
) -> bool:
    """Release the run of this cycle; False where somebody else was quicker."""
    found = _registered(bench)
    decision, by = bench.standing.decision, LOOP
    why = " ".join(bench.standing.told("judging", "passed", ()))
    if decision is not None:
        by, why = decision.person, decision.reason or "approved."
    reason = _reason(bench, step, why)
    try:
        releases.release(found, by=by, seen=state, canary=canary, shadow=shadow, override=reason)
    except DataError:
        if releases.last() != state.number:
            return False
        raise
    return True


def _registered(bench: Bench) -> Registered:
    from leaven.evaluate.run import Run
    from leaven.operate.export.served import attach

    run = Run.load(bench.run)
    attach(run)  # before its files are counted, so that the manifest covers it
    return Registry(bench.store, clock=bench.clock).add(run, person=LOOP)


def _taken_back(bench: Bench, releases: Releases, state: State) -> Done | Waits:
    said = "It was not decided in time."
    try:
        releases.rollback(by=LOOP, seen=state, reason=_reason(bench, "end of the canary", said))
    except DataError:
        if releases.last() != state.number:
            return _LATE
        raise
    return Done("rolled back", said)


def _shadow_seen(bench: Bench, begun: Event) -> Done | Waits:
    """What the shadow has shown."""
    from leaven.evaluate.intervals import wilson

    asked = bench.policy.shadow
    n, agreed = _compared(bench, begun)
    left = begun.at + asked.hours * 3600 - bench.clock()
    if n < asked.requests or left > 0:
        waits = []
        if n < asked.requests:
            waits.append(many(asked.requests - n, "more request", "more requests"))
        if left > 0:
            waits.append(f"{roughly(left)} more")
        return Waits(f"The shadow was asked {many(n, 'time', 'times')}; it waits for "
                     f"{' and '.join(waits)}.")  # fmt: skip
    if not n:
        return Done("passed", f"Nobody asked for anything in {duration(asked.hours * 3600)}.")
    said = f"Both agreed on {percent(agreed / n)} of {count(n)} requests"
    _, high = wilson(agreed, n)
    if float(high) < asked.agree:
        return Done("held back", f"{said}, which is below {percent(asked.agree, 0)}.")
    return Done("passed", f"{said}.")


def _compared(bench: Bench, begun: Event) -> tuple[int, int]:
    """How many answers of the shadow were held against the heard one, and how many agreed."""
    from sqlalchemy import case, func, select

    from leaven.store.prediction_tables import predictions

    agreed = func.coalesce(func.sum(case((predictions.c.agrees.is_(True), 1), else_=0)), 0)
    query = select(func.count(), agreed).where(
        predictions.c.service == bench.service, predictions.c.place == "shadow",
        predictions.c.digest == begun.digest, predictions.c.at >= begun.at,
    )  # fmt: skip
    with bench.store.read() as connection:
        n, right = connection.execute(query).one()
    return int(n), int(right)


def _steps(bench: Bench) -> CanaryPolicy:
    return CanaryPolicy.build(bench.canary or {})


def _reason(bench: Bench, step: str, why: str) -> str:
    return f"{_key(bench, step)} {why}".rstrip()


def _key(bench: Bench, step: str) -> str:
    return f"Cycle {bench.standing.cycle} of the loop, {step}:"


def _ours(bench: Bench, history: list[Event], step: str) -> Event | None:
    """The event by which this cycle has done a step; None where it has not."""
    key = _key(bench, step)
    found = (one for one in history if one.reason.removeprefix("overridden: ").startswith(key))
    return next(found, None)


def _is(named: Named | None, event: Event) -> bool:
    return named is not None and (named.run, named.digest) == (event.run, event.digest)


def _gone(history: list[Event], begun: Event) -> str:
    """Why a run is not where it was put."""
    last = [one for one in history if one.number > begun.number]
    about = [one for one in last if one.digest == begun.digest] or last
    event = about[-1]
    why = f": {event.reason}" if event.reason else "."
    return f"{event.person} made {event.run} {event.kind}{why}"


def _last(history: list[Event], begun: Event) -> str:
    """Who made it live, where that was not the loop's own event."""
    live = [one for one in history if one.kind == "live" and one.digest == begun.digest]
    return f"{live[-1].person}: {live[-1].reason}" if live[-1].number != begun.number else ""
