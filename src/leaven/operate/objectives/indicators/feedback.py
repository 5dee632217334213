"""Feedback loops: truth that the model's own answers brought about, and that teaches it again.

What people tell of answers that nobody drew is not told of all alike. So it is held against the
truth of answers that were drawn at random (`leaven serve --explore`), by bounds that hold at any
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import and_, case, func, select

from leaven.core.errors import DataError
from leaven.core.wording import count, many, points
from leaven.operate.objectives.indicator import INDICATORS, Figure, FigureIndicator, Subject
from leaven.operate.objectives.looked import health_of
from leaven.store.prediction_tables import feedback, predictions

_HEARD = ("live", "canary")
_SIDE = 0.025
_DAYS = 30
_MOST = 100_000
_AT_ONCE = 500  # contents in a question to the store
_ALONE = Figure(0.0, 0.0, 0.0, 0, "No truth came by itself.")
_NONE = (
    "No truth of an answer that was drawn at random is known: leaven serve --explore 0.02, "
    "POST /feedback."
)


def _bias(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """By how much more often the answers are right of which truth came by itself than those that
    were drawn, each against what its confidence lets expect."""
    import numpy as np

    from leaven.operate.canary.betting import Bets, difference_bounds

    drawn, other = _truths(subject)
    if not other:
        return _ALONE
    calibration = health_of(subject).promise.calibration

    def beyond(rows: list[Any]) -> Any:
        right = np.array([row.label == row.said for row in rows], np.float64)
        sure = np.clip(np.array([row.probability for row in rows], np.float64), 0, 1)
        expected = sure if calibration is None else calibration.expected(sure)
        return (1 + right - expected) / 2

    ours, theirs = beyond(other), beyond(drawn)
    low, high = difference_bounds(Bets(ours), Bets(theirs), _SIDE)
    value = 2 * float(ours.mean() - theirs.mean())
    shares = (
        f"{sum(row.label == row.said for row in rows)} of {count(len(rows))}"
        for rows in (other, drawn)
    )
    note = "{} answers were right of those whose truth came by itself, {} of those drawn.".format(
        *shares
    )
    return Figure(value, min(2 * low, value), max(2 * high, value), len(other) + len(drawn), note)


def _mix(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """By how much more or less of the truth that came by itself is of a class than of that which
    was drawn, of the class of which that is shown most."""
    import numpy as np

    from leaven.operate.canary.betting import Bets, difference_bounds

    drawn, other = (np.array([row.label for row in rows]) for rows in _truths(subject))
    if not len(other):
        return _ALONE
    classes = np.unique(np.concatenate([drawn, other]))
    found = []
    for name in classes.tolist():
        ours, theirs = other == name, drawn == name
        low, high = difference_bounds(Bets(ours), Bets(theirs), _SIDE / len(classes))
        value = float(ours.mean() - theirs.mean())
        low, high = min(low, value), max(high, value)
        found.append((max(low, -high), abs(value), max(high, -low), name, value))
    low, size, high, name, value = max(found)
    side = "more" if value > 0 else "less"
    note = f"Class '{name}' is {points(size, sign=False)} points {side} of it."
    return Figure(size, max(low, 0.0), high, len(other) + len(drawn), note)


def _explored(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """The share of the truths of 30 days that were drawn at random."""
    from leaven.evaluate.intervals import wilson

    drawn = case((predictions.c.explored.is_(True), 1), else_=0)
    query = (
        select(func.count(), func.coalesce(func.sum(drawn), 0))
        .join(predictions, _joined(subject))
        .where(
            feedback.c.service == subject.service, feedback.c.caused.is_(False),
            feedback.c.at > subject.now - _DAYS * 86_400.0,
        )
    )  # fmt: skip
    with subject.store.read() as connection:
        n, explored = map(int, connection.execute(query).one())
    if not n:
        raise DataError(f"No truth came back in {_DAYS} days.")
    low, high = (float(end) for end in wilson(explored, n))
    note = f"{count(explored)} of {many(n, 'truth', 'truths')} in {_DAYS} days."
    return Figure(explored / n, low, high, n, note)


def _caused(subject: Subject, _: Mapping[str, Any]) -> Figure:
    """The share of the labels that taught the live run that its service had brought about.

    They name what was told of the same content as caused, before the run was made, and nobody told
    the same of it otherwise. It is a count of all labels, so it has no interval.
    """
    from leaven.evaluate.folder import read_json
    from leaven.evaluate.lineage import FILE
    from leaven.evaluate.tables import read_parquet

    folder = Path(subject.folder)
    try:
        table = read_parquet(folder / FILE, ["content", "label", "origin"])
        made = datetime.fromisoformat(read_json(folder / "run.json")["run"]["created"])
    except (OSError, KeyError, TypeError, ValueError) as gone:
        raise DataError(f"The labels of the live run cannot be read at '{folder}'.") from gone
    kept = [row for row in table.to_pylist() if row["origin"] != "rule"]
    told = select(feedback.c.content, feedback.c.label).where(
        feedback.c.service == subject.service,
        feedback.c.at < made.timestamp() + 1,  # it is kept in whole seconds
    )
    with subject.store.read() as connection:
        rows = connection.execute(told.where(feedback.c.caused.is_(True)))
        caused = {(row.content, row.label) for row in rows}
        hits = [one for row in kept if (one := (row["content"], row["label"])) in caused]
        own: set[tuple[str, str]] = set()
        for start in range(0, len(hits), _AT_ONCE):
            some = [content for content, _ in hits[start : start + _AT_ONCE]]
            rows = connection.execute(
                told.where(feedback.c.caused.is_(False), feedback.c.content.in_(some))
            )
            own |= {(row.content, row.label) for row in rows}
    taught = sum(one not in own for one in hits)
    share = taught / max(len(kept), 1)
    note = f"{count(taught)} of {many(len(kept), 'label', 'labels')}."
    return Figure(share, share, share, len(kept), note)


def _truths(subject: Subject) -> tuple[list[Any], list[Any]]:
    """Truths of the live run's answers that were not caused, of each content the first: those that
    were drawn at random, and those that came by themselves of records that nobody was asked about.

    DataError where none was drawn.
    """
    if "truths" not in subject.seen:
        digest = health_of(subject).live.digest
        columns = (
            feedback.c.content, feedback.c.label, predictions.c.label.label("said"),
            predictions.c.probability, predictions.c.explored, predictions.c.route,
        )  # fmt: skip
        query = (
            select(*columns)
            .join(predictions, and_(_joined(subject), predictions.c.digest == digest))
            .where(feedback.c.service == subject.service, feedback.c.caused.is_(False))
            .order_by(feedback.c.id)
            .limit(_MOST)
        )
        with subject.store.read() as connection:
            first = {row.content: row for row in reversed(connection.execute(query).all())}
        drawn = [row for row in first.values() if row.explored]
        other = [row for row in first.values() if not row.explored and row.route == "answer"]
        subject.seen["truths"] = drawn, other
    drawn, other = subject.seen["truths"]
    if not drawn:
        raise DataError(_NONE)
    return drawn, other


def _joined(subject: Subject) -> Any:
    return and_(
        predictions.c.name == feedback.c.prediction,
        predictions.c.service == subject.service,
        predictions.c.place.in_(_HEARD),
    )


INDICATORS.add(
    "feedback-bias",
    FigureIndicator(
        "feedback-bias",
        "Truth that came by itself agrees with the answers more than truth drawn at random",
        "leaven feedback {service}",
        0.02,
        measure=_bias,
        most=True,
    ),
)

INDICATORS.add(
    "feedback-mix",
    FigureIndicator(
        "feedback-mix",
        "Truth that came by itself is of other classes than truth drawn at random",
        "leaven feedback {service}",
        0.05,
        measure=_mix,
        most=True,
    ),
)

INDICATORS.add(
    "explored-truth",
    FigureIndicator(
        "explored-truth",
        "Truth that was drawn at random, of all that came back",
        "leaven feedback {service}",
        0.01,
        measure=_explored,
        severity="note",
    ),
)

INDICATORS.add(
    "caused-labels",
    FigureIndicator(
        "caused-labels",
        "Labels that taught the live run and that its own answers had caused",
        "leaven feedback {service}",
        0.01,
        measure=_caused,
        most=True,
    ),
)
