"""When an alert opens and closes: arithmetic on what was seen before and what is seen now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leaven.operate.objectives.judging import BROKEN, UNKNOWN

__all__ = ["Stand", "after", "settling"]

_LONGEST = 6 * 3600.0  # seconds that one waits at most before an alert that comes and goes closes


@dataclass(frozen=True)
class Stand:
    """Since when it is broken and since when fine (None where it is not), and whether an alert is
    open."""

    broken: float | None = None
    fine: float | None = None
    is_open: bool = False


def after(stand: Stand, state: str, at: float, *, grace: float, settle: float) -> Stand:
    """What stands once `state` was seen at `at`.

    Only what is shown to be broken for the whole grace opens an alert: one look that is not sure
    begins it anew. What is open stays so until it was not broken for `settle`. Where nothing is
    known nothing changes: a service that answers nobody is not well again.

    >>> came = {0: "broken", 60: "broken", 120: "met", 180: "broken", 300: "met"}
    >>> seen = Stand()
    >>> for at, state in came.items():
    ...     seen = after(seen, state, at, grace=60, settle=100)
    ...     print(seen.is_open, seen.broken, seen.fine)
    False 0 None
    True 0 None
    True 0 120
    True 0 None
    True 0 300
    >>> after(seen, "met", 400, grace=60, settle=100)
    Stand(broken=None, fine=None, is_open=False)
    """
    if state == UNKNOWN:
        return stand
    if state == BROKEN:
        broken = at if stand.broken is None else stand.broken
        return Stand(broken, None, stand.is_open or at - broken >= grace)
    if not stand.is_open:
        return Stand()
    fine = at if stand.fine is None else stand.fine
    return Stand() if at - fine >= settle else replace(stand, fine=fine)


def settling(settle: float, episodes: int) -> float:
    """How long an alert must be fine to close, when it is the `episodes`-th of its kind in a day.

    >>> [settling(900, n) for n in (1, 2, 3, 9)]
    [900.0, 1800.0, 3600.0, 21600.0]
    """
    return float(max(settle, min(settle * 2.0 ** min(max(episodes - 1, 0), 20), _LONGEST)))
