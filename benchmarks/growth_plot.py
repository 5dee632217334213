"""CPU seconds against the number of records, both by powers of ten, as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from benchmarks.svg import dot, line, picture, text

__all__ = ["draw"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 220, 64, 50  # margins; names stand at the right
_WIDTH, _HEIGHT = 640, 300
_APART = 15  # between two names

Row = dict[str, Any]


def draw(rows: Sequence[Row]) -> str:
    """The picture: a line a system, Leaven's own in the accent."""
    good = [row for row in rows if row["status"] == "ok"]
    low, high = (f(math.log10(row["n"]) for row in good) for f in (min, max))
    floor = math.floor(min(math.log10(row["cpu_seconds"]) for row in good))
    top = math.ceil(max(math.log10(row["cpu_seconds"]) for row in good))

    def across(n: float) -> float:
        return _LEFT + (math.log10(n) - low) / ((high - low) or 1) * _WIDTH

    def up(seconds: float) -> float:
        return _TOP + (top - math.log10(seconds)) / ((top - floor) or 1) * _HEIGHT

    title = "CPU seconds of graph and labels by the number of records"
    shapes = [text(16, 26, title, "title")]
    said = "Both axes by powers of ten. A line ends where its system was stopped."
    shapes.append(text(16, 46, said, "soft"))
    for power in range(floor, top + 1):
        y = up(10.0**power)
        shapes.append(line(_LEFT, y, _LEFT + _WIDTH, y, "rule"))
        shapes.append(text(_LEFT - 8, y + 4, f"{10.0**power:g} s", "soft", "end"))
    for n in sorted({row["n"] for row in good}):
        shapes.append(text(across(n), _TOP + _HEIGHT + 20, f"{n:,}", "soft", "middle"))
    ends = []
    for system in dict.fromkeys(row["system"] for row in good):
        own = sorted((row for row in good if row["system"] == system), key=lambda row: row["n"])
        places = [(across(row["n"]), up(row["cpu_seconds"])) for row in own]
        kind = "ours" if _is_ours(system) else "peer"
        for (x1, y1), (x2, y2) in pairwise(places):
            shapes.append(line(x1, y1, x2, y2, f"{kind}-bar"))
        for (x, y), row in zip(places, own, strict=True):
            told = f"{system}, {row['n']:,} records: {row['cpu_seconds']:g} CPU seconds"
            shapes.append(dot(x, y, 4 if kind == "ours" else 3, kind, told))
        ends.append((places[-1], system, kind))
    shapes += _names(ends)
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    return picture(width, height, title, shapes)


def _is_ours(system: str) -> bool:
    return system.startswith("Leaven") and not system.endswith("faiss")


def _names(ends: list[tuple[tuple[float, float], str, str]]) -> list[str]:
    """The systems' names where their lines end, none upon another.

    At the right of those that went all the way, above the others.
    """
    shapes, right = [], _LEFT + _WIDTH
    before = 0.0
    for (x, y), system, kind in sorted(ends, key=lambda end: end[0][1]):
        if x >= right:
            before = max(y, before + _APART)
            name = "name-ours" if kind == "ours" else "soft"
            shapes.append(text(right + 12, before + 4, system, name))
    highest: dict[float, float] = {}
    for (x, y), system, _ in sorted(ends, key=lambda end: -end[0][1]):
        if x < right:
            highest[x] = min(y - 8, highest.get(x, y) - _APART)
            shapes.append(text(x - 2, highest[x], system, "soft", "end"))
    return shapes
