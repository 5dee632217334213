"""The few shapes that the charts are made of. Colours are CSS classes, so both themes work."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable

from markupsafe import Markup, escape

__all__ = [
    "Scale",
    "circle",
    "fit",
    "group",
    "line",
    "picture",
    "rect",
    "responsive",
    "text",
    "turned",
]

#: Mean width of a character at the charts' 13 px, in the units of the view box.
_CHARACTER = 7.2


class Scale:
    """A straight map from values in [low, high] to places in [start, end], with round ticks.

    >>> scale = Scale(0, 0.83, 0, 100)
    >>> scale.ticks
    [0.0, 0.2, 0.4, 0.6, 0.8]
    >>> Scale(3, 3, 0, 100)(3)
    0.0
    """

    def __init__(self, low: float, high: float, start: float, end: float, wanted: int = 5) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end
        self._unit = (end - start) / (high - low) if high > low else 0.0
        self.ticks = self._ticks(wanted)

    def __call__(self, value: float) -> float:
        return self.start + (min(max(value, self.low), self.high) - self.low) * self._unit

    def _ticks(self, wanted: int) -> list[float]:
        reach = self.high - self.low
        if not reach > 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(reach / wanted))
        step = next(s * power for s in (1, 2, 5, 10) if reach / (s * power) <= wanted)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 10) for i in range(first, last + 1)]


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text whose baseline is at y."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def turned(x: float, y: float, degrees: int, shape: str) -> str:
    """A shape drawn at the origin, moved to (x, y) and turned."""
    return f'<g transform="translate({x:.1f} {y:.1f}) rotate({degrees})">{shape}</g>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def circle(x: float, y: float, radius: float, kind: str) -> str:
    """A dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def rect(x: float, y: float, width: float, height: float, kind: str, opacity: float = 1) -> str:
    """A filled rectangle."""
    faint = "" if opacity >= 1 else f' fill-opacity="{opacity:.3f}"'
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
        f'height="{max(height, 0):.1f}" class="{kind}"{faint}/>'
    )


def group(hover: str, *shapes: str) -> str:
    """Shapes that show `hover` when pointed at."""
    return f"<g><title>{escape(hover)}</title>{''.join(shapes)}</g>"


def fit(content: str, room: float) -> str:
    """The text cut to `room` units, with an ellipsis; wide letters count twice.

    >>> fit("a long class name", 60)
    'a long …'
    """
    left = room / _CHARACTER
    for i, letter in enumerate(content):
        left -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if left < 0 or (left < 1 and i < len(content) - 1):
            return content[:i] + "…"
    return content


def picture(width: float, height: float, label: str, *shapes: str) -> Markup:
    """A whole chart; `label` is what a screen reader says instead."""
    return Markup(
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(label)}">{"".join(shapes)}</svg>'
    )


def responsive(draw: Callable[[int], Markup]) -> Markup:
    """The chart in two layouts, so that its text is as large on a phone as on a desk.

    The style sheet shows one of them; the other is hidden from screen readers as well.
    """
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(
        draw(720), draw(328)
    )
