"""What was answered while it was wrong, drawn from the log of predictions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, and_, func, select

from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["CONTRADICTED", "LEAST_SURE", "RANDOM", "answered", "confused", "drawn"]

#: The kinds of answers that are drawn.
LEAST_SURE, CONTRADICTED, RANDOM = "least sure", "sure and contradicted", "random"
_HEARD = ("live", "canary")
_LATEST = 200_000  # answers among which some are drawn by chance
_KEPT = (
    "id", "name", "at", "run", "digest", "place", "content", "label", "probability",
    "probabilities", "route", "explored",
)  # fmt: skip


def drawn(
    store: Store, service: str, since: float, until: float, most: int, seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Answers of a time that somebody heard, `most` of each kind, as plain values.

    Those of which the model was least sure; those of which it was most sure and that truth
    contradicts, with that `truth` (not where it was caused by the answer); and some drawn by
    chance. The first two have each content once.
    """
    mine = _of(service, since, until)
    names = tuple(predictions.c[name] for name in _KEPT)
    unsure = select(*names).where(*mine).order_by(predictions.c.probability, predictions.c.id)
    heard = and_(feedback.c.prediction == predictions.c.name, feedback.c.caused.is_(False))
    wrong = (
        select(*names, feedback.c.label.label("truth"))
        .join(feedback, heard)
        .where(*mine, feedback.c.label != predictions.c.label)
        .order_by(predictions.c.probability.desc(), predictions.c.id)
    )
    latest = select(predictions.c.id).where(*mine).order_by(predictions.c.at.desc()).limit(_LATEST)
    with store.read() as connection:
        found = {
            LEAST_SURE: _first(connection, unsure, most),
            CONTRADICTED: _first(connection, wrong, most),
        }
        ids = sorted(connection.execute(latest).scalars())
        chosen = random.Random(seed).sample(ids, min(most, len(ids)))
        some = select(*names).where(predictions.c.id.in_(chosen)).order_by(predictions.c.id)
        found[RANDOM] = [dict(row) for row in connection.execute(some).mappings()]
    return found


def answered(
    store: Store, service: str, digests: Collection[str], since: float, until: float
) -> set[str]:
    """The contents that these models answered in a time, of the latest answers."""
    query = (
        select(predictions.c.content)
        .where(*_of(service, since, until), predictions.c.digest.in_(digests))
        .order_by(predictions.c.at.desc())
        .limit(_LATEST)
    )
    with store.read() as connection:
        return set(connection.execute(query).scalars())


def confused(store: Store, service: str, since: float, until: float) -> list[dict[str, Any]]:
    """What answers of a time were taken for what, by truth that was not caused by them.

    Each has the `run`, what it `said`, the `truth`, how often (`n`), and of how many such answers
    the truth is known (`of`); the most frequent first.
    """
    heard = and_(feedback.c.prediction == predictions.c.name, feedback.c.caused.is_(False))
    columns = predictions.c.run, predictions.c.label, feedback.c.label
    query = select(*columns, func.count()).join(feedback, heard)
    with store.read() as connection:
        rows = connection.execute(query.where(*_of(service, since, until)).group_by(*columns)).all()
    told: Counter[tuple[str, str]] = Counter()
    for run, said, _, n in rows:
        told[run, said] += n
    wrong = [
        {"run": run, "said": said, "truth": truth, "n": n, "of": told[run, said]}
        for run, said, truth, n in rows
        if said != truth
    ]
    return sorted(wrong, key=lambda one: (-one["n"], one["run"], one["said"], one["truth"]))


def _of(service: str, since: float, until: float) -> tuple[Any, ...]:
    return (
        predictions.c.service == service, predictions.c.at >= since, predictions.c.at <= until,
        predictions.c.place.in_(_HEARD),
    )  # fmt: skip


def _first(connection: Any, query: Select[Any], most: int) -> list[dict[str, Any]]:
    """The first rows with different contents."""
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query.limit(most * 20)).mappings():
        found.setdefault(row["content"], dict(row))
    return list(found.values())[:most]
