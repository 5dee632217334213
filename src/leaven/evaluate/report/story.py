"""Reading a run's story, any part of which may be missing."""

from __future__ import annotations

from typing import Any

from leaven.evaluate.report.charts import Interval

__all__ = ["View", "interval", "part"]

View = dict[str, Any]


def part(story: View, *keys: str) -> View:
    """The dict under these keys, empty where one is missing."""
    inner: Any = story
    for key in keys:
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else {}


def interval(figure: Any) -> Interval | None:
    """A figure of the story with its interval; None where it has no value."""
    if not isinstance(figure, dict) or figure.get("value") is None:
        return None
    return Interval(figure["value"], figure.get("low"), figure.get("high"))
