"""The map of records as SVG: a point a record, which shows the record when it is pointed at.

No script: a record is a hidden group that the style sheet shows on hover and on focus.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from markupsafe import Markup, escape

from leaven.evaluate.report.clean import clean_shown
from leaven.evaluate.report.svg import circle, fit, group, picture, text

__all__ = ["KINDS", "draw_map", "map_kinds"]

#: Classes that have a colour of their own.
KINDS = 8
_PANEL = 214
_LINE, _LINES = 28, 13


def map_kinds(points: list[dict[str, Any]]) -> dict[str, str]:
    """The colour class of each label: the most frequent have their own, the others share one."""
    counts = Counter(str(point["label"]) for point in points if point.get("label") is not None)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: f"k{i}" if i < KINDS else "other" for i, name in enumerate(ranked)}


def draw_map(points: list[dict[str, Any]], width: int) -> Markup:
    """All points; on a wide page a panel at the right shows the one pointed at."""
    wide = width >= 500
    side = width - _PANEL - 26 if wide else width
    kinds = map_kinds(points)
    drawn = []
    for point in sorted(points, key=lambda p: p.get("label") is not None):
        label = point.get("label")
        kind = "unlabelled" if label is None else kinds[str(label)]
        x, y = 8 + point["x"] * (side - 16), 8 + point["y"] * (side - 16)
        name = f"{point['id']}: {'no label' if label is None else label}"
        dot = circle(x, y, 5 if label is not None else 4, f"dot {kind}")
        if wide:
            panel = _panel(point, name, side + 26)
            opening = f'<g class="point" tabindex="0" role="img" aria-label="{escape(name)}">'
            drawn.append(f"{opening}{dot}{panel}</g>")
        else:
            drawn.append(group(name, dot))
    return picture(width, side, f"map of {len(points)} records", *drawn)


def _panel(point: dict[str, Any], name: str, left: float) -> str:
    shown = clean_shown(point.get("shown") or {})
    kind = shown["kind"]
    lines: list[str] = []
    body = ""
    if kind == "image":
        body = (
            f'<image x="{left:.0f}" y="36" width="{_PANEL}" height="{_PANEL}" '
            f'preserveAspectRatio="xMidYMin meet" href="data:image/png;base64,{shown["png"]}"/>'
        )
    elif kind == "text":
        lines = _wrapped(str(shown["text"]))
    elif kind == "row":
        lines = [f"{cell.get('name')}: {cell.get('value', '–')}" for cell in shown["cells"]]
    elif kind == "series":
        body = _curves(shown, left)
    body += "".join(
        text(left, 56 + 19 * i, fit(line, _PANEL)) for i, line in enumerate(lines[:_LINES])
    )
    return f'<g class="peek">{text(left, 20, fit(name, _PANEL), "strong")}{body}</g>'


def _wrapped(content: str) -> list[str]:
    lines, now = [], ""
    for word in content.split():
        if now and len(now) + len(word) >= _LINE:
            lines.append(now)
            now = ""
        now = f"{now} {word}".strip()
    return [*lines, now]


def _curves(shown: dict[str, Any], left: float) -> str:
    """The channels of a series, one under the other."""
    channels = shown.get("channels") or []
    height = 150 / max(len(channels), 1)
    drawn = []
    for number, channel in enumerate(channels):
        known = [(i, v) for i, v in enumerate(channel.get("values") or []) if v is not None]
        if len(known) < 2:
            continue
        low, high = min(v for _, v in known), max(v for _, v in known)
        across = _PANEL / max(known[-1][0], 1)
        up = (height - 8) / ((high - low) or 1.0)
        top = 44 + number * height
        path = " ".join(f"{left + i * across:.1f},{top + (high - v) * up:.1f}" for i, v in known)
        drawn.append(f'<polyline points="{path}" class="ours stroke"/>')
    return "".join(drawn)
