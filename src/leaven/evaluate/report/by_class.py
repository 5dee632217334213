"""Pseudo-labels of each class over the training: how many were accepted, and how many right."""

from __future__ import annotations

from collections.abc import Sequence

from leaven.evaluate.intervals import wilson
from leaven.evaluate.report import charts, findings
from leaven.evaluate.report.charts import Timeline
from leaven.evaluate.report.story import View, part
from leaven.evaluate.report.svg import responsive

__all__ = ["by_class"]

_MOST_CLASSES_DRAWN = 20
_MOST_ROWS = 500
_FIGURES = ("share", "coverage", "agreement", "precision", "audited")


def by_class(story: View) -> View | None:
    """Charts of the classes that fare worst and a table of all; None where nothing was logged."""
    points = [p for p in part(story, "training").get("pseudo_history") or [] if _whole(p)]
    if not points:
        return None
    k = len(points[-1]["coverage"])
    points = [p for p in points if len(p["coverage"]) == k]
    names = [str(name) for name in part(story, "dataset").get("classes") or []]
    if len(names) != k:
        names = [str(i) for i in range(k)]
    steps = [p["step"] for p in points]
    last = {name: _column(points[-1], name, k) for name in _FIGURES}
    table = [
        {"class": name} | {figure: last[figure][i] for figure in _FIGURES}
        for i, name in enumerate(names)
    ]
    accepted = _timelines(points, "coverage", names)
    accepted.sort(key=_least_accepted)
    right = [row for row in _timelines(points, "precision", names) if any(_known(row.values))]
    counts = {n: on for n, on in zip(names, last["audited"], strict=True) if on is not None}
    right.sort(key=lambda row: _least_right(row, counts.get(row.name)))
    return {
        "accepted": _drawn(accepted, steps, _accepted_title(points[-1], accepted), "pseudo"),
        "right": _drawn(right, steps, _right_title(points[-1], right, counts), "people")
        if right
        else None,
        "rows": table[:_MOST_ROWS],
        "left_out": len(table[_MOST_ROWS:]),
        "audited": bool(right),
    }


def _whole(point: object) -> bool:
    """Whether a point has a step and the coverage of each class."""
    if not isinstance(point, dict) or not isinstance(point.get("step"), int | float):
        return False
    coverage = point.get("coverage")
    return isinstance(coverage, list) and len(coverage) > 0


def _column(point: View, figure: str, k: int) -> list[float | None]:
    """A figure of each class at one point, None where it is missing."""
    values = point.get(figure)
    return values if isinstance(values, list) and len(values) == k else [None] * k


def _timelines(points: Sequence[View], figure: str, names: Sequence[str]) -> list[Timeline]:
    columns = [_column(point, figure, len(names)) for point in points]
    return [Timeline(name, [c[i] for c in columns]) for i, name in enumerate(names)]


def _known(values: Sequence[float | None]) -> list[bool]:
    return [value is not None for value in values]


def _accepted_title(point: View, rows: Sequence[Timeline]) -> str:
    return findings.accepted_title(rows, part(point, "all").get("coverage"))


def _right_title(point: View, rows: Sequence[Timeline], counts: dict[str, float]) -> str:
    together = part(point, "all").get("precision")
    records = counts.get(rows[0].name)
    apart = together is not None and _least_right(rows[0], records) < together
    return findings.right_title(rows, together, records, apart)


def _least_accepted(row: Timeline) -> float:
    """Orders classes: those without a guess at the end, then those accepted least."""
    return -1.0 if row.values[-1] is None else row.values[-1]


def _least_right(row: Timeline, records: float | None) -> float:
    """Orders classes by the share that they may be right in at most: one slip of one is chance."""
    share = row.values[-1]
    if share is None:
        return 2.0
    on = max(records or 0.0, 1.0)
    return float(wilson(share * on, on)[1])


def _drawn(rows: list[Timeline], steps: Sequence[float], title: str, kind: str) -> View:
    """The chart of the first classes."""
    drawn = rows[:_MOST_CLASSES_DRAWN]
    return {
        "title": title,
        "drawn": len(drawn) if len(drawn) < len(rows) else None,
        "chart": responsive(lambda w: charts.timelines(drawn, steps, title, kind, w)),
    }
