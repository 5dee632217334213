"""The results as one picture: a panel a set and number of labels, a line a method, dots for means.

Drawn as SVG by hand, so that it needs no plotting library, follows light and dark, and can be
compared from commit to commit. Leaven has the accent, its supervised baseline is grey and joined to
it by the gain; the peers are thin. Bars are ± one standard deviation over seeds.
"""

from __future__ import annotations

import math
from html import escape

from benchmarks.summary import Column, Figure, Place, Summary

__all__ = ["draw"]

_NAMES, _PANEL, _GAP, _EDGE = 190, 260, 34, 16  # widths
_LINE, _HEAD, _FOOT, _TOP = 19, 30, 30, 84  # heights

_STYLE = """
svg { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums;
  --paper: #fdfbf8; --ink: #221c16; --soft: #6a6057; --rule: #e6ddd2;
  --ours: #ad5413; --theirs: #77736e; }
@media (prefers-color-scheme: dark) { svg { --paper: #181410; --ink: #efe7dc; --soft: #ada194;
  --rule: #3a322a; --ours: #e8924f; --theirs: #a39e98; } }
.paper { fill: var(--paper) } text { fill: var(--ink) } .soft { fill: var(--soft) }
.title { font-size: 15px; font-weight: 600 } .head { font-weight: 600 }
.name-ours { fill: var(--ours); font-weight: 600 }
.rule { stroke: var(--rule) } .peer { fill: var(--soft) } .peer-bar { stroke: var(--soft) }
.ours { fill: var(--ours) } .ours-bar { stroke: var(--ours); stroke-width: 2 }
.baseline { fill: var(--paper); stroke: var(--theirs); stroke-width: 2 }
.baseline-bar { stroke: var(--theirs); stroke-width: 2 }
.gain { stroke: var(--rule); stroke-width: 5; stroke-linecap: round }
"""


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
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *(
            _text(_EDGE, 26 + 17 * i, line, "title")
            for i, line in enumerate(_wrapped(found.headline(), width - 2 * _EDGE))
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
    title = escape(found.headline())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{title}">'
        f"<style>{_STYLE}</style>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def _legend(x: float, y: float) -> str:
    """What the dots are."""
    parts = [("ours", 5.0, "the model that ships", 150), ("baseline", 4.0, "its baseline", 105)]
    shapes = []
    for kind, radius, said, width in [*parts, ("peer", 3.5, "scikit-learn; bars ± 1 sd", 0)]:
        shapes += [_dot(x + 5, y - 4, radius, kind, said), _text(x + 15, y, said, "soft")]
        x += width
    return "".join(shapes)


def _names(found: Summary, name: str, top: float) -> str:
    """The set and the methods, at the left of its panels."""
    lines = [_text(_EDGE, top + 16, name, "head")]
    for i, column in enumerate(found.columns):
        kind = "name-ours" if column.ours else ""
        lines.append(_text(_EDGE, _height(top, i) + 4, found.title(column), kind))
    return "".join(lines)


def _panel(found: Summary, place: Place, left: float, top: float) -> str:
    """One set with one number of labels."""
    shown = [
        (i, column, figure)
        for i, column in enumerate(found.columns)
        if (figure := found.figure(column, place)) is not None
    ]
    bottom = _height(top, len(found.columns)) - 6
    head = _text(left, top + 16, f"{place.labels} labels a class, % right", "soft")
    if not shown:
        return head + _text(left, _height(top, 0) + 4, "no fit went well", "soft")
    baselines = {i: found.figure(column, place, "baseline") for i, column, _ in shown}
    every = [figure for _, _, figure in shown] + [f for f in baselines.values() if f is not None]
    axis = _Axis(every, left, left + _PANEL)
    shapes = [head]
    for tick in axis.ticks:
        x = axis(tick)
        shapes.append(_line(x, top + _HEAD - 4, x, bottom, "rule"))
        shapes.append(_text(x, bottom + 15, str(tick), "soft", "middle"))
    for i, column, figure in shown:
        shapes.append(_method(axis, _height(top, i), column, figure, baselines[i]))
    return "".join(shapes)


def _method(axis: _Axis, y: float, column: Column, figure: Figure, baseline: Figure | None) -> str:
    """One method's line: its mean with its spread, and what its baseline has."""
    kind, radius = ("ours", 5.0) if column.ours else ("peer", 3.5)
    shapes = []
    if baseline is not None:
        shapes.append(_line(axis(baseline.mean), y, axis(figure.mean), y, "gain"))
        shapes.append(_spread(axis, y, baseline, "baseline-bar"))
        shapes.append(_dot(axis(baseline.mean), y, 4.0, "baseline", f"baseline {baseline}"))
    shapes.append(_spread(axis, y, figure, f"{kind}-bar"))
    shapes.append(_dot(axis(figure.mean), y, radius, kind, f"{figure} (n {figure.n})"))
    return "".join(shapes)


def _height(top: float, line: int) -> float:
    """The middle of a method's line."""
    return top + _HEAD + _LINE * (line + 0.5)


def _spread(axis: _Axis, y: float, figure: Figure, kind: str) -> str:
    if figure.spread is None:
        return ""
    low, high = figure.mean - figure.spread, figure.mean + figure.spread
    return _line(axis(low), y, axis(high), y, kind)


def _wrapped(text: str, width: float) -> list[str]:
    """At most two lines of the title's size."""
    most = int(width / 8.9)
    if len(text) <= most:
        return [text]
    cut = text.rfind(" ", 0, most)
    return [text[:cut], text[cut + 1 :]]


def _text(x: float, y: float, content: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, radius: float, kind: str, told: str) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}">'
        f"<title>{escape(told)}</title></circle>"
    )
