"""Where one model loses to the other, and how frequent the classes are: tables of the report."""

from __future__ import annotations

from leaven.core.wording import decimal, many, percent, points, span
from leaven.evaluate.report.story import View, part

__all__ = ["shares", "slices"]

_MOST_ROWS = 100


def slices(story: View) -> View | None:
    """The slices' table and what it finds; None where there is nothing to compare."""
    rows = [row for row in story.get("slices") or [] if _whole(row)]
    if not rows:
        return None
    lost = [row for row in rows if row.get("lost")]
    worst = min(rows, key=lambda row: row["method"] - row["baseline"])
    if lost:
        title = f"Worse on {many(len(lost), 'slice', 'slices')}, {lost[0]['name']} first"
    elif worst["method"] < worst["baseline"]:
        title = "On no slice of the data is a loss shown"
    else:
        title = "On no slice of the data is it worse"
    return {
        "title": title,
        "lost": bool(lost),
        "rows": [
            row | {"gain": points(row["method"] - row["baseline"]), "p": decimal(row["p_value"], 3)}
            for row in rows[:_MOST_ROWS]
        ],
    }


def shares(story: View) -> View | None:
    """What is said of the classes' shares; None where nothing was estimated."""
    told = part(story, "shares")
    if not told.get("sentence") or not told.get("classes"):
        return None
    columns = [told.get(name) or [] for name in ("labelled", "estimated", "low", "high")]
    whole = all(len(column) == len(told["classes"]) for column in columns)
    shifted = bool(told.get("shifted")) and whole
    expected = ""
    if told.get("accuracy") is not None:
        expected = f"Under these shares about {percent(told['accuracy'])} will be right."
    rows = [
        {"class": str(name), "labelled": labelled, "estimated": estimated, "ends": span(low, high)}
        for name, labelled, estimated, low, high in zip(told["classes"], *columns, strict=False)
    ]
    return {
        "title": _title(told) if shifted else "How frequent the classes are",
        "sentence": str(told["sentence"]),
        "expected": expected,
        "rows": rows[:_MOST_ROWS] if shifted else [],
    }


def _title(told: View) -> str:
    """Who says that the classes are not as frequent as their labels."""
    if told.get("given"):
        return "How frequent the classes are was given"
    if not told.get("trust", 1):
        return "How frequent the classes are is guessed from their names"
    return "The classes are not as frequent as their labels"


def _whole(row: object) -> bool:
    """Whether a row has all that is shown of it."""
    wanted = ("name", "n", "method", "baseline", "p_value")
    return isinstance(row, dict) and all(row.get(name) is not None for name in wanted)
