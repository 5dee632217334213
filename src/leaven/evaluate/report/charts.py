"""Charts as SVG strings: pure functions of the numbers and the width they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaven.core.wording import count, decimal, percent, points, span
from leaven.evaluate.report.svg import Scale, circle, fit, group, line, picture, rect, text, turned

__all__ = [
    "Interval",
    "Row",
    "Series",
    "Timeline",
    "bars",
    "channels",
    "difference",
    "heatmap",
    "histogram",
    "lines",
    "pairs",
    "reliability",
    "sparkline",
    "timelines",
]

_LABELLED_CLASSES = 30


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A name and the two things compared under it; either may be missing."""

    name: str
    ours: Interval | None
    theirs: Interval | None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """A named line; `kind` is its colour's class."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Timeline:
    """A name and a share at each of the same steps, None where there was nothing to share."""

    name: str
    values: Sequence[float | None]


def difference(value: Interval, method: str, baseline: str, width: int) -> Markup:
    """The accuracy difference as a point with its interval, beside the baseline at zero."""
    low = value.value if value.low is None else value.low
    high = value.value if value.high is None else value.high
    reach = max(max(high, 0.0) - min(low, 0.0), 0.02)
    # Two points at least: an axis of tenths would show a difference where there is none.
    slack = 0.12 * reach + (reach - max(high, 0.0) + min(low, 0.0)) / 2
    x = Scale(min(low, 0) - slack, max(high, 0) + slack, 8, width - 8)
    label = f"{method} against {baseline}: {points(value.value)} points ({span(low, high)})"
    place, anchor = min(max(x(value.value), 40.0), width - 40.0), "middle"
    if abs(place - x(0)) < 48:  # keep the figure off the baseline's line
        place, anchor = (x(0) + 7, "start") if value.value >= 0 else (x(0) - 7, "end")
    side = "start" if x(0) < width / 2 else "end"
    return picture(
        width,
        112,
        label,
        *(line(x(t), 46, x(t), 86, "grid") for t in x.ticks),
        *(text(x(t), 104, points(t), "soft", "middle") for t in x.ticks if 20 < x(t) < width - 20),
        line(x(0), 4, x(0), 86, "theirs thick"),
        text(x(0) + (7 if side == "start" else -7), 15, fit(baseline, width / 3), "theirs", side),
        group(
            label,
            rect(x(low), 63, max(x(high) - x(low), 2), 6, "ours", 0.35),
            circle(x(value.value), 66, 7, "ours"),
            text(place, 51, f"{points(value.value)} points", "ours strong", anchor),
        ),
    )


def pairs(
    rows: Sequence[Row],
    label: str,
    width: int,
    *,
    ours: str = "ours",
    theirs: str = "theirs",
    zero: bool = False,
    show: Callable[[float | None], str] = percent,
) -> Markup:
    """Two dots with intervals a row; figures stand at the right, one column each."""
    narrow = width < 500
    room = 112 if narrow else 190
    step, top = 34, 8
    ends = [
        v
        for row in rows
        for side in (row.ours, row.theirs)
        if side
        for v in (side.value, side.low, side.high)
        if v is not None
    ]
    low = 0.0 if zero or not ends else max(0.0, min(ends) - 0.03)
    high = max([*ends, low + 0.01]) if zero else max([1.0, *ends])
    x = Scale(low, high, room, width - (74 if narrow else 150), 3 if narrow else 5)
    shapes = [line(x(t), top, x(t), top + step * len(rows), "grid") for t in x.ticks]
    shapes += [
        text(x(t), top + step * len(rows) + 18, percent(t, 0), "soft", "middle") for t in x.ticks
    ]
    for i, row in enumerate(rows):
        y = top + step * i + step / 2
        drawn = [text(0, y + 4, fit(row.name, room - 8))]
        for side, kind, dy, radius in ((row.theirs, theirs, 5, 4), (row.ours, ours, -5, 5)):
            if side is None:
                continue
            if side.low is not None and side.high is not None:
                drawn.append(line(x(side.low), y + dy, x(side.high), y + dy, f"{kind} whisker"))
            drawn.append(circle(x(side.value), y + dy, radius, kind))
        if row.ours:
            place = width - (0 if narrow else 66)
            drawn.append(text(place, y + 4, show(row.ours.value), f"{ours} strong", "end"))
        if row.theirs and not narrow:
            drawn.append(text(width, y + 4, show(row.theirs.value), theirs, "end"))
        shapes.append(group(row.note or row.name, *drawn))
    return picture(width, top + step * len(rows) + 26, label, *shapes)


def heatmap(matrix: Sequence[Sequence[int]], classes: Sequence[str], width: int) -> Markup:
    """Confusion: rows are true classes, columns predictions, shade is the share of the row.

    Cells of nought are not drawn. Beyond thirty classes the names are left to the hover.
    """
    k = len(classes)
    named = k <= _LABELLED_CLASSES
    longest = max(len(name) for name in classes) * 7.2 + 14
    room = min(longest, 92 if width < 500 else 150) if named else 14
    cell = min(max((width - room) / k, 17 if named else 2), 44)
    side = room + cell * k + 1
    shapes = [rect(room, room, cell * k, cell * k, "empty")]
    for i, (row, true) in enumerate(zip(matrix, classes, strict=True)):
        total = sum(row) or 1
        if named:
            shapes.append(
                text(room - 8, room + (i + 0.5) * cell + 4, fit(true, room - 10), "", "end")
            )
            upright = text(0, 4, fit(true, room - 10))
            shapes.append(turned(room + (i + 0.5) * cell, room - 8, -90, upright))
        for j, number in enumerate(row):
            if not number:
                continue
            share = number / total
            hover = f"{true} taken for {classes[j]}: {count(number)} of {count(total)}"
            if i == j:
                hover = f"{true} found: {count(number)} of {count(total)} ({percent(share)})"
            left, top = room + j * cell, room + i * cell
            cells = [
                rect(left, top, cell, cell, "ours" if i == j else "ink", 0.12 + 0.88 * share**0.8)
            ]
            if cell >= 22:
                kind = "small on" if share > 0.45 else "small"
                cells.append(
                    text(left + cell / 2, top + cell / 2 + 4, count(number), kind, "middle")
                )
            shapes.append(group(hover, *cells))
    if not named:
        shapes += [
            text(room, 10, "predicted →", "soft small"),
            turned(3, room, 90, text(0, 0, "true →", "soft small")),
        ]
    right = sum(matrix[i][i] for i in range(k))
    label = f"Confusion of {k} classes: {count(right)} of {count(sum(map(sum, matrix)))} right"
    return picture(side, side, label, *shapes)


def lines(
    series: Sequence[Series],
    label: str,
    width: int,
    *,
    show: Callable[[float | None], str] = percent,
    tick: Callable[[float], str] = lambda value: percent(value, 0),
    high: float | None = None,
) -> Markup:
    """Lines over training steps, each named at its end."""
    narrow = width < 500
    height, left, bottom = 220, 46, 186
    room = 96 if narrow else 130
    steps = [p[0] for s in series for p in s.points]
    values = [p[1] for s in series for p in s.points]
    x = Scale(min(steps), max(steps), left, width - room, 3 if narrow else 5)
    y = Scale(min(0.0, *values), high or max(*values, 1e-6) * 1.05, bottom, 12, 4)
    shapes = [line(left, y(t), width - room, y(t), "grid") for t in y.ticks]
    shapes += [text(left - 8, y(t) + 4, tick(t), "soft", "end") for t in y.ticks]
    shapes += [text(x(t), bottom + 18, count(t), "soft", "middle") for t in x.ticks]
    shapes.append(text(left, height - 2, "step", "soft"))
    ordered = sorted(series, key=lambda s: y(s.points[-1][1]))
    places = _spread([y(s.points[-1][1]) + 4 for s in ordered], 32, bottom - 15)
    for s, place in zip(ordered, places, strict=True):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in s.points)
        shapes.append(f'<polyline points="{path}" class="{s.kind} stroke"/>')
        every = max(1, len(s.points) // 40)
        shapes += [
            group(f"{s.name} at step {count(a)}: {show(b)}", circle(x(a), y(b), 6, "ghost"))
            for a, b in s.points[::every]
        ]
        end = x(s.points[-1][0]), y(s.points[-1][1])
        shapes += [
            circle(*end, 3.5, s.kind),
            text(end[0] + 9, place, fit(s.name, room - 10), s.kind),
            text(end[0] + 9, place + 15, show(s.points[-1][1]), f"{s.kind} strong"),
        ]
    return picture(width, height, label, *shapes)


def timelines(
    rows: Sequence[Timeline], steps: Sequence[float], label: str, kind: str, width: int
) -> Markup:
    """One line of cells a name: the fuller the colour, the larger the share at that step.

    A dash stands where there was nothing to share. The last share stands at the right.
    """
    room, high, end = (112 if width < 500 else 190), 22, 64
    wide = (width - room - end) / len(steps)
    shapes = []
    for i, row in enumerate(rows):
        top = high * i
        shapes.append(text(0, top + 15, fit(row.name, room - 8)))
        shapes.append(rect(room, top + 1, wide * len(steps), high - 2, "empty"))
        for j, (step, value) in enumerate(zip(steps, row.values, strict=True)):
            left = room + j * wide
            middle = left + wide / 2
            cell = line(middle - 2, top + high / 2, middle + 2, top + high / 2, "axis")
            if value is not None:
                cell = rect(left + 0.5, top + 1, wide - 1, high - 2, kind, 0.08 + 0.92 * value**0.8)
            shapes.append(group(f"{row.name} to step {count(step)}: {percent(value)}", cell))
        shapes.append(text(width, top + 15, percent(row.values[-1]), f"{kind} strong", "end"))
    bottom = high * len(rows)
    shapes.append(text(room, bottom + 18, f"step {count(steps[0])}", "soft"))
    shapes.append(text(width - end, bottom + 18, f"step {count(steps[-1])}", "soft", "end"))
    return picture(width, bottom + 24, label, *shapes)


def _spread(places: Sequence[float], apart: float, lowest: float) -> list[float]:
    """Ascending places moved so that neighbours stand apart and none lies below `lowest`."""
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + apart) if spread else place)
    limit = lowest
    for i in reversed(range(len(spread))):
        spread[i] = min(spread[i], limit)
        limit = spread[i] - apart
    return spread


def reliability(bins: Sequence[dict[str, float]], label: str, width: int) -> Markup:
    """Confidence against accuracy with Wilson intervals; below it the records of each bin."""
    left, right, top = 46, min(width, 460) - 8, 10
    side = right - left
    x, y = Scale(0, 1, left, right), Scale(0, 1, top + side, top)
    floor, most = top + side + 92, max(b["n"] for b in bins)
    shapes = [line(left, y(t), right, y(t), "grid") for t in y.ticks]
    shapes += [text(left - 8, y(t) + 4, percent(t, 0), "soft", "end") for t in y.ticks]
    shapes += [text(x(t), floor + 18, percent(t, 0), "soft", "middle") for t in x.ticks[::2]]
    shapes.append(line(x(0), y(0), x(1), y(1), "theirs dashed"))
    shapes.append(text(x(0) + 6, top + 12, "right more often than it claims", "soft small"))
    shapes.append(text(x(1) - 4, y(0) - 8, "claims more than it is right", "soft small", "end"))
    for b in bins:
        if not b["n"]:
            continue
        tall = 60 * b["n"] / most
        at = x(b["confidence"])
        hover = (
            f"{count(b['n'])} records, confidence {percent(b['confidence'])}, right "
            f"{percent(b['accuracy'])} ({span(b['accuracy_low'], b['accuracy_high'])})"
        )
        shapes.append(
            group(
                hover,
                line(at, y(b["accuracy_low"]), at, y(b["accuracy_high"]), "ours whisker"),
                circle(at, y(b["accuracy"]), 5.5, "ours"),
                rect(x(b["low"]) + 1.5, floor - tall, x(b["high"]) - x(b["low"]) - 3, tall, "bar"),
                text(
                    x((b["low"] + b["high"]) / 2),
                    floor - tall - 4,
                    count(b["n"]),
                    "soft small",
                    "middle",
                ),
            )
        )
    shapes.append(text((left + right) / 2, floor + 36, "confidence", "soft", "middle"))
    return picture(min(width, 460), floor + 42, label, *shapes)


def histogram(edges: Sequence[float], counts: Sequence[float], label: str, width: int) -> Markup:
    """Counts of records by confidence; bars from zero."""
    left, bottom, top = 8, 172, 22
    x = Scale(edges[0], edges[-1], left, width - 8, 5)
    most = max(*counts, 1)
    shapes = [
        text(x(t), bottom + 18, percent(t, 0), "soft", "end" if t == x.high else "middle")
        for t in x.ticks
        if t
    ]
    peak = max(range(len(counts)), key=lambda i: counts[i])
    for i, number in enumerate(counts):
        tall = (bottom - top) * number / most
        wide = x(edges[i + 1]) - x(edges[i])
        hover = f"{percent(edges[i], 0)} to {percent(edges[i + 1], 0)}: {count(number)} records"
        drawn = [rect(x(edges[i]) + 0.75, bottom - tall, wide - 1.5, tall, "ours")]
        if wide > 34 or i == peak:
            edge = x(edges[i]) + wide / 2
            place = ("end", x(edges[i + 1])) if i == len(counts) - 1 else ("middle", edge)
            drawn.append(text(place[1], bottom - tall - 5, count(number), "soft small", place[0]))
        shapes.append(group(hover, *drawn))
    shapes.append(line(left, bottom, width - 8, bottom, "axis"))
    shapes.append(text(width / 2, bottom + 36, "confidence", "soft", "middle"))
    return picture(width, bottom + 42, label, *shapes)


def bars(rows: Sequence[tuple[str, float]], label: str, kind: str, width: int) -> Markup:
    """One bar a name, from zero, with its count at the end."""
    narrow = width < 500
    room, step = (112 if narrow else 190), 26
    most = max([v for _, v in rows] + [1])
    x = Scale(0, most, room, width - 60)
    shapes = [
        group(
            f"{name}: {count(number)}",
            text(0, step * i + 17, fit(name, room - 8)),
            rect(room, step * i + 5, x(number) - room, step - 10, kind),
            text(x(number) + 6, step * i + 17, count(number), "strong"),
        )
        for i, (name, number) in enumerate(rows)
    ]
    return picture(width, step * len(rows) + 4, label, *shapes)


def sparkline(values: Sequence[float], width: int = 240) -> Markup:
    """A record of numbers as a small line."""
    x = Scale(0, max(len(values) - 1, 1), 3, width - 3)
    y = Scale(min(values), max(values), 61, 3)
    path = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(values))
    label = f"{len(values)} values from {decimal(min(values), 2)} to {decimal(max(values), 2)}"
    return picture(width, 64, label, f'<polyline points="{path}" class="plain stroke"/>')


def channels(rows: Sequence[tuple[str, Sequence[float | None]]], width: int = 240) -> Markup:
    """A time series, one line a channel under the other; None leaves a gap."""
    alone = len(rows) == 1
    high, shapes, told = (64 if alone else 46), [], []
    for number, (name, values) in enumerate(rows):
        top = number * high + (0 if alone else 13)
        known = [value for value in values if value is not None]
        told.append(f"{name}: {len(values)} places")
        if not alone:
            shapes.append(text(0, top - 2, fit(name, width), "soft small"))
        if not known:
            continue
        told[-1] += f" from {decimal(min(known), 2)} to {decimal(max(known), 2)}"
        x = Scale(0, max(len(values) - 1, 1), 3, width - 3)
        y = Scale(min(known), max(known), (number + 1) * high - 4, top + 4)
        for run in _runs(values):
            path = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in run)
            line_ = f'<polyline points="{path}" class="plain stroke"/>'
            shapes.append(line_ if len(run) > 1 else circle(x(run[0][0]), y(run[0][1]), 1, "ink"))
    return picture(width, high * len(rows), "; ".join(told), *shapes)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches without a gap, as places and values."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            runs[-1].append((place, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
