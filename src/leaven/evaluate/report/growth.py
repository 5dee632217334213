"""What more labels would buy: the learning curves of a run, drawn, and what they advise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leaven.core.wording import count, percent, points, span
from leaven.evaluate.report.charts import Interval
from leaven.evaluate.report.story import View, interval, part
from leaven.evaluate.report.svg import (
    Scale,
    circle,
    group,
    line,
    picture,
    responsive,
    text,
)

__all__ = ["growth"]

_OUTCOMES = {
    "go on": "More labels are worth it",
    "perhaps": "More labels bring little",
    "stop": "More labels bring next to nothing",
}


@dataclass(frozen=True)
class _Mark:
    """An accuracy at a size."""

    size: int
    accuracy: Interval


def growth(story: View) -> View | None:
    """What the section on more labels says; None where no curve was measured."""
    told = part(story, "growth")
    if not told.get("sentence"):
        return None
    labels, curve = _marks(told.get("labels")), _marks(told.get("curve"))
    chart, title = None, ""
    known = [interval(told.get(key)) for key in ("now", "then")]
    whole = [one for one in known if one is not None and _ended(one)]
    if labels and curve and len(whole) == 2:
        held = _number(told.get("labelled"), labels[-1].size)
        to = held + _number(told.get("ahead"), 0)
        ahead = _Mark(to, whole[1])
        title = _title(told.get("outcome"), held, whole[0], to, whole[1])
        chart = responsive(lambda w: _labels_chart(labels, curve, held, ahead, title, w))
    shares = _marks(told.get("unlabelled"))
    return {
        "sentence": told["sentence"],
        "outcome": told.get("outcome"),
        "title": title,
        "chart": chart,
        "rows": [_row(mark) for mark in labels] if chart else [],
        "ahead": chart and _row(ahead),
        "unlabelled_sentence": told.get("unlabelled_sentence") or "",
        "unlabelled_title": _unlabelled_title(shares) if shares else "",
        "unlabelled_chart": shares
        and responsive(lambda w: _shares_chart(shares, _unlabelled_title(shares), w)),
        "note": told.get("note") or "",
    }


def _marks(found: Any) -> list[_Mark]:
    """The points that are whole, by size."""
    marks = []
    for point in found if isinstance(found, list | tuple) else []:
        known = interval(point)
        if known is not None and _ended(known) and isinstance(point.get("size"), int):
            marks.append(_Mark(point["size"], known))
    return sorted(marks, key=lambda mark: mark.size)


def _ended(known: Interval) -> bool:
    return all(isinstance(v, int | float) for v in (known.value, known.low, known.high))


def _number(found: Any, otherwise: int) -> int:
    """A whole number of the story, or what stands for it where it is damaged."""
    return found if isinstance(found, int) else otherwise


def _title(outcome: Any, held: int, now: Interval, to: int, then: Interval) -> str:
    finding = _OUTCOMES.get(str(outcome), "What more labels bring")
    return (
        f"{finding}: about {percent(now.value)} with {count(held)}, "
        f"{percent(then.value)} with {count(to)}"
    )


def _unlabelled_title(shares: Sequence[_Mark]) -> str:
    """Accuracy without and with the unlabelled records."""
    first, last = shares[0], shares[-1]
    gap = points(last.accuracy.value - first.accuracy.value)
    return (
        f"With {count(last.size)} unlabelled records {percent(last.accuracy.value)}, with "
        f"{count(first.size) if first.size else 'none'} {percent(first.accuracy.value)} "
        f"({gap} points)"
    )


def _row(mark: _Mark) -> View:
    known = mark.accuracy
    ends = f"{points(known.low, sign=False)} to {points(known.high, sign=False)}"
    return {"size": mark.size, "value": known.value, "span": ends}


def _labels_chart(
    labels: Sequence[_Mark],
    curve: Sequence[_Mark],
    now: int,
    ahead: _Mark,
    label: str,
    width: int,
) -> Markup:
    """Measured points with intervals, the fitted curve in its band, and the forecast at its end."""
    frame = _Frame.around([*labels, *curve, ahead], width)
    x, y = frame.x, frame.y
    lower = [(x(m.size), y(m.accuracy.low or 0)) for m in curve]
    upper = [(x(m.size), y(m.accuracy.high or 0)) for m in curve]
    middle = [(x(m.size), y(m.accuracy.value)) for m in curve]
    split = sum(mark.size <= labels[-1].size for mark in curve)
    place, high = x(ahead.size), y(ahead.accuracy.value)
    shapes = [
        *frame.shapes("labels"),
        line(x(now), 20, x(now), frame.bottom, "axis dashed"),
        text(x(now), 12, f"now {count(now)}", "soft small", "middle"),
        f'<polygon points="{_path(upper + lower[::-1])}" class="ours" fill-opacity="0.14"/>',
        f'<polyline points="{_path(middle[:split])}" class="ours stroke"/>',
        f'<polyline points="{_path(middle[max(split - 1, 0) :])}" class="ours stroke dashed"/>',
        *(_dot(mark, frame, "ours", "labels") for mark in labels),
        group(
            f"Forecast for {count(ahead.size)} labels: {_said(ahead)}",
            line(
                place, y(ahead.accuracy.low or 0), place, y(ahead.accuracy.high or 0),
                "ours whisker",
            ),
            circle(place, high, 7, "ours"),
            circle(place, high, 14, "ghost"),
        ),
        text(place + 12, high - 2, percent(ahead.accuracy.value), "ours strong"),
        text(place + 12, high + 14, "forecast", "ours"),
    ]  # fmt: skip
    return picture(width, frame.height, label, *shapes)


def _shares_chart(shares: Sequence[_Mark], label: str, width: int) -> Markup:
    """The accuracy by the number of unlabelled records that were read."""
    frame = _Frame.around(shares, width, high=150)
    last = shares[-1]
    at = [(frame.x(m.size), frame.y(m.accuracy.value)) for m in shares]
    shapes = [
        *frame.shapes("unlabelled records"),
        f'<polyline points="{_path(at)}" class="pseudo stroke"/>',
        *(_dot(mark, frame, "pseudo", "unlabelled records") for mark in shares),
        text(at[-1][0] + 12, at[-1][1] + 4, percent(last.accuracy.value), "pseudo strong"),
    ]
    return picture(width, frame.height, label, *shapes)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _dot(mark: _Mark, frame: _Frame, kind: str, noun: str) -> str:
    """A measured accuracy with its interval."""
    at, known = frame.x(mark.size), mark.accuracy
    return group(
        f"With {count(mark.size)} {noun}: {_said(mark)}",
        line(at, frame.y(known.low or 0), at, frame.y(known.high or 0), f"{kind} whisker"),
        circle(at, frame.y(known.value), 4.5, kind),
        circle(at, frame.y(known.value), 12, "ghost"),
    )


def _said(mark: _Mark) -> str:
    return f"{percent(mark.accuracy.value)} ({span(mark.accuracy.low, mark.accuracy.high)})"


@dataclass(frozen=True)
class _Frame:
    """Where sizes and accuracies lie; the accuracy's axis need not begin at nought."""

    x: Scale
    y: Scale
    left: float
    right: float
    bottom: float

    @classmethod
    def around(cls, marks: Sequence[_Mark], width: int, high: float = 220) -> _Frame:
        """A frame that holds the marks and leaves room for a figure at their right."""
        left, bottom, narrow, room = 46.0, high + 20, width < 500, 78
        low = min(m.accuracy.low or 0.0 for m in marks)
        top = max(m.accuracy.high or 1.0 for m in marks)
        slack = max(0.04 * (top - low), 0.004)
        x = Scale(0, max(m.size for m in marks), left, width - room, 3 if narrow else 6)
        y = Scale(max(low - slack, 0), min(top + slack, 1), bottom, 20, 4)
        return cls(x, y, left, width - room, bottom)

    @property
    def height(self) -> float:
        """Of the whole chart."""
        return self.bottom + 42

    def shapes(self, noun: str) -> list[str]:
        """The grid, its figures and what the sizes count."""
        x, y = self.x, self.y
        grid = [line(self.left, y(t), self.right, y(t), "grid") for t in y.ticks]
        grid += [text(self.left - 8, y(t) + 4, percent(t, 0), "soft", "end") for t in y.ticks]
        grid += [text(x(t), self.bottom + 18, count(t), "soft", "middle") for t in x.ticks]
        middle = (self.left + self.right) / 2
        return [*grid, text(middle, self.bottom + 36, noun, "soft", "middle")]
