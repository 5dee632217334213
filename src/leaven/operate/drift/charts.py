"""A column before and now, drawn from its sketches."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from leaven.core.wording import percent
from leaven.evaluate.report.svg import Scale, fit, group, line, picture, rect, text
from leaven.operate.drift.reference import Reference, Sketch
from leaven.operate.drift.sketch import Categories, Counts, Floats, Numbers

__all__ = ["before_and_now"]

_BARS, _NAMED = 30, 8
_EDGE = 0.005  # what lies beyond these quantiles is drawn in the outermost bars


def before_and_now(reference: Reference, came: Sketch, column: str, width: int) -> Markup:
    """Shares of the reference (grey outline) and of what came (filled), of one column."""
    grid = reference.grids[column]
    p, q = reference.own.counts[column], came.counts[column]
    label = f"{column}, reference and new records"
    if isinstance(grid, Categories):
        return _names(grid, p, q, label, width)
    return _numbers(grid, p, q, label, width)


def _numbers(grid: Numbers, p: Counts, q: Counts, label: str, width: int) -> Markup:
    both = p + q
    low, high = grid.quantile(both, _EDGE), grid.quantile(both, 1 - _EDGE)
    if not high > low:
        low, high = low - grid.scale, high + grid.scale
    edges = np.linspace(low, high, _BARS + 1)
    sides = [_binned(grid, side, edges) for side in (p, q)]
    left, bottom, top = 8, 150, 10
    x, y = Scale(low, high, left, width - 8, 5), Scale(0, _most(sides), bottom, top)
    shapes = [text(x(t), bottom + 18, f"{t:g}", "soft", "middle") for t in x.ticks]
    for i in range(_BARS):
        start, wide = x(edges[i]), x(edges[i + 1]) - x(edges[i])
        hover = (
            f"{edges[i]:.4g} to {edges[i + 1]:.4g}: "
            f"{percent(sides[0][i])} before, {percent(sides[1][i])} now"
        )
        now, before = (float(side[i]) for side in (sides[1], sides[0]))
        drawn = [
            rect(start + 0.5, y(before), wide - 1, bottom - y(before), "theirs", 0.55),
            rect(start + wide * 0.25, y(now), wide * 0.5, bottom - y(now), "ours"),
        ]
        shapes.append(group(hover, *drawn))
    shapes.append(line(left, bottom, width - 8, bottom, "axis"))
    return picture(width, bottom + 26, label, *shapes)


def _binned(grid: Numbers, counts: Counts, edges: Floats) -> Floats:
    """(bars,) shares of the records, those beyond the edges in the outermost; the missing not."""
    place = np.searchsorted(edges[1:-1], grid.worth)
    binned = np.bincount(place, counts[1:], minlength=len(edges) - 1)
    shares: Floats = binned / max(float(counts.sum()), 1)
    return shares


def _names(grid: Categories, p: Counts, q: Counts, label: str, width: int) -> Markup:
    shares = np.stack([p / max(p.sum(), 1), q / max(q.sum(), 1)])
    apart = np.abs(shares[0] - shares[1])
    shown = [int(i) for i in np.argsort(-apart, kind="stable")[:_NAMED] if shares[:, i].any()]
    room, step = (112 if width < 500 else 190), 34
    x = Scale(0, _most([shares]), room, width - 60)
    shapes = []
    for row, i in enumerate(shown):
        y, name = step * row, grid.cell_names[i]
        before, now = float(shares[0, i]), float(shares[1, i])
        shapes.append(
            group(
                f"{name}: {percent(before)} before, {percent(now)} now",
                text(0, y + 20, fit(name, room - 8)),
                rect(room, y + 4, x(before) - room, 11, "theirs", 0.55),
                rect(room, y + 17, x(now) - room, 11, "ours"),
                text(x(before) + 6, y + 14, percent(before), "soft small"),
                text(x(now) + 6, y + 27, percent(now), "strong small"),
            )
        )
    return picture(width, step * len(shown) + 6, label, *shapes)


def _most(sides: list[Floats]) -> float:
    return max(float(max(side.max() for side in sides)), 1e-9)
