"""What the health of a service tells: whether records shifted, and how right answers are by truth.

Health holds its error over all looks together, so its verdict counts, and not an interval's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaven.core.errors import DataError
from leaven.operate.objectives.indicator import INDICATORS, Figure, FigureIndicator, Subject

_LEAST = 0.03  # the share of records that must lie elsewhere to matter
_STATES = {"good": "met", "alarm": "broken", "cannot be told": "unsure"}


def _signal(subject: Subject, name: str, least: float) -> Any:
    """A signal of the service's health, which is looked at once for all indicators."""
    from leaven.operate.health.examining import examine

    if ("health", least) not in subject.seen:
        subject.seen["health", least] = examine(
            subject.store, subject.service, least=least, clock=lambda: subject.now
        )
    signal = next((s for s in subject.seen["health", least].signals if s.name == name), None)
    if signal is None or signal.value is None or signal.low is None or signal.high is None:
        raise DataError(signal.sentence if signal else f"Health has no signal '{name}'.")
    return signal


def _drift(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """The share of records that lie elsewhere than the reference's, in the column most shifted."""
    signal = _signal(subject, "records", settings["target"])
    verdict = _STATES[signal.verdict]
    return Figure(signal.value, signal.low, signal.high, signal.n, signal.sentence, verdict=verdict)


def _audited(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """The share of answers drawn at random that were right, by the truth that came back."""
    signal = _signal(subject, "accuracy, audited", _LEAST)
    verdict = _STATES[signal.verdict] if settings["target"] is None else ""
    return Figure(signal.value, signal.low, signal.high, signal.n, "", signal.reference, verdict)


INDICATORS.add(
    "drift",
    FigureIndicator(
        "drift",
        "Records that lie elsewhere than those the run was made for",
        "leaven health {service}",
        _LEAST,
        measure=_drift,
        most=True,
    ),
)

INDICATORS.add(
    "audited-accuracy",
    FigureIndicator(
        "audited-accuracy",
        "Answers that were right, by truth",
        "leaven health {service}",
        None,
        measure=_audited,
        severity="page",
    ),
)
