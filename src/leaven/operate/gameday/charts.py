"""A drill over time as SVG: what was answered in each second, and when what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from leaven.core.wording import THIN, count
from leaven.evaluate.report.svg import Scale, group, line, picture, rect, text
from leaven.operate.gameday.local import DETECTED, INJECTED, MENDED

__all__ = ["course"]

_LEFT, _TOP, _BOTTOM, _HEIGHT = 40, 62, 196, 226
_MARKED = {INJECTED: "fault", DETECTED: "noticed", MENDED: "mended"}


def course(
    answers: Sequence[Sequence[int]], entries: Sequence[Mapping[str, Any]], width: int
) -> Markup:
    """Bars of the predictions that were answered, and that failed, in each second; the first fault,
    and when it was first noticed and mended, as lines."""
    firsts = [next((one for one in entries if one["kind"] == kind), None) for kind in _MARKED]
    marks = [one for one in firsts if one is not None]
    end = max(len(answers), *(one["at"] + 1 for one in marks), 1)
    x = Scale(0, end, _LEFT, width - 8, 4 if width < 500 else 6)
    most = max([sum(one) for one in answers] + [1])
    y = Scale(0, most, _BOTTOM, _TOP, 3)
    shapes = []
    for tick in (t for t in y.ticks if t == round(t)):
        shapes.append(line(_LEFT, y(tick), width - 8, y(tick), "grid"))
        shapes.append(text(_LEFT - 8, y(tick) + 4, count(tick), "soft", "end"))
    shapes += [text(x(t), _BOTTOM + 18, f"{t:g}{THIN}s", "soft", "middle") for t in x.ticks]
    bar = max(x(1) - x(0) - 0.5, 0.75)
    for second, (good, failed) in enumerate(answers):
        if good or failed:
            said = f"{second}{THIN}s: {count(good)} answered, {count(failed)} failed"
            shapes.append(
                group(
                    said,
                    rect(x(second), y(good), bar, _BOTTOM - y(good), "bar"),
                    rect(x(second), y(good + failed), bar, y(good) - y(good + failed), "alarm"),
                )
            )
    for row, one in enumerate(marks):
        at, top = x(one["at"]), 14 + 16 * row
        anchor = "end" if at > width * 0.6 else "start"
        aside = -5 if anchor == "end" else 5
        said = f"{_MARKED[one['kind']]} {one['at']:.0f}{THIN}s"
        shapes.append(group(one["what"], line(at, top - 8, at, _BOTTOM, "axis dashed"),
                            text(at + aside, top, said, "small strong", anchor)))  # fmt: skip
    return picture(width, _HEIGHT, "Predictions in each second", *shapes)
