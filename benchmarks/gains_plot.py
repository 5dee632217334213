"""The gains of all methods as one narrow picture: a line a method, grouped by family.

The large dot is the gain in the mean of all places, its bar the 95 % interval over seeds. Small
dots are the places: hollow with the fewest labels, filled with more. Narrow enough for a phone.
"""

from __future__ import annotations

import math

from benchmarks.gains import Gain, Gains, Measured
from benchmarks.svg import dot, line, picture, text, wrapped

__all__ = ["draw"]

_WIDTH, _EDGE, _NAMES = 420, 12, 148
_LINE, _FAMILY, _FOOT = 20, 26, 44
_TITLE = "Gain over the supervised baseline, in points of accuracy"


class _Axis:
    """A straight map from points to places in the picture; zero is always on it.

    It reaches from the least to the greatest mean, and past an interval's end only where there
    is room: what lies outside ends at the edge.
    """

    def __init__(self, points: list[float], start: float, end: float) -> None:
        low, high = min(0.0, *points), max(0.0, *points)
        step = next(step for step in (1, 2, 5, 10, 20, 50) if (high - low) / step <= 6)
        self.low, self.high = math.floor(low / step) * step, math.ceil(high / step) * step
        self.high = max(self.high, self.low + step)
        self.ticks = range(self.low, self.high + 1, step)
        self._start, self._unit = start, (end - start) / (self.high - self.low)

    def __call__(self, points: float) -> float:
        return self._start + (min(max(points, self.low), self.high) - self.low) * self._unit


def draw(found: Gains) -> str:
    """The whole picture as SVG."""
    lines = [
        (name, overall, [m for m in found.of(name) if m.gain is not None])
        for name in found.methods
        if (overall := found.overall(name)) is not None
    ]
    title = wrapped(_TITLE, _WIDTH - 2 * _EDGE)
    top = 26 + 18 * len(title) + 18
    shapes = [text(_EDGE, 24 + 18 * i, said, "title") for i, said in enumerate(title)]
    fewest = min(place.labels for place in found.places)
    shapes.append(_legend(_EDGE, 26 + 18 * len(title), fewest))
    if not lines:
        return picture(_WIDTH, top + _FOOT, _TITLE, shapes)
    every = [m.gain.mean for _, _, places in lines for m in places if m.gain]
    axis = _Axis(every + [gain.mean for _, gain, _ in lines], _EDGE + _NAMES, _WIDTH - 2 * _EDGE)
    families = dict.fromkeys(found.known[name].family for name, _, _ in lines)
    bottom = top + len(families) * _FAMILY + len(lines) * _LINE
    shapes += _grid(axis, top, bottom)
    y = float(top)
    for family in families:
        shapes.append(text(_EDGE, y + 18, family, "head"))
        y += _FAMILY
        for name, overall, places in lines:
            if found.known[name].family == family:
                shapes.append(_method(axis, y + _LINE / 2, name, overall, places, fewest))
                y += _LINE
    return picture(_WIDTH, bottom + _FOOT, _TITLE, shapes)


def _legend(x: float, y: float, fewest: int) -> str:
    """What the dots are."""
    shapes = []
    kinds = [
        ("ours", 5.0, "mean, bar 95 %", 118),
        ("baseline", 2.6, f"a set, {fewest} labels a class", 160),
        ("peer", 2.6, "a set, more", 0),
    ]
    for kind, radius, said, width in kinds:
        shapes += [dot(x + 5, y - 4, radius, kind, said), text(x + 14, y, said, "soft")]
        x += width
    return "".join(shapes)


def _grid(axis: _Axis, top: float, bottom: float) -> list[str]:
    """Lines and numbers; that of zero, where nothing is gained, is stronger."""
    shapes = []
    for tick in axis.ticks:
        x = axis(tick)
        shapes.append(line(x, top, x, bottom + 4, "peer-bar" if tick == 0 else "rule"))
        said = "0" if tick == 0 else f"{tick:+d}".replace("-", "−")
        shapes.append(text(x, bottom + 20, said, "soft", "middle"))
    return shapes


def _method(
    axis: _Axis, y: float, name: str, overall: Gain, places: list[Measured], fewest: int
) -> str:
    """One method's line."""
    shapes = [text(_EDGE + 8, y + 4, name, "")]
    for measured in places:
        if measured.gain is not None:
            kind = "baseline" if measured.place.labels == fewest else "peer"
            told = f"{measured.place}: {measured.gain}"
            shapes.append(dot(axis(measured.gain.mean), y, 2.6, kind, told))
    if overall.low is not None and overall.high is not None:
        shapes.append(line(axis(overall.low), y, axis(overall.high), y, "ours-bar"))
    shapes.append(dot(axis(overall.mean), y, 5.0, "ours", f"{name}: {overall}"))
    return "".join(shapes)
