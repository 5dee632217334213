"""A task as a card of the page. All that comes from the data is cleaned, cut and escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from leaven.core.wording import count, duration, many, percent
from leaven.evaluate.report import charts
from leaven.evaluate.report.clean import clean, clean_shown
from leaven.evaluate.report.svg import responsive
from leaven.label.queue import Task
from leaven.serve import plots

__all__ = ["Told", "card", "page"]

_KEYS = "1234567890"  # that choose
_BRIEF = 16  # signs of a name that leaves room for another beside it on a phone
_NEAR = 3
_LONGEST = 1_000  # of a name
_LONGEST_REASON = 300
_LONGEST_TEXT = 20_000
_LONGEST_CELL = 400
_MOST_CELLS = 200
_MOST_SAID = 50


def page(template: str, **view: Any) -> str:
    """A page or a part of one."""
    return _environment().get_template(template).render(**view)


class Told(Protocol):
    """What one person said of a record."""

    @property
    def person(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def final(self) -> bool: ...
    @property
    def at(self) -> float: ...
    @property
    def seconds(self) -> float | None: ...


def card(
    task: Task, classes: Sequence[str], *, said: Sequence[Told] = (), is_read_only: bool = False
) -> str:
    """A task as HTML: its record, the answers with their keys, why it is asked, what is near it.

    Nothing of it tells what kind of task it is: a gold question looks like any other.

    Parameters
    ----------
    said : what people said, for who decides between them.
    is_read_only : without answers, for who may only look.
    """
    answers = [] if is_read_only else _answers(task, classes, [one.label for one in said])
    return page(
        "card.html.j2",
        task=task.id,
        record=clean(task.record, _LONGEST),
        shown=_large(task.shown),
        answers=answers,
        guess=_guessed(task) if is_read_only else None,
        said=[_told(one) for one in said[:_MOST_SAID]],
        brief=all(len(one["name"]) <= _BRIEF for one in answers),
        reason=clean(task.reason, _LONGEST_REASON),
        neighbours=_neighbours(task.shown),
    )


def _told(one: Told) -> dict[str, Any]:
    return {
        "person": clean(one.person, _LONGEST),
        "label": clean(one.label, _LONGEST),
        "final": one.final,
        "at": datetime.fromtimestamp(one.at, UTC),
        "seconds": None if one.seconds is None else duration(one.seconds),
    }


def _guessed(task: Task) -> tuple[str, float] | None:
    return (clean(task.guess[0][0], _LONGEST), task.guess[0][1]) if task.guess else None


def _answers(task: Task, classes: Sequence[str], said: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The answers that have keys: all classes in their order, or the likeliest of many.

    Of many, those that people said come first.

    Classes that are digits have themselves for keys.
    """
    place = {name: i for i, name in enumerate(classes)}
    guessed = [(place[name], share) for name, share in task.guess if name in place]
    chosen = list(range(len(classes)))
    if len(classes) > len(_KEYS):
        named = [place[name] for name in said if name in place]
        likely = list(dict.fromkeys(named + [i for i, _ in guessed]))
        chosen = (likely + [i for i in chosen if i not in set(likely)])[: len(_KEYS)]
    keys = classes if set(classes) <= set(_KEYS) else _KEYS
    guess, confidence = guessed[0] if guessed else (None, None)
    return [
        {
            "choice": i,
            "key": key,
            "name": clean(classes[i], _LONGEST),
            "confidence": confidence if i == guess else None,
            "is_guess": i == guess,
            "people": said.count(classes[i]),
        }
        for key, i in zip(keys, chosen, strict=False)
    ]


def _large(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The record in the middle, of which more is shown than of one in a list."""
    kind = shown.get("kind")
    if kind == "text":
        told = clean(str(shown.get("text", "")), _LONGEST_TEXT)
        return {"kind": "text", "parts": _marked(told, shown.get("spans"))}
    if kind == "row":
        unusual = shown.get("unusual")
        named = {str(name) for name in unusual} if isinstance(unusual, list) else set()
        cells = [one for one in shown.get("cells") or () if isinstance(one, dict)]
        told = [
            clean(one, _LONGEST_CELL)
            | {"unusual": bool(one.get("unusual")) or str(one.get("name")) in named}
            for one in cells[:_MOST_CELLS]
        ]
        return {"kind": "row", "cells": told, "more": len(cells[_MOST_CELLS:])}
    found = clean_shown(dict(shown))
    if found["kind"] == "vector":
        return found | {"chart": _plotted([("", found["values"])])}
    if found["kind"] == "series":
        rows = [(one["name"], one["values"]) for one in found["channels"]]
        return found | {"chart": _plotted(rows)}
    return found


def _plotted(rows: Sequence[tuple[str, Sequence[float | None]]]) -> Markup:
    return responsive(lambda width: plots.series(rows, width))


def _marked(text: str, spans: Any) -> list[tuple[str, bool]]:
    """The text in pieces, and whether each is highlighted; spans that overlap are joined.

    >>> _marked("abcdef", [[3, 9], [1, 2], ["x", 1], [5, 4]])
    [('a', False), ('b', True), ('c', False), ('def', True)]
    """
    on = [False] * len(text)
    for one in spans if isinstance(spans, list | tuple) else ():
        if isinstance(one, list | tuple) and len(one) == 2 and all(type(v) is int for v in one):
            start, end = max(one[0], 0), min(one[1], len(text))
            on[start:end] = [True] * max(end - start, 0)
    cuts = [i for i in range(1, len(text)) if on[i] != on[i - 1]]
    ends = zip([0, *cuts], [*cuts, len(text)], strict=True)
    return [(text[start:end], on[start]) for start, end in ends if end > start]


def _neighbours(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nearest labelled records: `{"shown": …, "label": …, "record": …}`."""
    found = shown.get("neighbours")
    near = []
    for one in (found if isinstance(found, list) else [])[:_NEAR]:
        if not isinstance(one, dict) or "label" not in one:
            continue
        small = clean_shown(dict(one["shown"]) if isinstance(one.get("shown"), dict) else {})
        if small["kind"] == "vector":
            small["chart"] = charts.sparkline(small["values"])
        elif small["kind"] == "series":
            small["chart"] = charts.channels([(c["name"], c["values"]) for c in small["channels"]])
        label, record = (clean(str(one.get(key, "")), _LONGEST) for key in ("label", "record"))
        near.append({"shown": small, "label": label, "record": record})
    return near


@cache
def _environment() -> Environment:
    """Our templates, and those of the report for records in a list."""
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("leaven.serve", "pages"), PackageLoader("leaven.evaluate", "report")]
        ),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "breakable": _breakable,
        "many": many,
        "moment": _moment,
    }
    return environment


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
