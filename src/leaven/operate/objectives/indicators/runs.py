"""What the evaluation of the live run tells: its accuracy and calibration on held-out records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leaven.core.errors import DataError
from leaven.operate.objectives.indicator import (
    INDICATORS,
    NUMBER,
    Figure,
    FigureIndicator,
    Subject,
)


def _metric(name: str, subject: Subject, of: Mapping[str, Any]) -> Figure:
    try:
        told = of["metrics"][name]
        value, low, high = (float(told[key]) for key in ("value", "low", "high"))
        n = int(told["n"])
    except (KeyError, TypeError, ValueError) as missing:
        raise DataError(f"The run '{subject.run}' was registered without '{name}'.") from missing
    return Figure(value, low, high, n, f"By the evaluation of '{subject.run}'.")


def _accuracy(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """Where no target is named, no run should be shown to stay below its supervised baseline."""
    figure = _metric("accuracy", subject, subject.told)
    try:
        base = _metric("accuracy", subject, subject.told.get("baseline", {}))
    except DataError:
        return figure
    return replace(figure, target=base.value)


INDICATORS.add(
    "accuracy",
    FigureIndicator(
        "accuracy",
        "Accuracy on held-out records",
        "leaven rollback {service}",
        None,
        measure=_accuracy,
    ),
)

INDICATORS.add(
    "calibration",
    FigureIndicator(
        "calibration",
        "Calibration error on held-out records",
        "leaven releases {service}",
        0.05,
        measure=lambda subject, _: _metric("ece", subject, subject.told),
        most=True,
        unit=NUMBER,
    ),
)
