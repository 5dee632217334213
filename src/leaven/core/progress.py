"""What long work says while it works. Consumers draw it; nothing in the work knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Listener", "Progress"]


@dataclass(frozen=True)
class Progress:
    """One line of progress.

    `done` of `total` counts the whole job in equal parts of work; `seconds_left` is the estimate
    for the whole job, None while unknown. `figures` are the numbers worth showing now, such as
    {"accuracy": 0.71, "baseline": 0.64, "coverage": 0.38}; shares, not per cent.
    """

    stage: str
    done: float = 0.0
    total: float = 0.0
    seconds_left: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    message: str = ""


#: Who is told of it.
Listener = Callable[[Progress], None]
