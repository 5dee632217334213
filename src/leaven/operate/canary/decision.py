"""What follows from the signals of a canary: back, on to the next step, or waiting, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaven.core.wording import count, many, roughly
from leaven.operate.canary.policy import ACCURACY, QUALITY, SHIFT, Policy
from leaven.operate.canary.signals import Signal

__all__ = ["HOLD", "PROMOTE", "RAMP", "ROLL_BACK", "Decision", "decide"]

HOLD, RAMP, PROMOTE, ROLL_BACK = "hold", "ramp", "promote", "roll back"


@dataclass(frozen=True)
class Decision:
    """`action` is one of hold, ramp, promote and roll back; `share` is what the canary gets then.

    `waits` are sentences on what is missing for the next step.
    """

    action: str
    share: float
    reason: str
    waits: tuple[str, ...] = ()


def decide(
    signals: Sequence[Signal], policy: Policy, *, share: float, answered: int, seconds: float
) -> Decision:
    """What to do with a canary.

    Parameters
    ----------
    share : of the requests, which it has now.
    answered : keys that it was asked by in this step.
    seconds : since the step began.

    A signal that is worse rolls it back. That it answers otherwise, shares out the classes
    otherwise or is more or less sure is no reason where truth has shown that it is as accurate.
    """
    by_name = {one.name: one for one in signals}
    proven = ACCURACY in by_name and by_name[ACCURACY].state == "fine"
    counts = [one for one in signals if not (proven and one.name in SHIFT)]
    if worse := [one for one in counts if one.state == "worse"]:
        return Decision(ROLL_BACK, 0.0, " ".join(_named(one) for one in worse))
    moot = [one.name for one in signals if one.state == "worse"]
    note = f" As truth shows it to be as accurate, {_listed(moot)} may differ." if moot else ""
    after = policy.after(share)
    waits = _waits(counts, policy, after, answered, seconds)
    if waits:
        return Decision(HOLD, share, f"Waiting for evidence: {'; '.join(waits)}.{note}", waits)
    shown = [one for one in counts if one.state == "fine"]
    left = [one.name for one in counts if one.state != "fine"]
    reason = " ".join(_named(one) for one in shown)
    if left:
        reason += f" Not shown yet, for want of truth: {', '.join(left)}."
    return Decision(PROMOTE if after >= 1 else RAMP, after, reason + note)


def _waits(
    signals: Sequence[Signal], policy: Policy, after: float, answered: int, seconds: float
) -> tuple[str, ...]:
    waits = []
    if answered < policy.requests:
        more = policy.requests - answered
        waits.append(f"{many(more, 'more key', 'more keys')} that ask the canary")
    if (left := 60 * policy.minutes - seconds) > 0:
        waits.append(f"{roughly(left)} more at this step")
    truth = policy.needs_truth(after)
    waits += [
        _wait(one) for one in signals if one.state != "fine" and (truth or one.name not in QUALITY)
    ]
    return tuple(waits)


def _wait(one: Signal) -> str:
    if one.name in QUALITY:
        what = "explored records with truth, or a person who decides (leaven promote)"
    else:
        what = "requests asked of both" if one.name == "agreement" else "requests of the canary"
    if one.needed is None:
        if one.state == "unseen":
            return f"{one.name}: {what}"
        return f"{one.name}: it is not within its margin so far, and more {what} may not show it"
    return f"{one.name}: about {count(one.needed)} more {what}"


def _listed(names: Sequence[str]) -> str:
    """
    >>> _listed(["classes", "agreement", "confidence"])
    'classes, agreement and confidence'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _named(one: Signal) -> str:
    return f"{one.name.capitalize()}: {one.sentence}"
