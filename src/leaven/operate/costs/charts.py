"""Charts of costs: what was spent on what, and what accuracy runs have for what they took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaven.core.wording import percent, points
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.report.svg import Scale, circle, fit, group, line, picture, rect, text

__all__ = ["Bar", "Taken", "bars", "taken"]

_STEP, _LEFT = 34, 52


@dataclass(frozen=True)
class Bar:
    """A value by its name; `says` is the value in words, `more` what it is made of."""

    name: str
    value: float
    says: str
    more: str = ""


@dataclass(frozen=True)
class Taken:
    """What a run took, and how accurate what ships is; `says` is what it took in words."""

    name: str
    took: float
    says: str
    accuracy: Estimate


def bars(values: Sequence[Bar], label: str, width: int) -> Markup:
    """A bar a name, with its value in words at the end."""
    room = 92 if width < 500 else 150
    ends = 104 if width < 500 else 150
    x = Scale(0, max([1e-12, *(one.value for one in values)]), room, width - ends)
    shapes = []
    for i, one in enumerate(values):
        top = _STEP * i
        shapes.append(
            group(
                f"{one.name}: {one.says}. {one.more}".rstrip(". ") + ".",
                rect(0, top, width, _STEP - 4, "ghost"),
                text(0, top + 20, fit(one.name, room - 8)),
                rect(room, top + 6, x(one.value) - room, 18, "ours"),
                text(x(one.value) + 8, top + 20, one.says, "strong small"),
            )
        )
    shapes.append(line(room, 0, room, _STEP * len(values) - 4, "axis"))
    return picture(width, _STEP * len(values) + 2, label, *shapes)


def taken(
    runs: Sequence[Taken], label: str, width: int, show: Callable[[float], str], unit: str
) -> Markup:
    """Accuracy, in its interval, by what a run took."""
    high = 230
    bottom = high - 42
    x = Scale(0, max(one.took for one in runs) * 1.08, _LEFT, width - 12, 3 if width < 500 else 6)
    lows, tops = ([getattr(one.accuracy, end) for one in runs] for end in ("low", "high"))
    y = Scale(max(0.0, min(lows) - 0.02), min(1.0, max(tops) + 0.02), bottom, 12, 4)
    shapes = [line(_LEFT, y(t), width - 8, y(t), "grid") for t in y.ticks]
    shapes += [text(_LEFT - 6, y(t) + 4, percent(t, 0), "soft small", "end") for t in y.ticks]
    shapes += [text(x(t), bottom + 16, show(t), "soft small", "middle") for t in x.ticks]
    shapes.append(text(width - 8, high - 8, unit, "soft small", "end"))
    for one in sorted(runs, key=lambda run: run.took):
        seen = one.accuracy
        says = (
            f"{one.name}: {percent(seen.value)} ({points(seen.low, sign=False)} to "
            f"{points(seen.high, sign=False)}) for {one.says}"
        )
        at = x(one.took)
        whisker = line(at, y(seen.low), at, y(seen.high), "ours whisker")
        dots = circle(at, y(seen.value), 4, "ours"), circle(at, y(seen.value), 10, "ghost")
        shapes.append(group(says, whisker, *dots))
    return picture(width, high, label, *shapes)
