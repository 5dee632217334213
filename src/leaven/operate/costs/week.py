"""What the fits of a loop used in seven days, and what is left of its caps for the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaven.core.wording import decimal
from leaven.evaluate.spending import HOUR
from leaven.operate.costs.prices import Prices
from leaven.operate.loop.journal import Event
from leaven.operate.loop.policy import Limits

__all__ = ["Left", "left"]

_WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Left:
    """CPU hours and money that fits may still use; None where there is no cap.

    `says` is a sentence where nothing is left of one, else "".
    """

    cpu_hours: float | None
    money: float | None
    says: str

    def is_more(self, than: Sequence[float | None]) -> bool:
        """Whether a fit that stopped with so much left, hours and money, may go on now."""
        pairs = zip((self.cpu_hours, self.money), than, strict=True)
        return not self.says and any(
            before is not None and (now is None or now > before) for now, before in pairs
        )


def left(limits: Limits, history: Sequence[Event], now: float, prices: Prices) -> Left:
    """What is left now. Fits that came to nothing count, where it is known what they used."""
    used = [
        one.told
        for one in history
        if one.kind == "moved" and one.at > now - _WEEK and "cpu_seconds" in one.told
    ]
    cpu = sum(float(one["cpu_seconds"]) for one in used)
    cost = prices.compute(cpu, sum(float(one.get("gpu_seconds", 0)) for one in used)) or 0.0
    hours = None if limits.cpu_hours is None else limits.cpu_hours - cpu / HOUR
    money = None if limits.money is None else limits.money - cost
    says = ""
    if hours is not None and hours <= 0:
        says = f"Fits used {decimal(cpu / HOUR, 2)} CPU hours in 7 days, the most allowed."
    elif money is not None and money <= 0:
        says = f"Fits cost {prices.said(cost)} in 7 days, the most allowed."
    return Left(hours, money, says)
