"""Charts of the dashboards: pure functions of the numbers and the width they have.

Each mark is a link to the records behind it, so a chart can be walked through by keyboard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from leaven.core.wording import count
from leaven.evaluate.report.svg import Scale, circle, fit, group, line, picture, rect, text

__all__ = ["Line", "Mark", "columns", "moment", "rows", "trend"]

_LEFT, _HIGH = 52, 190
_DAY = 86_400.0


@dataclass(frozen=True)
class Mark:
    """A value of which `part` is drawn apart, what it says, and where it leads."""

    name: str
    value: float
    part: float
    says: str
    href: str


@dataclass(frozen=True)
class Line:
    """A named line over slots, None where there is nothing; `kind` is its colour's class."""

    name: str
    kind: str
    values: Sequence[float | None]


def moment(at: float, *, long: bool = False) -> str:
    """A time in UTC, as an axis has it: hours of a day, or days.

    >>> moment(3600.0), moment(3600.0, long=True)
    ('01:00', '1 Jan')
    """
    told = datetime.fromtimestamp(at, UTC)
    return f"{told.day} {told:%b}" if long else f"{told:%H:%M}"


def columns(marks: Sequence[Mark], since: float, until: float, label: str, width: int) -> Markup:
    """A column a slot: all of it ours, its part in the colour of people."""
    x = Scale(0, len(marks), _LEFT, width - 8)
    bottom = _HIGH - 26
    y = Scale(0, max(1.0, *(mark.value for mark in marks)) * 1.05, bottom, 12, 4)
    wide = x(1) - x(0)
    shapes = _grid(y, width, count)
    shapes += _times(since, until, width)
    for i, mark in enumerate(marks):
        if not mark.value:
            continue
        left = x(i) + 0.08 * wide
        drawn = group(
            mark.says,
            rect(x(i), 12, wide, bottom - 12, "ghost"),
            rect(left, y(mark.value), 0.84 * wide, bottom - y(mark.value), "ours"),
            rect(left, y(mark.part), 0.84 * wide, bottom - y(mark.part), "people"),
        )
        shapes.append(_link(mark, drawn))
    shapes.append(line(_LEFT, bottom, width - 8, bottom, "axis"))
    return picture(width, _HIGH, label, *shapes)


def trend(
    lines: Sequence[Line],
    marks: Sequence[Mark],
    since: float,
    until: float,
    label: str,
    width: int,
    *,
    show: Callable[[float | None], str],
    promised: float | None = None,
    high: float | None = None,
) -> Markup:
    """Lines over time, each named at its end; `promised` is drawn across, `marks` lead on."""
    room = 106 if width < 500 else 120
    bottom = _HIGH - 26
    known = [value for one in lines for value in one.values if value is not None]
    most = high or max([*known, promised or 0.0, 1e-9]) * 1.08
    x = Scale(0, len(marks), _LEFT, width - room)
    y = Scale(0, most, bottom, 12, 4)
    shapes = _grid(y, width - room + 8, show)
    shapes += _times(since, until, width - room + 8)
    if promised is not None:
        shapes.append(line(_LEFT, y(promised), width - room, y(promised), "theirs dashed thick"))
        shapes.append(text(width - room + 9, y(promised) + 4, "promised", "theirs small"))
    taken = [y(promised) + 4] if promised is not None else []
    for one in lines:
        shapes += _drawn(one, x, y)
        last = next(((i, v) for i, v in reversed([*enumerate(one.values)]) if v is not None), None)
        if last is not None:
            place = y(last[1]) + 4
            while any(abs(place - other) < 14 for other in taken):
                place -= 14
            taken.append(place)
            told = fit(f"{one.name} {show(last[1])}", room - 10)
            shapes.append(text(width - room + 9, place, told, f"{one.kind} strong small"))
    wide = x(1) - x(0)
    for i, mark in enumerate(marks):
        if mark.value:
            area = rect(x(i), 12, wide, bottom - 12, "ghost")
            shapes.append(_link(mark, group(mark.says, area)))
    return picture(width, _HIGH, label, *shapes)


def rows(marks: Sequence[Mark], label: str, width: int) -> Markup:
    """A bar a name, the largest first, with its number at the end."""
    room, step = (112 if width < 500 else 190), 30
    x = Scale(0, max([1e-9, *(mark.value for mark in marks)]), room, width - 64)
    shapes = []
    for i, mark in enumerate(marks):
        top = step * i
        drawn = group(
            mark.says,
            rect(0, top, width, step - 2, "ghost"),
            text(0, top + 19, fit(mark.name, room - 8)),
            rect(room, top + 6, x(mark.value) - room, 17, "ours"),
            rect(room, top + 6, x(mark.part) - room, 17, "people"),
            text(x(mark.value) + 8, top + 19, count(mark.value), "strong small"),
        )
        shapes.append(_link(mark, drawn))
    return picture(width, step * len(marks) + 2, label, *shapes)


def _link(mark: Mark, drawn: str) -> str:
    return f'<a href="{escape(mark.href)}" aria-label="{escape(mark.says)}">{drawn}</a>'


def _grid(y: Scale, width: int, show: Callable[[float | None], str]) -> list[str]:
    shapes = [line(_LEFT, y(t), width - 8, y(t), "grid") for t in y.ticks]
    return shapes + [text(_LEFT - 6, y(t) + 4, show(t), "soft small", "end") for t in y.ticks]


def _times(since: float, until: float, width: int) -> list[str]:
    """The times below a chart, of whole hours or days."""
    wanted = 3 if width < 500 else 6
    steps = (300, 600, 1800, 3600, 2 * 3600, 4 * 3600, 12 * 3600, _DAY, 2 * _DAY, 7 * _DAY)
    step = next((one for one in steps if (until - since) / one <= wanted), steps[-1])
    x = Scale(since, until, _LEFT, width - 8)
    first = since - since % step + step
    times = [first + i * step for i in range(int((until - first) // step) + 1)]
    return [
        text(x(at), _HIGH - 8, moment(at, long=step >= _DAY), "soft small", "middle")
        for at in times
        if x(at) < width - 20
    ]


def _drawn(one: Line, x: Scale, y: Scale) -> list[str]:
    """The line, in pieces where there is nothing between."""
    pieces: list[list[str]] = [[]]
    for i, value in enumerate(one.values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x(i + 0.5):.1f},{y(value):.1f}")
    shapes = []
    for piece in pieces:
        if len(piece) > 1:
            shapes.append(f'<polyline points="{" ".join(piece)}" class="{one.kind} stroke"/>')
        elif piece:
            left, top = piece[0].split(",")
            shapes.append(circle(float(left), float(top), 2.5, one.kind))
    return shapes
