"""Overconfidence: answers that are surer than right, and a model that has become sure of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaven.core.errors import DataError
from leaven.operate.objectives.indicator import INDICATORS, Figure, FigureIndicator, Subject
from leaven.operate.objectives.looked import STATES, TOLERANCE, signal_of

_FALLEN = 0.05  # of the highest entropy: less does not matter


def _overconfidence(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """By how much less often audited answers are right than their confidences let expect.

    The verdict is that of the sequential test, which bets on each answer by its own confidence.
    """
    signal, (value, low, high) = signal_of(
        subject, "calibration, audited", tolerance=settings["target"]
    )
    verdict = STATES[signal.verdict]
    return Figure(-value, -high, -low, signal.n, signal.sentence, verdict=verdict)


def _entropy(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """By how much less is left open than on the run's own unlabelled records, as a share of the
    highest entropy; the bounds hold at any time."""
    signal, (value, low, high) = signal_of(subject, "entropy")
    if signal.reference is None:
        raise DataError(signal.sentence)
    before = signal.reference
    return Figure(before - value, before - high, before - low, signal.n, signal.sentence)


INDICATORS.add(
    "overconfidence",
    FigureIndicator(
        "overconfidence",
        "Answers that are wrong beyond what their confidences let expect",
        "leaven health {service}",
        TOLERANCE,
        measure=_overconfidence,
        most=True,
    ),
)

INDICATORS.add(
    "entropy",
    FigureIndicator(
        "entropy",
        "What answers leave open has fallen by",
        "leaven health {service}",
        _FALLEN,
        measure=_entropy,
        most=True,
    ),
)
