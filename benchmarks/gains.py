"""Rows of the comparison of all methods as figures: accuracy, and gain over the baseline by seed.

A gain is paired: a method's accuracy minus that of its supervised baseline on the same draw of
labels, with the same encoder and the same steps. Its 95 % interval is Student's over seeds, with
n - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.results import latest, read
from benchmarks.summary import Figure, Place, signed

__all__ = ["STEPS", "Gain", "Gains", "Measured", "budget_of", "read_gains"]

#: Of each fit, if not asked otherwise.
STEPS = 400
Row = dict[str, Any]


@dataclass(frozen=True)
class Gain:
    """A mean difference in points over n seeds; `reach` is half its 95 % interval."""

    mean: float
    reach: float | None
    n: int

    @classmethod
    def of(cls, points: list[float]) -> Gain | None:
        """The gain of paired differences, one a seed; None if there are none."""
        if not points:
            return None
        n = len(points)
        if n == 1:
            return cls(points[0], None, 1)
        from scipy.stats import t

        reach = float(t.ppf(0.975, n - 1)) * stdev(points) / math.sqrt(n)
        return cls(mean(points), reach, n)

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return None if self.reach is None else self.mean - self.reach

    @property
    def high(self) -> float | None:
        """The interval's upper end."""
        return None if self.reach is None else self.mean + self.reach

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return signed(self.mean)
        return f"{signed(self.mean)} [{signed(self.low)}, {signed(self.high)}]"


@dataclass(frozen=True)
class Measured:
    """What was found of one method at one place; accuracies in %, gain in points."""

    method: str
    place: Place
    accuracy: Figure
    baseline: Figure | None
    gain: Gain | None
    cpu_seconds: float


class Gains:
    """The last row of each fit of so many steps, of methods that are registered.

    `methods` are sorted by family, supervised ones first; `places` by the sets as they came.
    """

    def __init__(self, rows: list[Row], steps: int = STEPS) -> None:
        from leaven.learn.method import METHODS

        self.steps, self.known = steps, METHODS
        self.rows = [
            row
            for row in latest(rows).values()
            if row["method"] in METHODS and row["budget"] == budget_of(row["method"], steps)
        ]
        self.good = [row for row in self.rows if row["status"] == "ok"]
        self.failed = [row for row in self.rows if row["status"] != "ok"]
        self.methods = sorted({row["method"] for row in self.rows}, key=self._order)
        self.seeds = sorted({row["seed"] for row in self.rows})
        sets = list(dict.fromkeys(row["set"] for row in self.rows))
        labels = sorted({row["labels"] for row in self.rows})
        there = {_place(row) for row in self.rows}
        self.places = [p for name in sets for n in labels if (p := Place(name, n)) in there]

    def _order(self, name: str) -> tuple[bool, str, bool, str]:
        method = self.known[name]
        return (method.family != "supervised", method.family, method.unlabelled, name)

    def of(self, name: str) -> list[Measured]:
        """What was found of a method, place by place."""
        return [found for place in self.places if (found := self.at(name, place)) is not None]

    def at(self, name: str, place: Place) -> Measured | None:
        """What was found of a method at one place; None where no fit went well."""
        rows = self._by_seed(name, place)
        accuracy = Figure.of([_accuracy(row) for row in rows.values()])
        if accuracy is None:
            return None
        pairs = self._pairs(name, place)
        return Measured(
            name,
            place,
            accuracy,
            Figure.of([_accuracy(other) for _, other in pairs.values()]),
            Gain.of([_points(*pair) for pair in pairs.values()]),
            mean(row["cost"]["cpu_seconds"] for row in rows.values()),
        )

    def overall(self, name: str) -> Gain | None:
        """The gain in the mean of all places, over the seeds that have every place."""
        pairs = [self._pairs(name, place) for place in self.places]
        whole = [seed for seed in self.seeds if all(seed in found for found in pairs)]
        return Gain.of([mean(_points(*found[seed]) for found in pairs) for seed in whole])

    def headline(self) -> str:
        """The finding in one sentence."""
        found = [(gain, name) for name in self.methods if (gain := self.overall(name))]
        if not found:
            return "No method has a baseline beside it at every place yet"
        best, name = max(found, key=lambda pair: pair[0].mean)
        above = sum(gain.low is not None and gain.low > 0 for gain, _ in found)
        below = sum(gain.high is not None and gain.high < 0 for gain, _ in found)
        return (
            f"Of {len(found)} methods that read unlabelled records, {above} are above their "
            f"supervised baseline and {below} below it with the whole 95 % interval, in the mean "
            f"of {len(self.places)} cases; {name} gains most, {best} points"
        )

    def _by_seed(self, name: str, place: Place) -> dict[int, Row]:
        return {
            row["seed"]: row for row in self.good if row["method"] == name and _place(row) == place
        }

    def _pairs(self, name: str, place: Place) -> dict[int, tuple[Row, Row]]:
        """By seed, the row of a method and that of its baseline, if the encoder is the same."""
        baseline = self.known[name].baseline
        if baseline == name:
            return {}
        others = self._by_seed(baseline, place)
        return {
            seed: (row, others[seed])
            for seed, row in self._by_seed(name, place).items()
            if seed in others and others[seed]["encoder"] == row["encoder"]
        }


def read_gains(path: Path, steps: int = STEPS) -> Gains | None:
    """The figures of a file of results; None where it holds no row of that many steps."""
    gains = Gains(read(path), steps)
    return gains if gains.rows else None


def budget_of(name: str, steps: int) -> str:
    """What a row says of the steps: nothing for methods that take none."""
    from leaven.learn.method import METHODS

    return f"{steps}steps" if METHODS[name].stepped else ""


def _place(row: Row) -> Place:
    return Place(row["set"], row["labels"])


def _accuracy(row: Row) -> float:
    return float(row["scores"]["accuracy"])


def _points(row: Row, baseline: Row) -> float:
    return 100 * (_accuracy(row) - _accuracy(baseline))
