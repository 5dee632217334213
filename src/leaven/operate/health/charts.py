"""A service's health over time as SVG: shares with their intervals, and the evidence of truths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from leaven.core.wording import count, percent, points
from leaven.evaluate.report.svg import Scale, circle, group, line, picture, text
from leaven.operate.health.auditing import Watched
from leaven.operate.health.history import Point

__all__ = ["evidence", "shares"]

_LEFT, _TOP, _BOTTOM, _HEIGHT = 46, 12, 186, 214


def shares(
    bands: Sequence[tuple[str, str, Sequence[Point]]],
    promised: float | None,
    label: str,
    width: int,
) -> Markup:
    """Shares over time, each with its interval, and what was promised as a dashed line.

    `bands` are (name, kind of colour, points in order of time); at least one has a point.
    """
    every = [point for _, _, given in bands for point in given]
    low = min([p.low for p in every] + ([] if promised is None else [promised]))
    x, shapes = _times([p.at for p in every], width)
    y = Scale(max(0.0, math.floor(low * 20 - 1) / 20), 1.0, _BOTTOM, _TOP, 4)
    shapes += _rules(y, width)
    if promised is not None:
        shapes.append(line(_LEFT, y(promised), width - 8, y(promised), "axis dashed"))
        shapes.append(text(width - 8, y(promised) - 5, f"promised {percent(promised)}",
                           "soft small", "end"))  # fmt: skip
    for name, kind, given in bands:
        path = " ".join(f"{x(p.at):.1f},{y(p.value):.1f}" for p in given)
        shapes.append(f'<polyline points="{path}" class="{kind} stroke"/>')
        for p in given:
            said = (
                f"{name}, {_day(p.at)}: {percent(p.value)} "
                f"({points(p.low, sign=False)} to {points(p.high, sign=False)}, n {count(p.n)})"
            )
            whisker = line(x(p.at), y(p.low), x(p.at), y(p.high), f"{kind} whisker")
            shapes.append(group(said, whisker, circle(x(p.at), y(p.value), 2.5, kind)))
    return picture(width, _HEIGHT, label, *shapes)


def evidence(named: Sequence[tuple[str, str, Watched]], label: str, width: int) -> Markup:
    """What truths say against the promise, as odds on a scale of tens, and what is enough."""
    n = len(named[0][2].wealth)
    needed = -math.log10(named[0][2].level)
    tops = [float(watched.wealth.max()) / math.log(10) for _, _, watched in named]
    x = Scale(0, n, _LEFT, width - 8, 3 if width < 500 else 5)
    y = Scale(-1, min(max(needed * 1.5, *tops), 6.0), _BOTTOM, _TOP, 4)
    shapes = [text(x(t), _BOTTOM + 18, count(t), "soft", "middle") for t in x.ticks]
    for t in (t for t in y.ticks if t == round(t)):
        shapes.append(line(_LEFT, y(t), width - 8, y(t), "grid"))
        shapes.append(text(_LEFT - 8, y(t) + 4, _odds(t), "soft", "end"))
    shapes.append(line(_LEFT, y(needed), width - 8, y(needed), "axis dashed"))
    shapes.append(text(_LEFT + 4, y(needed) - 5, "shown", "soft small"))
    for name, kind, watched in named:
        step = max(1, n // 400)
        path = " ".join(
            f"{x(i + 1):.1f},{y(float(watched.wealth[i]) / math.log(10)):.1f}"
            for i in [*range(0, n, step), n - 1]
        )
        shapes.append(group(name, f'<polyline points="{path}" class="{kind} stroke"/>'))
    shapes.append(text(width - 8, _BOTTOM + 34, "truths", "soft", "end"))
    return picture(width, _HEIGHT + 14, label, *shapes)


def _odds(tens: float) -> str:
    return f"1/{10 ** -int(tens)}" if tens < 0 else count(10 ** int(tens))


def _times(at: Sequence[float], width: int) -> tuple[Scale, list[str]]:
    """The scale of time, and its first and last day as words."""
    first, last = min(at), max(at)
    x = Scale(first, max(last, first + 1), _LEFT + 4, width - 12)
    words = [text(_LEFT, _BOTTOM + 18, _day(first), "soft")]
    if last > first:
        words.append(text(width - 8, _BOTTOM + 18, _day(last), "soft", "end"))
    return x, words


def _rules(y: Scale, width: int) -> list[str]:
    shapes = [line(_LEFT, y(t), width - 8, y(t), "grid") for t in y.ticks]
    return shapes + [text(_LEFT - 8, y(t) + 4, percent(t, 0), "soft", "end") for t in y.ticks]


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M")
