"""How a queue goes on, for all who may look: counts, people, what labels bought; and its cards.

What is known of a person by gold questions is for reviewers, and for the person once nothing is
left to ask them: who knows in between which answers counted can tell the gold from the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from leaven.core.wording import MISSING, count, decimal, duration, many, percent, span
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.svg import responsive
from leaven.label.queue import Queue, Task
from leaven.label.results import Standing, disputed, people, standing, summary
from leaven.serve.cards import card
from leaven.serve.entries import Visitor
from leaven.serve.plots import Bought, bought, bought_title
from leaven.store.people import covers
from leaven.store.tables import tasks

__all__ = ["cards", "curve_chart", "overview", "words"]

_CARDS = 20  # on a page
_PEOPLE = 500  # rows of a table


def overview(queue: Queue, visitor: Visitor, curve: Sequence[Bought]) -> dict[str, Any]:
    """What this visitor may know of how the queue goes on, in plain JSON."""
    told, sees_all = summary(queue, visitor.name), covers(visitor.role, "reviewer")
    given = standing(queue) if sees_all else []
    agreeing = _agreeing(given)
    finished = not queue.left(visitor.name)
    rows = []
    for one in people(queue)[:_PEOPLE]:
        is_own = one.name == visitor.name
        row: dict[str, Any] = {
            "name": one.name, "answered": one.answered, "seconds": one.seconds, "is_own": is_own,
        }  # fmt: skip
        if sees_all:
            row |= {"skipped": one.skipped, "undone": one.undone}
            row["agrees"] = agreeing.get(one.name)
            row["with_model"] = _plain(one.with_model)
        if sees_all or (is_own and finished):
            row["gold"] = _plain(one.gold)
        rows.append(row)
    return {
        "queue": queue.name,
        "question": queue.question,
        "done": told.done,
        "open": told.open,
        "skipped": told.skipped,
        "agreement": _plain(told.agreement),
        "disputed": len(disputed(queue)) if sees_all else None,
        "people": rows,
        "curve": [list(point) for point in curve],
    }


def words(told: dict[str, Any]) -> dict[str, Any]:
    """The same, as a person reads it."""
    agreed = told["agreement"]
    agreement = ""
    if agreed and (value := decimal(agreed["value"], 2)) != MISSING:
        agreement = f"{value} ({decimal(agreed['low'], 2)} to {decimal(agreed['high'], 2)})"
    rows = [
        {
            "name": clean(one["name"], 200),
            "is_own": one["is_own"],
            "answered": count(one["answered"]),
            "seconds": MISSING if one["seconds"] is None else duration(one["seconds"]),
            "skipped": count(one.get("skipped")),
            "undone": count(one.get("undone")),
            "agrees": _share(one.get("agrees")),
            "with_model": _share(one.get("with_model")),
            "gold": _share(one.get("gold")),
        }
        for one in told["people"]
    ]
    done, every = told["done"], told["done"] + told["open"]
    left = "nothing is left to ask" if not told["open"] else f"{count(told['open'])} wait"
    return {
        "finding": f"{count(done)} of {many(every, 'record', 'records')} done, {left}",
        "skipped": count(told["skipped"]),
        "agreement": agreement,
        "disputed": told["disputed"],
        "sees_all": told["disputed"] is not None,
        "sees_gold": any("gold" in one for one in told["people"]),
        "people": rows,
    }


def cards(queue: Queue, after: int = 0) -> tuple[list[str], int | None]:
    """Cards to look at, twenty, and after which task the next ones come."""
    query = select(tasks).where(tasks.c.queue == queue.id, tasks.c.id > after)
    with queue.store.read() as connection:
        rows = connection.execute(query.order_by(tasks.c.id).limit(_CARDS + 1)).all()
    drawn = [card(Task.of(row), queue.classes, is_read_only=True) for row in rows[:_CARDS]]
    return drawn, rows[_CARDS - 1].id if len(rows) > _CARDS else None


def curve_chart(curve: Sequence[Bought]) -> dict[str, Any] | None:
    """What labels bought, as a chart with what it shows for a title."""
    if not curve:
        return None
    title = bought_title(curve)
    return {"title": title, "chart": responsive(lambda width: bought(curve, title, width))}


def _agreeing(given: Sequence[Standing]) -> dict[str, dict[str, Any]]:
    """Of each person, the share of others' answers to the same records that were the same."""
    by_record: dict[str, list[Standing]] = defaultdict(list)
    for one in given:
        if one.label is not None and one.kind != "gold":
            by_record[one.record].append(one)
    same: dict[str, list[bool]] = defaultdict(list)
    for answers in by_record.values():
        for one in answers:
            others = [other for other in answers if other.person != one.person]
            same[one.person] += [other.label == one.label for other in others]
    return {
        name: {"value": sum(each) / len(each), "low": None, "high": None, "n": len(each)}
        for name, each in same.items()
        if each
    }


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    told = asdict(estimate)
    return {key: None if value != value else value for key, value in told.items()}


def _share(told: dict[str, Any] | None) -> dict[str, str] | None:
    if told is None:
        return None
    ends = span(told["low"], told["high"]) if told["low"] is not None else ""
    return {"value": percent(told["value"]), "n": count(told["n"]), "span": ends}
