"""What people said of the sample: how often the suspected run was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from leaven.evaluate.intervals import wilson
from leaven.store.store import Store
from leaven.store.tables import answers, queues, tasks

__all__ = ["Relabelled", "relabelled"]


@dataclass(frozen=True)
class Relabelled:
    """Of `asked` records `n` were answered, and of `right` of these the run's guess is confirmed.

    `share` with its interval of 95 % is of those drawn by chance alone, `n` of them; of those that
    were drawn because the run was not sure of them nothing follows for others.
    """

    asked: int
    answered: int
    confirmed: int
    n: int
    right: int
    share: float | None
    low: float | None
    high: float | None


def relabelled(store: Store, batch: str) -> Relabelled | None:
    """What came of the sample of an incident; None where none was drawn."""
    query = (
        select(tasks.c.id, tasks.c.guess, tasks.c.origin, answers.c.label)
        .outerjoin(answers, answers.c.task == tasks.c.id)
        .join(queues, queues.c.id == tasks.c.queue)
        .where(tasks.c.batch == batch, tasks.c.kind == "ask")
        .order_by(tasks.c.id, answers.c.event)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return None
    said: dict[int, Any] = {row.id: row for row in rows if row.label is not None}  # the latest
    right = {id_: bool(row.guess) and row.guess[0][0] == row.label for id_, row in said.items()}
    chance = [right[id_] for id_, row in said.items() if row.origin.get("by_chance")]
    asked = len({row.id for row in rows})
    if not chance:
        return Relabelled(asked, len(said), sum(right.values()), 0, 0, None, None, None)
    low, high = wilson(sum(chance), len(chance))
    share = sum(chance) / len(chance)
    return Relabelled(
        asked, len(said), sum(right.values()), len(chance), sum(chance), share, float(low),
        float(high),
    )  # fmt: skip
