"""What a load on servers shows, held against what was released and what the store has.

Nothing here asks a server: the evidence is the rows of `benchmarks.serving_load`, the history of
the releases, the answers of each version by its own model, and the tables of the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from benchmarks.serving_load import Row
from leaven.operate.releases import Event, folded
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["Expected", "Findings", "Outage", "Stood", "judged", "stood_of"]

#: Seconds in which a decision must be followed, times in which the store is away aside.
_FOLLOWED = 5.0
_NEAR = 1e-4  # between two ways to compute a probability

#: (records, classes) of each version, and its classes in order, by service.
Expected = Mapping[str, Mapping[str, tuple[Sequence[str], npt.NDArray[np.float64]]]]


class Outage(NamedTuple):
    """A time in which the store was away, in seconds since 1970."""

    name: str
    began: float
    ended: float


class Stood(NamedTuple):
    """A version that was live or canary, and from when to when."""

    version: str
    began: float
    ended: float


@dataclass
class Findings:
    """What was found. `late` are seconds by which answers came from what no longer stood,
    `seconds` the times of single records by phase."""

    answers: int = 0
    records: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong_version: int = 0
    wrong_answer: int = 0
    late: list[float] = field(default_factory=list)
    cut: int = 0
    cut_elsewhere: int = 0
    forbidden: int = 0
    acknowledged: int = 0
    lost_truth: int = 0
    doubled_truth: int = 0
    refused_truth: int = 0
    unacknowledged: int = 0
    not_logged: int = 0
    misattributed: int = 0
    processes: set[int] = field(default_factory=set)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """In words."""
        statuses = sorted(self.statuses.items())
        told = [
            f"answers {self.answers}, records {self.records}",
            f"wrong version {self.wrong_version}, wrong answer {self.wrong_answer}",
            f"by what no longer stood {len(self.late)}, {max(self.late, default=0):.2f} s at most",
            f"truth acknowledged {self.acknowledged}, lost {self.lost_truth}",
            f"truth doubled {self.doubled_truth}, refused for good {self.refused_truth}",
            f"truth not acknowledged at the end {self.unacknowledged}",
            f"not in the log {self.not_logged}, under another version {self.misattributed}",
            f"connections cut {self.cut}, of these not by a kill {self.cut_elsewhere}",
            f"5xx that must not be {self.forbidden}",
            f"processes that told their status {len(self.processes)}",
            ", ".join(f"{kind} {status or 'cut'}: {n}" for (kind, status), n in statuses),
        ]
        for phase, took in self.seconds.items():
            half, most, last = np.quantile(took, (0.5, 0.95, 0.99)) * 1000
            shown = f"median {half:.0f}, 95 % {most:.0f}, 99 % {last:.0f}"
            told.append(f"{phase}: n {len(took)}, {shown}, {1000 * max(took):.0f} ms at most")
        return told


def stood_of(service: str, history: Sequence[Event]) -> list[Stood]:
    """Which version was live or canary from when to when."""
    ends = [event.at for event in history[1:]] + [float("inf")]
    found = []
    for place, (event, end) in enumerate(zip(history, ends, strict=True)):
        state = folded(service, history[: place + 1])
        found += [
            Stood(one.digest, event.at, end)
            for one in (state.live, state.canary)
            if one is not None
        ]
    return found


def judged(
    rows: Sequence[Row],
    stood: Mapping[str, Sequence[Stood]],
    expected: Expected,
    kept: Store,
    outages: Sequence[Outage],
    kills: Sequence[float],
) -> Findings:
    """Hold all of it against each other."""
    found = Findings()
    for row in rows:
        found.statuses[row.kind, row.status] += 1
        _count_failure(found, row, kills)
        if row.process:
            found.processes.add(row.process)
        if row.status == 200 and row.said:
            _hold_answer(found, row, stood[row.service], expected[row.service], outages)
        if row.kind == "single" and row.status == 200:
            phase = _phase(row, outages)
            found.seconds.setdefault(phase, []).append(row.received - row.sent)
    _hold_truth(found, rows, kept)
    _hold_log(found, rows, kept)
    return found


def _count_failure(found: Findings, row: Row, kills: Sequence[float]) -> None:
    if row.status == 0:
        found.cut += 1
        found.cut_elsewhere += not any(row.sent - 1 <= at <= row.received + 1 for at in kills)
    if row.status >= 500:
        allowed = row.status == 503 and row.retry is not None and row.kind == "truth"
        found.forbidden += not allowed


def _hold_answer(
    found: Findings,
    row: Row,
    stood: Sequence[Stood],
    expected: Mapping[str, tuple[Sequence[str], npt.NDArray[np.float64]]],
    outages: Sequence[Outage],
) -> None:
    found.answers += 1
    found.records += len(row.about)
    late = _late(row, stood, outages)
    if late > 0:
        found.late.append(late)
    found.wrong_version += late > _FOLLOWED
    classes, probabilities = expected[row.version]
    said = np.array([[told[name] for name in classes] for _, told in row.said])
    found.wrong_answer += not np.allclose(said, probabilities[row.about], rtol=0, atol=_NEAR)


def _late(row: Row, stood: Sequence[Stood], outages: Sequence[Outage]) -> float:
    """Seconds since the version no longer stood when it was asked, outages aside; inf for one that
    had not stood yet."""
    own = [one for one in stood if one.version == row.version and one.began <= row.received]
    if not own:
        return float("inf")
    end = max(one.ended for one in own)
    if end >= row.sent:
        return 0.0
    away = sum(max(0.0, min(row.sent, one.ended) - max(end, one.began)) for one in outages)
    return row.sent - end - away


def _phase(row: Row, outages: Sequence[Outage]) -> str:
    for one in outages:
        if one.began <= row.sent < one.ended:
            return one.name
    past = sum(one.ended <= row.sent for one in outages)
    return "before" if not past else f"after {outages[past - 1].name}"


def _hold_truth(found: Findings, rows: Sequence[Row], kept: Store) -> None:
    """Each truth that was acknowledged must be in the store once, as it was told."""
    told = [row for row in rows if row.truth is not None]
    acknowledged = {row.truth[0]: row.truth[1] for row in told if row.truth and row.status == 200}
    others = {row.truth[0]: row.status for row in told if row.truth}  # the last status of each
    with kept.read() as connection:
        query = select(feedback.c.prediction, feedback.c.label)
        there = Counter(tuple(row) for row in connection.execute(query))
    found.acknowledged = len(acknowledged)
    found.lost_truth = sum(not there[one] for one in acknowledged.items())
    found.doubled_truth = sum(times > 1 for times in there.values())
    found.refused_truth = sum(status in (404, 409, 422) for status in others.values())
    found.unacknowledged = sum(status in (0, 429, 503) for status in others.values())


def _hold_log(found: Findings, rows: Sequence[Row], kept: Store) -> None:
    """Each answer should be in the log, under the version that gave it."""
    with kept.read() as connection:
        query = select(predictions.c.name, predictions.c.digest)
        heard = query.where(predictions.c.place.in_(("live", "canary")))
        logged = {row.name: row.digest for row in connection.execute(heard)}
    for row in rows:
        for name, _ in row.said:
            found.not_logged += name not in logged
            found.misattributed += logged.get(name, row.version) != row.version
