"""The whole answer: has what comes in left what the model was made for, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaven.core.wording import many, percent, records
from leaven.operate.drift.comparing import Shift
from leaven.operate.drift.reference import Reference, Sketch
from leaven.operate.drift.testing import SAME, SHIFTED, UNSURE

if TYPE_CHECKING:
    from leaven.operate.drift.features import FeatureShift  # which loads torch

__all__ = ["Drift", "judged"]


@dataclass(frozen=True, eq=False)
class Drift:
    """What was found; `reference` and `came` are the sketches that plots are drawn from.

    `outcome` is shifted where any column, slice or the features are, unsure where none is and the
    records could not have shown a difference three times the least that matters, else same.
    """

    outcome: str
    sentence: str
    advice: tuple[str, ...]
    shifts: tuple[Shift, ...]
    features: FeatureShift | None
    reference: Reference
    came: Sketch


def judged(
    shifts: Sequence[Shift],
    features: FeatureShift | None,
    reference: Reference,
    came: Sketch,
    least: float,
) -> Drift:
    """The answer that these findings come to."""
    outcome = _outcome(shifts, features, least)
    return Drift(
        outcome, _sentence(outcome, shifts, features, came.n), _advice(outcome, shifts),
        tuple(shifts), features, reference, came,
    )  # fmt: skip


def _outcome(shifts: Sequence[Shift], features: FeatureShift | None, least: float) -> str:
    verdicts = [shift.verdict for shift in shifts]
    verdicts += [] if features is None else [features.verdict]
    if SHIFTED in verdicts:
        return SHIFTED
    blind = any(s.verdict == UNSURE and not s.slice and s.detectable > 3 * least for s in shifts)
    return UNSURE if blind else SAME


def _sentence(outcome: str, shifts: Sequence[Shift], features: FeatureShift | None, n: int) -> str:
    whole = [s for s in shifts if s.verdict == SHIFTED and not s.slice]
    parts = [s for s in shifts if s.verdict == SHIFTED and s.slice]
    if outcome == SHIFTED:
        said = []
        if whole:
            worst = whole[0]
            said.append(
                f"{many(len(whole), 'column', 'columns')} of {len(_columns(shifts))} shifted, "
                f"'{worst.column}' most: {percent(worst.effect)} of the records "
                f"({percent(worst.low)} to {percent(worst.high)}) lie elsewhere"
            )
        if parts:
            worst = parts[0]
            said.append(
                f"within slices {len(parts)} more, '{worst.column}' in '{worst.slice}' most "
                f"({percent(worst.effect)})"
            )
        if features is not None and features.verdict == SHIFTED:
            area = features.classifier
            said.append(
                "a classifier tells the new records from the reference "
                f"(area under its curve {area.value:.2f}, 0.5 is chance)"
            )
        text = "; ".join(said)
        return text[0].upper() + text[1:] + "."
    if outcome == UNSURE:
        seen = min(s.detectable for s in shifts if not s.slice)
        return (
            f"No shift is shown, but {records(n)} could only have shown one of "
            f"{percent(seen)} of the records or more."
        )
    alike = many(len(_columns(shifts)), "column is", "columns are")
    return f"No shift: {alike} as in the reference."


def _columns(shifts: Sequence[Shift]) -> set[str]:
    return {s.column for s in shifts}


def _advice(outcome: str, shifts: Sequence[Shift]) -> tuple[str, ...]:
    """What a person can do now."""
    if outcome == UNSURE:
        return ("Look again when more records have come in.",)
    if outcome == SAME:
        return ()
    found = [s for s in shifts if s.verdict == SHIFTED]
    advice = []
    gaps = [s for s in found if "missing" in s.said and not s.slice]
    if gaps:
        advice.append(
            f"More or fewer values of '{gaps[0].column}' are missing than before: see whether what "
            "delivers it has broken, before anything is retrained."
        )
    fresh = [s for s in found if "not seen before" in s.said and not s.slice]
    if fresh:
        advice.append(
            f"'{fresh[0].column}' has categories that the model has never seen: it guesses there."
        )
    advice.append(
        "A shift says nothing yet of the model's accuracy: label a few of the new records "
        "(leaven query RUN NEW), then fit again with them."
    )
    return tuple(advice)
