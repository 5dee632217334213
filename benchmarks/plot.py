"""The results as one picture: a panel a set and number of labels, a line a method, dots for means.

Drawn as SVG by hand, so that it needs no plotting library, follows light and dark, and can be
compared from commit to commit. Leaven has the accent, its supervised baseline is grey and joined to
it by the gain; the peers are thin. Bars are ± one standard deviation over seeds.
"""

from __future__ import annotations

import math

from benchmarks.summary import Column, Figure, Place, Summary
from benchmarks.svg import dot, line, picture, text, wrapped

__all__ = ["draw"]

_NAMES, _PANEL, _GAP, _EDGE = 190, 260, 34, 16  # widths
_LINE, _HEAD, _FOOT, _TOP = 19, 30, 30, 84  # heights


class _Axis:
    """A straight map from accuracy in points to a place between `start` and `end`.

    Round ends a little outside of the figures; ticks on multiples of 5, 10 or 20.
    """

    def __init__(self, figures: list[Figure], start: float, end: float) -> None:
        low = min(figure.mean - (figure.spread or 0) for figure in figures)
        high = max(figure.mean + (figure.spread or 0) for figure in figures)
        step = next(step for step in (5, 10, 20, 50) if (high - low) / step <= 5)
        self.low = min(max(math.floor(low / step) * step, 0), 100 - step)
        self.high = min(max(math.ceil(high / step) * step, self.low + step), 100)
        self.ticks = range(self.low, self.high + 1, step)
        self._start, self._unit = start, (end - start) / (self.high - self.low)

    def __call__(self, points: float) -> float:
        return self._start + (min(max(points, self.low), self.high) - self.low) * self._unit


def draw(found: Summary) -> str:
    """The whole picture as SVG."""
    width = 2 * _EDGE + _NAMES + len(found.labels) * (_PANEL + _GAP)
    band = _HEAD + _LINE * len(found.columns) + _FOOT
    height = _TOP + band * len(found.sets) + _EDGE
    width = max(width, 620)
    shapes = [
        *(
            text(_EDGE, 26 + 17 * i, said, "title")
            for i, said in enumerate(wrapped(found.headline(), width - 2 * _EDGE))
        ),
        _legend(_EDGE, _TOP - 18),
    ]
    for i, name in enumerate(found.sets):
        top = _TOP + i * band
        shapes.append(_names(found, name, top))
        for j, labels in enumerate(found.labels):
            place = Place(name, labels)
            if place in found.places:
                shapes.append(_panel(found, place, _EDGE + _NAMES + j * (_PANEL + _GAP), top))
    return picture(width, height, found.headline(), shapes)


def _legend(x: float, y: float) -> str:
    """What the dots are."""
    parts = [("ours", 5.0, "the model that ships", 150), ("baseline", 4.0, "its baseline", 105)]
    shapes = []
    for kind, radius, said, width in [*parts, ("peer", 3.5, "scikit-learn; bars ± 1 sd", 0)]:
        shapes += [dot(x + 5, y - 4, radius, kind, said), text(x + 15, y, said, "soft")]
        x += width
    return "".join(shapes)


def _names(found: Summary, name: str, top: float) -> str:
    """The set and the methods, at the left of its panels."""
    lines = [text(_EDGE, top + 16, name, "head")]
    for i, column in enumerate(found.columns):
        kind = "name-ours" if column.ours else ""
        lines.append(text(_EDGE, _height(top, i) + 4, found.title(column), kind))
    return "".join(lines)


def _panel(found: Summary, place: Place, left: float, top: float) -> str:
    """One set with one number of labels."""
    shown = [
        (i, column, figure)
        for i, column in enumerate(found.columns)
        if (figure := found.figure(column, place)) is not None
    ]
    bottom = _height(top, len(found.columns)) - 6
    head = text(left, top + 16, f"{place.labels} labels a class, % right", "soft")
    if not shown:
        return head + text(left, _height(top, 0) + 4, "no fit went well", "soft")
    baselines = {i: found.figure(column, place, "baseline") for i, column, _ in shown}
    every = [figure for _, _, figure in shown] + [f for f in baselines.values() if f is not None]
    axis = _Axis(every, left, left + _PANEL)
    shapes = [head]
    for tick in axis.ticks:
        x = axis(tick)
        shapes.append(line(x, top + _HEAD - 4, x, bottom, "rule"))
        shapes.append(text(x, bottom + 15, str(tick), "soft", "middle"))
    for i, column, figure in shown:
        shapes.append(_method(axis, _height(top, i), column, figure, baselines[i]))
    return "".join(shapes)


def _method(axis: _Axis, y: float, column: Column, figure: Figure, baseline: Figure | None) -> str:
    """One method's line: its mean with its spread, and what its baseline has."""
    kind, radius = ("ours", 5.0) if column.ours else ("peer", 3.5)
    shapes = []
    if baseline is not None:
        shapes.append(line(axis(baseline.mean), y, axis(figure.mean), y, "gain"))
        shapes.append(_spread(axis, y, baseline, "baseline-bar"))
        shapes.append(dot(axis(baseline.mean), y, 4.0, "baseline", f"baseline {baseline}"))
    shapes.append(_spread(axis, y, figure, f"{kind}-bar"))
    shapes.append(dot(axis(figure.mean), y, radius, kind, f"{figure} (n {figure.n})"))
    return "".join(shapes)


def _height(top: float, line: int) -> float:
    """The middle of a method's line."""
    return top + _HEAD + _LINE * (line + 0.5)


def _spread(axis: _Axis, y: float, figure: Figure, kind: str) -> str:
    if figure.spread is None:
        return ""
    low, high = figure.mean - figure.spread, figure.mean + figure.spread
    return line(axis(low), y, axis(high), y, kind)
