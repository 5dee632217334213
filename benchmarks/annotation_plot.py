"""What each strategy gains over labels at random: its mean with an interval, and every set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.svg import dot, line, picture, text

__all__ = ["Line", "draw"]

_LEFT, _RIGHT, _TOP, _LINE = 150, 96, 92, 24
_WIDTH = 480


@dataclass(frozen=True)
class Line:
    """A strategy: its mean in points, the ends of the interval, and the mean of each set."""

    name: str
    mean: float
    low: float
    high: float
    sets: dict[str, float]


def draw(lines: Sequence[Line], title: str, said: str) -> str:
    """The picture, the best mean first; what the command takes by itself is in the accent."""
    ordered = sorted(lines, key=lambda one: -one.mean)
    values = [value for one in lines for value in (one.low, one.high, *one.sets.values())]
    low, high = 5 * (min(values) // 5), 5 * (max(values) // 5 + 1)
    bottom = _TOP + _LINE * len(ordered)

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * _WIDTH

    shapes = [text(16, 26, title, "title"), text(16, 46, said, "soft")]
    for tick in range(int(low), int(high) + 1, 5):
        kind = "zero" if tick == 0 else "rule"
        shapes.append(line(across(tick), _TOP - 12, across(tick), bottom, kind))
        shapes.append(text(across(tick), _TOP - 18, _signed(tick, 0), "soft", "middle"))
    for number, one in enumerate(ordered):
        y = _TOP + _LINE * (number + 0.5)
        ours = one.name == "auto"
        kind = "ours" if ours else "peer"
        shapes.append(text(_LEFT - 14, y + 4, one.name, "name-ours" if ours else "soft", "end"))
        shapes.append(line(across(one.low), y, across(one.high), y, "gain"))
        for name, value in one.sets.items():
            shapes.append(dot(across(value), y, 2.5, "set", f"{name}: {_signed(value)} points"))
        told = f"{one.name}: {_signed(one.mean)}, from {_signed(one.low)} to {_signed(one.high)}"
        shapes.append(dot(across(one.mean), y, 5, kind, told))
        name = "name-ours" if ours else "soft"
        shapes.append(text(_LEFT + _WIDTH + 16, y + 4, _signed(one.mean), name))
    width, height = _LEFT + _WIDTH + _RIGHT, bottom + 20
    style = ".zero { stroke: var(--soft) } .set { fill: none; stroke: var(--soft) }"
    return picture(width, height, title, shapes, style)


def _signed(value: float, digits: int = 1) -> str:
    """With a true minus, and a plus where it is above zero."""
    told = f"{abs(value):.{digits}f}"
    if not float(told):
        return told
    return ("\N{MINUS SIGN}" if value < 0 else "+") + told
