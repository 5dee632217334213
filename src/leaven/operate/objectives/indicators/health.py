"""What the health of a service tells: whether records shifted, and how right answers are by truth.

Health holds its error over all looks together, so its verdict counts, and not an interval's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaven.operate.objectives.indicator import INDICATORS, Figure, FigureIndicator, Subject
from leaven.operate.objectives.looked import LEAST, STATES, signal_of


def _drift(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """The share of records that lie elsewhere than the reference's, in the column most shifted."""
    signal, ends = signal_of(subject, "records", least=settings["target"])
    return Figure(*ends, signal.n, signal.sentence, verdict=STATES[signal.verdict])


def _audited(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """The share of answers drawn at random that were right, by the truth that came back."""
    signal, ends = signal_of(subject, "accuracy, audited")
    verdict = STATES[signal.verdict] if settings["target"] is None else ""
    return Figure(*ends, signal.n, "", signal.reference, verdict)


INDICATORS.add(
    "drift",
    FigureIndicator(
        "drift",
        "Records that lie elsewhere than those the run was made for",
        "leaven health {service}",
        LEAST,
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
