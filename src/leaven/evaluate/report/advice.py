"""What the data promised before training: the answer, its reasons, and how far the sets lie apart.

The story's `advice` is `leaven.learn.assumptions.Advice` as plain JSON; any of it may be missing.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from leaven.core.wording import MISSING, count, decimal, percent
from leaven.evaluate.report.charts import Interval
from leaven.evaluate.report.story import View, part
from leaven.evaluate.report.svg import (
    Scale,
    circle,
    fit,
    group,
    line,
    picture,
    rect,
    responsive,
    text,
)

__all__ = ["advice"]

_TITLES = {
    "semi-supervised": "Before training the data promised that unlabelled records help",
    "supervised": "Before training the data promised little of the unlabelled records",
    "self-supervised first": "Before training the data asked for better features first",
    "label more": "Before training the data asked for labels first",
}
_VERDICTS = {
    "good": ("✓", "fine"),
    "alarm": ("!", "alarm"),
    "note": ("i", "note"),
    "unsure": ("?", "unsure"),
}
_MOST_REASONS, _MOST_ROWS, _MOST_DRAWN, _MOST_IDS = 8, 30, 8, 10
#: Figures that are no shares.
_PLAIN = ("labelled against unlabelled", "kernel distance (MMD²)")


def advice(story: View) -> View | None:
    """What the block after the verdict shows; None where no advice was given."""
    told = part(story, "advice")
    choice = str(told.get("choice") or "")
    if not choice:
        return None
    rows = [_row(item) for item in _dicts(told.get("evidence"))[:_MOST_ROWS]]
    title, drawn = _distances(told)
    return {
        "choice": choice,
        "title": _TITLES.get(choice, f"Before training the advice was: {choice}"),
        "alarms": [str(name) for name in told.get("alarms") or []][:_MOST_REASONS],
        "reasons": [str(reason) for reason in told.get("reasons") or []][:_MOST_REASONS],
        "classes": [str(name) for name in told.get("classes") or []][:_MOST_IDS],
        "next": _named(told, "label_next"),
        "doubted": _named(told, "check_labels"),
        "rows": rows,
        "chart_title": title,
        "chart": responsive(lambda w: _dots(drawn, title, w)) if drawn else None,
    }


def _named(told: View, key: str) -> list[tuple[str, str]]:
    """Ids of records, each with its place where it has no name of its own."""
    places = part(told, "places")
    names = [str(name) for name in told.get(key) or []][:_MOST_IDS]
    return [(name, str(places.get(name) or "")) for name in names]


def _dicts(items: Any) -> list[View]:
    return [item for item in items or [] if isinstance(item, dict)]


def _row(item: View) -> View:
    """One line of the table, in words."""
    icon, word = _VERDICTS.get(str(item.get("verdict")), _VERDICTS["note"])
    name = str(item.get("name") or MISSING)
    show = _three if name in _PLAIN else percent
    value, low, high = (_number(item.get(key)) for key in ("value", "low", "high"))
    ends = ""
    if low is not None and high is not None:
        ends = f"{show(low)} to {show(high)}"
    return {
        "icon": icon,
        "word": word,
        "alarm": item.get("verdict") == "alarm",
        "name": name,
        "said": str(item.get("said") or ""),
        "value": "" if value is None else show(value),
        "ends": ends,
        "p": _p(_number(item.get("p"))),
        "n": "" if _number(item.get("n")) is None else count(_number(item.get("n"))),
    }


def _distances(told: View) -> tuple[str, list[tuple[str, Interval, bool, str]]]:
    """Title and rows of the chart: name, distance from 0 (alike) to 1, whether sure, hover."""
    rows: list[tuple[str, Interval, bool, str]] = []
    columns = _dicts(told.get("columns"))
    shifted = "shift" in (told.get("alarms") or [])
    for item in _dicts(told.get("evidence")):
        area = _number(item.get("value"))
        if item.get("name") != "labelled against unlabelled" or area is None:
            continue
        ends = [_number(item.get(key)) for key in ("low", "high")]
        low, high = (None if end is None else _apart(end) for end in ends)
        note = f"a classifier: area under the curve {_three(area)}, p {_p(_number(item.get('p')))}"
        rows.append(("all together", Interval(_apart(area), low, high), shifted, note))
    for column in columns[:_MOST_DRAWN]:
        distance = _number(column.get("distance"))
        if distance is None:
            continue
        name = str(column.get("name") or MISSING)
        note = f"{name}: distance {_three(distance)}, p {_p(_number(column.get('adjusted')))}"
        if column.get("said"):
            note += f"; labelled and unlabelled: {column['said']}"
        rows.append((name, Interval(distance), True, note))
    if columns:
        named = fit(str(columns[0].get("name") or MISSING), 300)
        title = f"Labelled and unlabelled records differ most in {named}"
    elif shifted:
        title = "Labelled and unlabelled records differ, in no one column alone"
    else:
        title = "Labelled and unlabelled records look alike"
    return title, rows


def _apart(area: float) -> float:
    """An area under the curve from one half to one as a distance from none to one."""
    return min(max(2 * area - 1, 0.0), 1.0)


def _dots(rows: list[tuple[str, Interval, bool, str]], label: str, width: int) -> Markup:
    """A dot a row with its interval, on a line from alike to apart."""
    room, step, top = (112 if width < 500 else 190), 28, 6
    x = Scale(0, 1, room, width - 56)
    bottom = top + step * len(rows)
    shapes = [line(x(t), top, x(t), bottom, "grid") for t in (0, 0.25, 0.5, 0.75, 1)]
    shapes += [
        text(x(0), bottom + 18, "0 alike", "soft"),
        text(x(1), bottom + 18, "1 apart", "soft", "end"),
    ]
    for i, (name, far, sure, note) in enumerate(rows):
        y = top + step * (i + 0.5)
        kind = "ours" if sure else "theirs"
        drawn = [text(0, y + 4, fit(name, room - 8))]
        if far.low is not None and far.high is not None:
            drawn.append(rect(x(far.low), y - 3, max(x(far.high) - x(far.low), 2), 6, kind, 0.35))
        drawn += [
            circle(x(far.value), y, 5.5, kind),
            text(width, y + 4, decimal(far.value, 2), f"{kind} strong", "end"),
        ]
        shapes.append(group(note, *drawn))
    return picture(width, bottom + 24, label, *shapes)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _three(value: float | None) -> str:
    return decimal(value, 3)


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else _three(p)
