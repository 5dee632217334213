"""What the log of predictions says of a time: over that time, by class, by certainty, by model.

Where only a share was logged, each row counts for those that were not (its inverse probability).
Times are sorted into buckets by the database, so that a log of any length gives a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    select,
)

from leaven.operate.metrics.catalogue import SECONDS
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["Asked", "Group", "Period", "Prediction", "groups", "listed", "over_time", "quantile"]

_HEARD = ("live", "canary")  # the places whose answers somebody got
_BINS = 10  # of probabilities


@dataclass(frozen=True)
class Period:
    """From `since` to before `until` (seconds since 1970), in so many slots."""

    since: float
    until: float
    slots: int = 24

    @property
    def each(self) -> float:
        """Seconds of a slot."""
        return (self.until - self.since) / self.slots

    @property
    def before(self) -> Period:
        """The time of the same length before it."""
        return Period(2 * self.since - self.until, self.since, self.slots)

    def ends(self, slot: int) -> tuple[float, float]:
        """When a slot begins and ends."""
        return self.since + slot * self.each, self.since + (slot + 1) * self.each


@dataclass(frozen=True)
class Group:
    """Answers that have something in common.

    `answered` and `reviewed` (of them, sent to people) are weighted; `rows` are those in the log.
    `times` are the weights by bucket of `SECONDS`, the slower ones last. Truth came back of `known`
    rows, of which `right` were right; of `compared` ones another model said the same of `agreed`.
    """

    key: tuple[Any, ...]
    rows: int
    answered: float
    reviewed: float
    times: tuple[float, ...]
    known: int
    right: int
    compared: int
    agreed: int

    def slow(self, within: float) -> tuple[float, float]:
        """How many of those with a time took longer than a bound of a bucket, and of how many."""
        quick = sum(n for n, bound in zip(self.times, SECONDS, strict=False) if bound <= within)
        return sum(self.times) - quick, sum(self.times)


def quantile(times: Sequence[float], level: float) -> float | None:
    """The time below which that share lies, straight within its bucket; None where there is none.

    >>> quantile([0, 0, 10, 0], 0.5), quantile([], 0.5)
    (0.00375, None)
    """
    total, seen, low = sum(times), 0.0, 0.0
    if not total:
        return None
    for n, bound in zip(times, SECONDS, strict=False):
        if n and seen + n >= level * total:
            return low + (bound - low) * (level * total - seen) / n
        seen, low = seen + n, bound
    return SECONDS[-1]


def over_time(store: Store, service: str, period: Period) -> list[Group]:
    """A group a slot, those without an answer as well."""
    with store.read() as connection:
        slot = _floor(connection, (predictions.c.at - period.since) / period.each)
        found = {one.key[0]: one for one in _grouped(connection, service, period, [slot])}
    empty = (0.0,) * (len(SECONDS) + 1)
    return [found.get(i, Group((i,), 0, 0.0, 0.0, empty, 0, 0, 0, 0)) for i in range(period.slots)]


def groups(store: Store, service: str, period: Period, by: str) -> list[Group]:
    """Groups by `label`, `certainty` (tenths of the probability) or `model` (run, digest, place;
    also those whose answers nobody heard), the largest first."""
    with store.read() as connection:
        tenth = _floor(connection, predictions.c.probability * (_BINS - 1e-9))
        keys: Mapping[str, list[ColumnElement[Any]]] = {
            "label": [predictions.c.label],
            "certainty": [tenth],
            "model": [predictions.c.run, predictions.c.digest, predictions.c.place],
        }
        found = _grouped(connection, service, period, keys[by], heard=by != "model")
    return sorted(found, key=lambda one: (-one.answered, one.key))


@dataclass(frozen=True)
class Asked:
    """Which predictions: those of a time, and of these what is set. `truth` is right, wrong, known
    or "" for any; `slow` are seconds that it took at least; `before` the number of a row."""

    since: float
    until: float
    label: str = ""
    route: str = ""
    place: str = ""
    run: str = ""
    low: float = 0.0
    high: float = 1.0
    slow: float = 0.0
    truth: str = ""
    explored: bool = False
    before: int = 0


@dataclass(frozen=True)
class Prediction:
    """A row of the log, with what turned out to be true of it, if that is known."""

    number: int
    name: str
    at: float
    content: str
    label: str
    probability: float
    route: str
    place: str
    run: str
    digest: str
    seconds: float | None
    truth: str | None
    caused: bool | None


def listed(store: Store, service: str, asked: Asked, most: int) -> list[Prediction]:
    """The latest of them, `most` at once."""
    table = predictions.c
    where = [table.service == service, table.at >= asked.since, table.at < asked.until]
    for name in ("label", "route", "place", "run"):
        if value := getattr(asked, name):
            where.append(table[name] == value)
    if asked.low > 0 or asked.high < 1:
        where.append(table.probability.between(asked.low, asked.high))
    if asked.slow:
        where.append(table.seconds > asked.slow)
    if asked.explored:
        where.append(table.explored)
    if asked.before:
        where.append(table.id < asked.before)
    if asked.truth:
        where.append(feedback.c.id.is_not(None))
    if asked.truth in ("right", "wrong"):
        same = feedback.c.label == table.label
        where += [~feedback.c.caused, same if asked.truth == "right" else ~same]
    columns = (
        table.id.label("number"), table.name, table.at, table.content, table.label,
        table.probability, table.route, table.place, table.run, table.digest, table.seconds,
        feedback.c.label.label("truth"), feedback.c.caused,
    )  # fmt: skip
    query = (
        select(*columns)
        .select_from(predictions)
        .outerjoin(feedback, feedback.c.prediction == table.name)
        .where(*where)
        .order_by(table.id.desc())
        .limit(most)
    )
    with store.read() as connection:
        return [Prediction(**row) for row in connection.execute(query).mappings()]


def _grouped(
    connection: Connection,
    service: str,
    period: Period,
    keys: Sequence[ColumnElement[Any]],
    *,
    heard: bool = True,
) -> list[Group]:
    query = _query(service, period, keys, heard=heard)
    found = []
    for row in connection.execute(query):
        key, told = tuple(row[: len(keys)]), row[len(keys) :]
        rows, answered, reviewed, known, right, compared, agreed, *below = told
        times = [b - a for a, b in zip([0.0, *below], below, strict=False)]
        found.append(
            Group(key, rows, answered, reviewed, tuple(times), known, right, compared, agreed)
        )
    return found


def _query(
    service: str, period: Period, keys: Sequence[ColumnElement[Any]], *, heard: bool
) -> Select[Any]:
    table = predictions.c
    weight = 1 / table.logged
    timed = table.seconds.is_not(None)
    known = and_(feedback.c.id.is_not(None), ~feedback.c.caused)
    sums = (
        _sum(table.route == "review", weight),
        _sum(known),
        _sum(and_(known, feedback.c.label == table.label)),
        _sum(table.agrees.is_not(None)),
        _sum(table.agrees),
        *(_sum(and_(timed, table.seconds <= bound), weight) for bound in SECONDS),
        _sum(timed, weight),
    )
    named = [key.label(f"key_{i}") for i, key in enumerate(keys)]
    query = (
        select(*named, func.count(), func.sum(weight), *sums)
        .select_from(predictions)
        .outerjoin(feedback, feedback.c.prediction == table.name)
        .where(table.service == service, table.at >= period.since, table.at < period.until)
        .group_by(*named)
    )
    return query.where(table.place.in_(_HEARD)) if heard else query


def _sum(condition: Any, of: Any = 1) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, of), else_=0)), 0)


def _floor(connection: Connection, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The whole number below one that is not negative."""
    if connection.dialect.name == "sqlite":
        return cast(value, Integer)
    return cast(func.floor(cast(value, Float)), Integer)
