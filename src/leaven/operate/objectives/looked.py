"""The health of a service as indicators take it: examined once for all of one look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leaven.core.errors import DataError
from leaven.operate.objectives.indicator import Subject

if TYPE_CHECKING:
    from leaven.operate.health.examining import Health  # loads arrays, which others do without
    from leaven.operate.health.signal import Signal

__all__ = ["LEAST", "STATES", "TOLERANCE", "health_of", "signal_of"]

#: The share of records that must lie elsewhere to matter, and by how much the accuracy may be less
#: than promised: those of `leaven health`.
LEAST, TOLERANCE = 0.03, 0.03
#: What a verdict of health is as one of an objective.
STATES: Mapping[str, str] = {"good": "met", "alarm": "broken", "cannot be told": "unsure"}


def health_of(subject: Subject, *, least: float = LEAST, tolerance: float = TOLERANCE) -> Health:
    """All signals of the service; raises as `leaven.operate.health.examining.examine`."""
    from leaven.operate.health.examining import examine

    key = ("health", least, tolerance)
    if key not in subject.seen:
        subject.seen[key] = examine(
            subject.store, subject.service, least=least, tolerance=tolerance,
            clock=lambda: subject.now,
        )  # fmt: skip
    found: Health = subject.seen[key]
    return found


def signal_of(
    subject: Subject, name: str, *, least: float = LEAST, tolerance: float = TOLERANCE
) -> tuple[Signal, tuple[float, float, float]]:
    """A signal, and its value with the ends of its interval; DataError where it has none."""
    every = health_of(subject, least=least, tolerance=tolerance).signals
    signal = next((one for one in every if one.name == name), None)
    if signal is None:
        raise DataError(f"Health has no signal '{name}'.")
    if signal.value is None or signal.low is None or signal.high is None:
        raise DataError(signal.sentence)
    return signal, (signal.value, signal.low, signal.high)
