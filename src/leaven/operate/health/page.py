"""The page of a service's health: the answer, every signal, plots over time, what shifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from leaven.core.wording import count, percent, points
from leaven.evaluate.report.svg import responsive
from leaven.evaluate.report.template import page
from leaven.operate.drift.charts import before_and_now
from leaven.operate.drift.comparing import Shift
from leaven.operate.drift.drift import Drift
from leaven.operate.drift.testing import SHIFTED
from leaven.operate.health import charts
from leaven.operate.health.examining import Health
from leaven.operate.health.history import Period, Point, audited
from leaven.operate.health.signal import ALARM, GOOD, UNTOLD, Signal

__all__ = ["rendered"]

_DRAWN = 6
_BADGES = {
    ALARM: {"icon": "▲", "word": "Alarm", "tone": "alarm"},
    GOOD: {"icon": "✓", "word": "Good", "tone": "good"},
    UNTOLD: {"icon": "≈", "word": "Cannot be told", "tone": "calm"},
}


def rendered(health: Health, periods: Sequence[Period], leaven: str) -> str:
    """One self-contained HTML page."""
    story = {
        "service": health.service, "run": health.live.run, "sentence": health.sentence,
        "since": _day(health.since), "created": _day(health.at), "leaven": leaven,
        "heard": "" if health.heard is None else _day(health.heard),
    }  # fmt: skip
    return page(
        "health.html.j2",
        story,
        badge=_BADGES[health.verdict],
        todo=_once(s.advice for s in health.signals if s.verdict == ALARM and s.advice),
        rows=[_row(signal) for signal in health.signals],
        figures=[*_figures(health, periods)],
        shifts=_shifts(health),
    )


def _row(signal: Signal) -> dict[str, str]:
    differs = signal.name.startswith("calibration")
    word: Callable[[float | None], str] = points if differs else percent
    span = "" if signal.low is None else f"{word(signal.low)} to {word(signal.high)}"
    return {
        "name": signal.name, "verdict": signal.verdict, "tone": _BADGES[signal.verdict]["tone"],
        "value": "" if signal.value is None else word(signal.value), "span": span,
        "reference": "" if signal.reference is None else word(signal.reference),
        "n": count(signal.n) if signal.n else "", "sentence": signal.sentence,
        "advice": signal.advice,
    }  # fmt: skip


def _figures(health: Health, periods: Sequence[Period]) -> list[dict[str, Any]]:
    """What can be drawn: accuracy, evidence, confidence."""
    found = []
    estimated = [period.accuracy for period in periods if period.accuracy is not None]
    told = audited(health)
    bands: list[tuple[str, str, Sequence[Point]]] = [
        band for band in (("estimated", "people", estimated), ("audited", "ours", told)) if band[2]
    ]
    if bands:
        found.append(
            _figure(
                "How accurate it is",
                "Estimated by what it says of itself, in each period; by truth, all truths so far "
                "together, with bounds that hold at any time.",
                [(kind, name) for name, kind, _ in bands],
                lambda w: charts.shares(
                    bands, health.promise.accuracy.value, "accuracy over time", w
                ),
            )
        )
    seen = health.audits
    if told:
        named = [("accuracy", "ours", seen.accuracy)]
        if seen.calibration is not None:
            named.append(("calibration", "people", seen.calibration))
        found.append(
            _figure(
                "What the truths say against the promise",
                "Odds against it after each truth, of which the dashed line is shown to be enough. "
                "A promise that is kept reaches it with the stated probability at most, ever.",
                [(kind, name) for name, kind, _ in named],
                lambda w: charts.evidence(named, "evidence by truth", w),
            )
        )
    if periods:
        said = [
            (name, kind, [_point(period, value) for period, value in values])
            for name, kind, values in (
                ("confidence", "ours", [(p, p.confidence) for p in periods]),
                ("entropy", "people", [(p, p.entropy) for p in periods]),
            )
        ]
        found.append(
            _figure(
                "How sure it is",
                "The mean confidence, and the mean entropy as a share of the highest, in each "
                "period.",
                [(kind, name) for name, kind, _ in said],
                lambda w: charts.shares(said, None, "confidence and entropy over time", w),
            )
        )
    return found


def _point(period: Period, value: float) -> Point:
    return Point(period.at, value, value, value, period.n)


def _figure(
    title: str, note: str, key: list[tuple[str, str]], draw: Callable[[int], Markup]
) -> dict[str, Any]:
    return {"title": title, "note": note, "key": key, "chart": responsive(draw)}


def _shifts(health: Health) -> list[dict[str, Any]]:
    """The columns that shifted, drawn before and now."""
    drift = health.drift
    if drift is None:
        return []
    shown = [shift for shift in drift.shifts if shift.verdict == SHIFTED][:_DRAWN]
    return [_shift(drift, shift) for shift in shown]


def _shift(drift: Drift, shift: Shift) -> dict[str, Any]:
    return {
        "title": shift.column,
        "note": f"{percent(shift.effect)} of the records lie elsewhere: {shift.said}.",
        "chart": responsive(
            lambda width: before_and_now(drift.reference, drift.came, shift.column, width)
        ),
    }


def _once(sentences: Any) -> list[str]:
    return list(dict.fromkeys(sentences))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
