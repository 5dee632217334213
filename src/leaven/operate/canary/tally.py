"""Rows of the log, as evidence: each key once, by its first request.

What one asker sends resembles itself, so a thousand requests of one say little more than one. A key
counts by its first request, in a step for the arms, over all steps for the pairs; a request of
several records counts by their mean.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.operate.canary.signals import Arms, Evidence

__all__ = ["Tally"]

Floats = npt.NDArray[np.float64]
#: Requests of the live run by which is told what is slow; they are not judged by it themselves.
_REFERENCE = 100
#: Keys of a place that are held. With more it begins anew, lest a canary that turns bad after days
#: is seen late; that spends the share of false alarms of a step again.
_MOST_KEYS = 50_000


@dataclass(slots=True)
class _Unit:
    """The first request of a key."""

    request: str
    failed: bool
    seconds: float
    records: int = 0
    confidence: float = 0.0
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Pair:
    """The first request of a key that both were asked."""

    request: str
    records: int = 0
    otherwise: int = 0


class Tally:
    """Counts what is seen of a canary and the run beside it.

    Parameters
    ----------
    latency, quick : see `Policy`: what is slow.
    """

    def __init__(self, latency: float, quick: float) -> None:
        self._latency, self._quick = latency, quick
        self._arms: dict[str, dict[float, _Unit]] = {"canary": {}, "live": {}}
        self._pairs: dict[float, _Pair] = {}
        self._truths: dict[float, tuple[float, float]] = {}

    def new_step(self) -> None:
        """Forget the arms, whose shares have changed; the pairs count on."""
        self._arms = {"canary": {}, "live": {}}

    @property
    def answered(self) -> int:
        """Keys that the canary was asked by in this step."""
        return len(self._arms["canary"])

    def add_answers(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Answers that were heard, and requests that failed, in order of time.

        A row has `place`, `position` and `request`; `status` where it failed, else `label`,
        `probability` and `seconds`.
        """
        for row in rows:
            units, failed = self._arms[row["place"]], row.get("status") is not None
            unit = units.get(row["position"])
            if unit is None:
                if len(units) >= _MOST_KEYS:
                    self.new_step()
                    units = self._arms[row["place"]]
                unit = _Unit(row["request"], failed, row["seconds"] or 0.0)
                units[row["position"]] = unit
            if unit.request != row["request"] or failed:
                continue
            unit.records += 1
            unit.confidence += row["probability"]
            unit.labels[row["label"]] = unit.labels.get(row["label"], 0) + 1

    def add_pairs(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Answers of whichever was asked and not heard: `position`, `request`, `agrees`."""
        for row in rows:
            pair = self._pairs.get(row["position"])
            if pair is None:
                if len(self._pairs) >= _MOST_KEYS:
                    self._pairs = {}
                pair = self._pairs[row["position"]] = _Pair(row["request"])
            if pair.request == row["request"]:
                pair.records += 1
                pair.otherwise += not row["agrees"]

    def set_truths(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """All truth of explored records that both were asked, in the order in which it came.

        A row has `position`, `truth`, and `canary`, `canary_sure`, `live`, `live_sure`: what each
        said and how sure it was.
        """
        self._truths = {}
        for row in rows:
            if row["position"] in self._truths:
                continue
            right = {name: float(row[name] == row["truth"]) for name in ("canary", "live")}
            wrong = {name: (row[f"{name}_sure"] - right[name]) ** 2 for name in right}
            self._truths[row["position"]] = (
                right["live"] - right["canary"],
                wrong["canary"] - wrong["live"],
            )

    def evidence(self) -> Evidence:
        """All of it, as arrays."""
        canary, live = (
            [unit for unit in self._arms[place].values() if not unit.failed and unit.records]
            for place in ("canary", "live")
        )
        slow_from, slow = self._slow(canary, live)
        truths = np.array(list(self._truths.values()), dtype=np.float64).reshape(-1, 2)
        return Evidence(
            errors=Arms(*(_failures(self._arms[place].values()) for place in ("canary", "live"))),
            slow=slow,
            confidence=Arms(_sure(canary), _sure(live)),
            classes=_classes(canary, live) if canary and live else {},
            otherwise=np.array(
                [pair.otherwise / pair.records for pair in self._pairs.values()], np.float64
            ),
            accuracy=truths[:, 0],
            calibration=np.clip(truths[:, 1], -1, 1),
            slow_from=slow_from,
            ninety_five=(_ninety_five(canary), _ninety_five(live)),
        )

    def _slow(self, canary: list[_Unit], live: list[_Unit]) -> tuple[float | None, Arms]:
        """From when on a request is slow, by the first of the live run, and which are."""
        if len(live) <= _REFERENCE:
            return None, Arms()
        bound = max(self._latency * _ninety_five(live[:_REFERENCE]), self._quick)
        rest = (canary, live[_REFERENCE:])
        return bound, Arms(
            *(np.array([unit.seconds > bound for unit in units], np.float64) for units in rest)
        )


def _failures(units: Iterable[_Unit]) -> Floats:
    return np.array([unit.failed for unit in units], np.float64)


def _sure(units: list[_Unit]) -> Floats:
    return np.array([min(unit.confidence / unit.records, 1.0) for unit in units], np.float64)


def _ninety_five(units: list[_Unit]) -> float:
    seconds = [unit.seconds for unit in units]
    return float(np.quantile(seconds, 0.95)) if seconds else math.nan


def _classes(canary: list[_Unit], live: list[_Unit]) -> dict[str, Arms]:
    """Of each class, its share of each request's records."""
    found: dict[str, list[Floats]] = defaultdict(
        lambda: [np.zeros(len(canary)), np.zeros(len(live))]
    )
    for side, units in enumerate((canary, live)):
        for i, unit in enumerate(units):
            for label, times in unit.labels.items():
                found[label][side][i] = times / unit.records
    return {label: Arms(*sides) for label, sides in found.items()}
