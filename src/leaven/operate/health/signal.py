"""A signal of health: a figure with its interval, held against what was promised, and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ALARM", "GOOD", "UNTOLD", "Signal"]

#: Shown to be as promised, shown not to be, neither.
GOOD, ALARM, UNTOLD = "good", "alarm", "cannot be told"


@dataclass(frozen=True)
class Signal:
    """One line of the answer.

    `value` with its interval `low` to `high`, from `n` witnesses, is held against `reference`; all
    are shares in [0, 1] or their differences, None where there is none. `sentence` says what it
    means, `advice` what to do, "" where nothing is.
    """

    name: str
    verdict: str
    sentence: str
    advice: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    n: int = 0

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def untold(name: str, sentence: str, advice: str = "") -> Signal:
    """A signal of which nothing is known."""
    return Signal(name, UNTOLD, sentence, advice)
