"""The charts of a review page: a record that is a series, and what labels have bought."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from leaven.core.wording import MINUS, MISSING, count, percent, points, span
from leaven.evaluate.report.svg import Scale, circle, fit, group, line, picture, rect, text

__all__ = ["Bought", "bought", "bought_title", "series"]

#: Number of labels, accuracy, and the ends of its interval.
Bought = tuple[int, float, float, float]

_LEFT = 52


def series(channels: Sequence[tuple[str, Sequence[float | None]]], width: int) -> Markup:
    """Channels of a record under one another, with their scales; None leaves a gap."""
    high = 190 if len(channels) == 1 else 112
    shapes, told = [], []
    longest = max(len(values) for _, values in channels)
    x = Scale(0, max(longest - 1, 1), _LEFT, width - 8, 4 if width < 500 else 8)
    bottom = high * len(channels)
    for number, (name, values) in enumerate(channels):
        top = number * high + 18
        known = [value for value in values if value is not None]
        shapes.append(text(_LEFT, top - 5, fit(name, width - _LEFT), "soft small"))
        if not known:
            told.append(f"{name}: nothing measured")
            continue
        low, most = min(known), max(known)
        told.append(f"{name}: {len(values)} places from {_short(low)} to {_short(most)}")
        y = Scale(low, most, top + high - 32, top + 6, 5)
        shapes += [line(_LEFT, y(t), width - 8, y(t), "grid") for t in y.ticks]
        shapes += [text(_LEFT - 6, y(t) + 4, _short(t), "soft small", "end") for t in y.ticks]
        for there, run in groupby(enumerate(values), key=lambda one: one[1] is not None):
            if there:
                path = [f"{x(i):.1f},{y(v or 0):.1f}" for i, v in run]
                shapes.append(_drawn(path))
    shapes += [text(x(t), bottom + 12, count(t), "soft small", "middle") for t in x.ticks]
    return picture(width, bottom + 18, "; ".join(told), *shapes)


def bought(curve: Sequence[Bought], label: str, width: int) -> Markup:
    """Accuracy by the number of labels, in its interval."""
    high = 170
    bottom = high - 24
    x = Scale(curve[0][0], curve[-1][0], _LEFT, width - 70, 4)
    y = Scale(min(one[2] for one in curve), max(one[3] for one in curve), bottom, 12, 4)
    band = [f"{x(n):.1f},{y(top):.1f}" for n, _, _, top in curve]
    band += [f"{x(n):.1f},{y(low):.1f}" for n, _, low, _ in reversed(curve)]
    path = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value, _, _ in curve)
    last = curve[-1]
    shapes = [line(_LEFT, y(t), width - 70, y(t), "grid") for t in y.ticks]
    shapes += [text(_LEFT - 6, y(t) + 4, percent(t, 0), "soft small", "end") for t in y.ticks]
    shapes += [text(x(t), high - 6, count(t), "soft small", "middle") for t in x.ticks]
    shapes += [
        f'<polygon points="{" ".join(band)}" class="ours" fill-opacity="0.16"/>',
        f'<polyline points="{path}" class="ours stroke"/>',
        *(
            group(
                f"{count(n)} labels: {percent(value)} ({span(low, top)})",
                circle(x(n), y(value), 3, "ours"),
                circle(x(n), y(value), 9, "ghost"),
            )
            for n, value, low, top in curve
        ),
        text(x(last[0]) + 9, y(last[1]) + 4, percent(last[1]), "ours strong"),
    ]
    if len(curve) == 1:
        whisker = rect(x(last[0]) - 1, y(last[3]), 2, y(last[2]) - y(last[3]), "ours", 0.45)
        shapes.append(whisker)
    return picture(width, high, label, *shapes)


def bought_title(curve: Sequence[Bought]) -> str:
    """What the curve shows, in a sentence.

    >>> bought_title([(20, 0.71, 0.6, 0.8), (60, 0.785, 0.7, 0.85)]).replace("\u202f", " ")
    '40 more labels: +7.5 points, now 78.5 % (95 %: 70.0 to 85.0)'
    """
    (first, before, *_), (last, now, low, high) = curve[0], curve[-1]
    whole = f"{percent(now)} ({span(low, high)})"
    if len(curve) == 1:
        return f"{count(last)} labels: {whole}"
    return f"{count(last - first)} more labels: {points(now - before)} points, now {whole}"


def _drawn(path: Sequence[str]) -> str:
    if len(path) > 1:
        return f'<polyline points="{" ".join(path)}" class="plain stroke"/>'
    x, y = path[0].split(",")
    return circle(float(x), float(y), 1.5, "ink")


def _short(value: float) -> str:
    """A number of any size in few signs.

    >>> _short(-1234567.0), _short(0.25)
    ('−1.23e+06', '0.25')
    """
    return f"{value:.3g}".replace("-", MINUS, 1) if value == value else MISSING
