"""What the store knows of a service in production: answers, truths, agreement, sketches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, select

from leaven.operate.canary.guard import MIRROR
from leaven.operate.health.frame import Frame, Hour
from leaven.operate.health.promise import entropies
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.sketch_tables import sketches
from leaven.store.store import Store

__all__ = ["Answers", "Truths", "agreement", "answers", "counted", "first_answer", "truths"]

Floats = npt.NDArray[np.float64]

_HEARD = ("live", "canary")
_MOST, _MOST_ENTROPIES = 50_000, 5_000
_SHADOW = "shadow"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model said, the latest first: (n,) labels, confidences, and the entropies of the first
    of them."""

    labels: tuple[str, ...]
    confidence: Floats
    entropy: Floats


@dataclass(frozen=True, eq=False)
class Truths:
    """Truths of answers that were drawn at random, in the order in which they came.

    (n,) whether the answer was right, how sure it was, and when the truth came; of each content the
    first.
    """

    right: npt.NDArray[np.bool_]
    confidence: Floats
    at: Floats


def answers(
    store: Store, service: str, digest: str, since: float, until: float, most: int = _MOST
) -> Answers:
    """The latest `most` answers of a model in a time, that were heard."""
    query = (
        select(predictions.c.label, predictions.c.probability)
        .where(*_of(service, digest, since, until))
        .order_by(predictions.c.at.desc())
        .limit(most)
    )
    whole = (
        select(predictions.c.probabilities)
        .where(*_of(service, digest, since, until))
        .order_by(predictions.c.at.desc())
        .limit(min(most, _MOST_ENTROPIES))
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
        said = list(connection.execute(whole).scalars())
    sure = np.clip(np.array([row.probability for row in rows], np.float64), 0, 1)
    return Answers(tuple(row.label for row in rows), sure, entropies(said))


def first_answer(store: Store, service: str, digest: str) -> float | None:
    """When a model was first heard; None where it was not yet."""
    mine = (predictions.c.service == service) & (predictions.c.digest == digest)
    query = select(predictions.c.at).where(mine, predictions.c.place.in_(_HEARD))
    query = query.order_by(predictions.c.at).limit(1)
    with store.read() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else float(found)


def truths(store: Store, service: str, digest: str, most: int = 100_000) -> Truths:
    """All truths of a model's answers that judge it.

    Only of answers that were drawn at random (`explored`), and never those that were brought about
    by what was done because of the answer (`caused`).
    """
    heard = and_(
        predictions.c.name == feedback.c.prediction,
        predictions.c.service == service,
        predictions.c.place.in_(_HEARD),
        predictions.c.digest == digest,
        predictions.c.explored.is_(True),
    )
    columns = (
        feedback.c.content, feedback.c.label, feedback.c.at,
        predictions.c.label.label("said"), predictions.c.probability,
    )  # fmt: skip
    query = (
        select(*columns)
        .join(predictions, heard)
        .where(feedback.c.service == service, feedback.c.caused.is_(False))
        .order_by(feedback.c.id)
        .limit(most)
    )
    first: dict[str, Any] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            first.setdefault(row.content, row)
    rows = list(first.values())
    return Truths(
        np.array([row.label == row.said for row in rows], bool),
        np.clip(np.array([row.probability for row in rows], np.float64), 0, 1),
        np.array([row.at for row in rows], np.float64),
    )


def agreement(
    store: Store, service: str, digests: Sequence[str], since: float
) -> npt.NDArray[np.bool_]:
    """(n,) whether a model that was asked and not heard said the same as the one that was."""
    query = (
        select(predictions.c.agrees)
        .where(
            predictions.c.service == service, predictions.c.at >= since,
            predictions.c.place.in_((_SHADOW, MIRROR)), predictions.c.digest.in_(digests),
            predictions.c.agrees.is_not(None),
        )
        .order_by(predictions.c.at.desc())
        .limit(_MOST)
    )  # fmt: skip
    with store.read() as connection:
        return np.array(list(connection.execute(query).scalars()), bool)


def counted(
    store: Store, service: str, digest: str, since: float, until: float, frame: Frame
) -> Hour | None:
    """The sketches of the hours in a time added up; None where none fits the frame."""
    query = select(sketches.c.n, sketches.c.strange, sketches.c.counts).where(
        sketches.c.service == service, sketches.c.digest == digest,
        sketches.c.hour >= int(since // 3600), sketches.c.hour <= int(until // 3600),
    )  # fmt: skip
    whole: Hour | None = None
    with store.read() as connection:
        for row in connection.execute(query):
            hour = frame.read(row.n, row.strange, row.counts)
            if hour is None:  # the reference was kept anew since
                continue
            whole = hour if whole is None else whole + hour
    return whole


def _of(service: str, digest: str, since: float, until: float) -> tuple[Any, ...]:
    return (
        predictions.c.service == service, predictions.c.at >= since, predictions.c.at < until,
        predictions.c.digest == digest, predictions.c.place.in_(_HEARD),
    )  # fmt: skip
