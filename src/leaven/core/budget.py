"""How long a fit may take: minutes or steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leaven.core.errors import SettingError

__all__ = ["Budget"]

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|steps?)\s*", re.IGNORECASE)
_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """A limit in seconds of wall clock for everything, or in optimiser steps for each fit.

    Exactly one of the two is set. A budget in steps makes a run repeatable to the bit; one in
    time is turned into steps by a short probe of the machine's speed.

    >>> Budget.parse("5m")
    Budget(seconds=300.0, steps=None)
    >>> Budget.parse("400steps").steps
    400
    >>> str(Budget.parse("90s")), str(Budget.parse("400 steps"))
    ('90s', '400steps')
    """

    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def parse(cls, text: str | Budget) -> Budget:
        """Read `5m`, `300s`, `1h` or `400steps`; raises SettingError for anything else."""
        if isinstance(text, Budget):
            return text
        match = _FORM.fullmatch(str(text))
        if match is None:
            raise SettingError("budget", "a time or steps, such as 5m, 300s or 400steps", text)
        amount, unit = float(match[1]), match[2].lower()
        if unit.startswith("step"):
            if amount < 1 or amount != int(amount):
                raise SettingError("budget", "a whole number of steps, at least 1", text)
            return cls(steps=int(amount))
        seconds = amount * _SECONDS[unit]
        if seconds < 1:
            raise SettingError("budget", "at least one second", text)
        return cls(seconds=seconds)

    def part(self, share: float) -> Budget:
        """This share of a time; steps stay as they are, for each fit takes so many.

        >>> str(Budget.parse("5m").part(0.5)), str(Budget.parse("40steps").part(0.5))
        ('150s', '40steps')
        """
        return self if self.seconds is None else Budget(seconds=max(self.seconds * share, 1.0))

    def __str__(self) -> str:
        return f"{self.steps}steps" if self.steps is not None else f"{self.seconds:g}s"
