"""The page of a comparison: the answer, what shifted with pictures, and every column's figures."""

from __future__ import annotations

from typing import Any

from leaven.core.wording import count, decimal, percent, span
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.drift.charts import before_and_now
from leaven.operate.drift.comparing import Shift
from leaven.operate.drift.drift import Drift
from leaven.operate.drift.testing import SAME, SHIFTED, UNSURE

__all__ = ["rendered"]

_DRAWN, _LISTED = 12, 500
_BADGES = {
    SHIFTED: {"icon": "▲", "word": "Shifted", "tone": "alarm"},
    UNSURE: {"icon": "≈", "word": "Too few to say", "tone": "calm"},
    SAME: {"icon": "✓", "word": "As before", "tone": "good"},
}
_WORDS = {SHIFTED: "shifted", UNSURE: "cannot be told", SAME: "as before"}


def rendered(found: Drift, *, reference: str, came: str, created: str, leaven: str) -> str:
    """One self-contained HTML page; `reference` and `came` are what to call both sides."""
    story = {
        "reference": reference, "came": came, "created": created, "leaven": leaven,
        "sentence": found.sentence, "advice": found.advice,
        "before": count(found.reference.own.n), "now": count(found.came.n),
    }  # fmt: skip
    return page(
        "drift.html.j2",
        story,
        badge=_BADGES[found.outcome],
        drawn=[_drawn(found, shift) for shift in _worth_drawing(found)],
        rows=[_row(shift) for shift in found.shifts[:_LISTED]],
        left_out=count(len(found.shifts) - _LISTED) if len(found.shifts) > _LISTED else "",
        features=_features(found),
    )


def _worth_drawing(found: Drift) -> list[Shift]:
    """What shifted; where nothing did, what is farthest from the reference."""
    whole = [shift for shift in found.shifts if not shift.slice]
    return [shift for shift in whole if shift.verdict == SHIFTED][:_DRAWN] or whole[:3]


def _drawn(found: Drift, shift: Shift) -> dict[str, Any]:
    moved = f"{percent(shift.effect)} of the records lie elsewhere ({span(shift.low, shift.high)})"
    return {
        "title": f"{shift.column}: {_WORDS[shift.verdict]}",
        "note": f"{moved}: {shift.said}." if shift.said else f"{moved}.",
        "chart": responsive(
            lambda width: before_and_now(found.reference, found.came, shift.column, width)
        ),
    }


def _row(shift: Shift) -> dict[str, Any]:
    measures = shift.measures
    test = measures.get("ks_p", measures.get("chi2_p"))
    return {
        "column": shift.column,
        "slice": shift.slice,
        "verdict": _WORDS[shift.verdict],
        "tone": {SHIFTED: "alarm", SAME: "good"}.get(shift.verdict, "calm"),
        "effect": percent(shift.effect),
        "span": span(shift.low, shift.high),
        "said": shift.said,
        "psi": decimal(measures.get("psi"), 3),
        "js": decimal(measures.get("js"), 3),
        "kl": decimal(measures.get("kl"), 3),
        "wasserstein": "" if "wasserstein" not in measures else f"{measures['wasserstein']:.3g}",
        "test": "" if test is None else f"{test:.2g}",
        "n": count(shift.n),
    }


def _features(found: Drift) -> dict[str, Any] | None:
    told = found.features
    if told is None:
        return None
    area = told.classifier
    return {
        "verdict": _WORDS[told.verdict],
        "area": f"{area.value:.3f}",
        "span": f"{area.low or 0:.3f} to {area.high or 1:.3f}",
        "n": count(area.n),
        "kernel_p": f"{told.kernel.p:.2g}",
    }
