"""Leakage: figures of the live run that are too good, because what judged it, or what it was told,
gave the label away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaven.core.errors import DataError
from leaven.core.wording import many, percent
from leaven.operate.objectives.indicator import (
    COUNT,
    INDICATORS,
    Figure,
    FigureIndicator,
    Subject,
)
from leaven.operate.objectives.looked import LEAST, STATES, health_of

#: Findings that say that what judges was seen by what it judges, or that records name their label.
_LEAKS = ("group-leak", "time-leak", "holdout-duplicates", "revealing-text")
_REVEALING = "revealing-column"
_FIRST, _FEW = 500, 20  # truths: the first show what was never so; of fewer nothing is told
_SIDE = 0.025


def _gap(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """By how much the held-out accuracy lies above that of the first audited answers.

    The first alone: who was as good as promised and became worse later has drifted, not leaked. The
    ends are those that both intervals leave between them, so it is shown where they lie apart.
    """
    from leaven.operate.canary.betting import Bets, mean_bounds

    health = health_of(subject)
    right, held = health.audits.truths.right[:_FIRST], health.promise.accuracy
    if len(right) < _FEW:
        raise DataError(
            f"The truth of {many(len(right), 'answer', 'answers')} that was drawn at random is "
            f"known, {_FEW} are needed: leaven serve --explore 0.02, POST /feedback."
        )
    bets = Bets(right)
    low, high = mean_bounds(bets, _SIDE)
    note = (
        f"{percent(held.value)} of the held-out records were right, and {percent(bets.mean)} of "
        f"the first {many(len(right), 'audited answer', 'audited answers')}."
    )
    return Figure(held.value - bets.mean, held.low - high, held.high - low, len(right), note)


def _leaks(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """What the checks of the live run's data found that makes its evidence too good."""
    found = [
        one for one in _findings(subject) if one["name"] in _LEAKS and one["severity"] != "info"
    ]
    note = " ".join(str(one["message"]) for one in found[:3])
    return Figure(len(found), len(found), len(found), len(found), note)


def _revealing(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """Of the columns that alone tell the label, the one that production has most otherwise: the
    share of its records that lie elsewhere, or have no value there.

    Such a column may tell the label by rights; one that is filled in after the label is known is
    missing, or other, where the label is asked for. The test is that of drift.
    """
    names = [
        str(name)
        for one in _findings(subject)
        if one["name"] == _REVEALING
        for name in one["examples"]
    ]
    if not names:
        return Figure(0.0, 0.0, 0.0, 0, "No column alone tells the label.")
    drift = health_of(subject, least=settings["target"]).drift
    shifts = [] if drift is None else [s for s in drift.shifts if s.column in names and not s.slice]
    if not shifts:
        raise DataError(
            f"'{names[0]}' alone tells the label, and no records of production are counted to see "
            "whether they have it."
        )
    worst = shifts[0]  # they come the gravest first
    verdict = {"shifted": "alarm", "same": "good"}.get(worst.verdict, "cannot be told")
    note = f"'{worst.column}' alone tells the label: {worst.said}."
    return Figure(worst.effect, worst.low, worst.high, worst.n, note, verdict=STATES[verdict])


def _findings(subject: Subject) -> list[dict[str, Any]]:
    """What was found in the data of the live run when it was made."""
    from leaven.evaluate.folder import read_json

    if "findings" not in subject.seen:
        file = Path(subject.folder) / "run.json"
        try:
            subject.seen["findings"] = list(read_json(file)["dataset"]["findings"])
        except (OSError, KeyError, TypeError, ValueError) as gone:
            raise DataError(f"The live run cannot be read at '{file.parent}'.") from gone
    found: list[dict[str, Any]] = subject.seen["findings"]
    return found


INDICATORS.add(
    "held-out-gap",
    FigureIndicator(
        "held-out-gap",
        "Accuracy on held-out records beyond that in production",
        "leaven health {service}",
        0.0,
        measure=_gap,
        most=True,
    ),
)

INDICATORS.add(
    "leaks",
    FigureIndicator(
        "leaks",
        "Leaks in the data of the live run",
        "leaven report {folder}",
        0,
        measure=_leaks,
        most=True,
        unit=COUNT,
    ),
)

INDICATORS.add(
    "revealing",
    FigureIndicator(
        "revealing",
        "A column that tells the label is other in production, in",
        "leaven health {service}",
        LEAST,
        measure=_revealing,
        most=True,
    ),
)
