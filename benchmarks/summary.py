"""Rows of results as the figures that are shown: means over seeds with their spread."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean, stdev
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.results import latest

__all__ = ["Column", "Duel", "Figure", "Place", "Summary", "signed"]

Row = dict[str, Any]
#: Balanced accuracy so little above one by the number of classes is that of a guess.
_CHANCE = 0.02


@dataclass(frozen=True)
class Figure:
    """A mean in points (hundredths) over n values; the spread is a standard deviation."""

    mean: float
    spread: float | None
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Figure | None:
        """The figure of shares between 0 and 1, or of their differences; None if there are none."""
        if not values:
            return None
        points = [100 * value for value in values]
        return cls(mean(points), stdev(points) if len(points) > 1 else None, len(points))

    def within(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean by Student's t; None for one value alone."""
        if self.spread is None:
            return None
        half = _quantile(self.n - 1) * self.spread / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def __str__(self) -> str:
        return f"{self.mean:.1f}{self._spread}"

    @property
    def gain(self) -> str:
        """As a difference, with its sign."""
        return signed(self.mean) + self._spread

    @property
    def _spread(self) -> str:
        return "" if self.spread is None else f" ± {self.spread:.1f}"


@lru_cache
def _quantile(freedom: int) -> float:
    """97.5 % of Student's t with so many degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


@dataclass(frozen=True, order=True)
class Column:
    """One way to a model: a peer, or a method of Leaven with its budget."""

    kind: str
    method: str
    budget: str

    @property
    def ours(self) -> bool:
        """Whether it is Leaven."""
        return self.kind == "ours"


@dataclass(frozen=True)
class Place:
    """A set with a number of labels a class."""

    set: str
    labels: int

    def __str__(self) -> str:
        return f"{self.set} with {self.labels} labels a class"


@dataclass(frozen=True)
class Duel:
    """Ours at a place, and the peer whose mean over the seeds is the highest there.

    `lead` is ours minus the peer's, and `gain` the accuracy of ours minus its own baseline's, seed
    by seed.
    """

    place: Place
    ours: Figure
    peer: Column
    theirs: Figure
    lead: Figure
    baseline: Figure | None
    gain: Figure | None


class Summary:
    """The last row of each fit, and the figures made of those that went well.

    `columns` has the peers first, in the order of their table, then Leaven; `places` keeps the
    order in which the sets came, labels rising. `absent` are fits that lacked a package.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = list(latest(rows).values())
        self.good = [row for row in self.rows if row["status"] == "ok"]
        self.absent = [row for row in self.rows if row["status"] == "absent"]
        self.failed = [row for row in self.rows if row["status"] not in ("ok", "absent")]
        if not self.good:
            raise ValueError("There is no row that went well. Run `python -m benchmarks` first.")
        order = list(PEERS)
        found = dict.fromkeys(_column(row) for row in self.rows if row["status"] != "absent")
        peers = [column for column in found if not column.ours]
        peers.sort(key=lambda c: order.index(c.method) if c.method in order else len(order))
        self.columns = peers + [column for column in found if column.ours]
        self.sets = list(dict.fromkeys(row["set"] for row in self.rows))
        self.labels = sorted({row["labels"] for row in self.rows})
        there = {_place(row) for row in self.rows}
        self.places = [
            place for name in self.sets for labels in self.labels
            if (place := Place(name, labels)) in there
        ]  # fmt: skip
        self._by_cell: dict[tuple[Column, Place], list[Row]] = {}
        for row in self.good:
            self._by_cell.setdefault((_column(row), _place(row)), []).append(row)

    def title(self, column: Column) -> str:
        """The column's name on the page; with the budget where there are several."""
        if not column.ours:
            return PEERS[column.method].title if column.method in PEERS else column.method
        budgets = {other.budget for other in self.columns if other.ours}
        return f"Leaven {column.method}" + (f", {column.budget}" if len(budgets) > 1 else "")

    @property
    def seeds(self) -> list[int]:
        """The seeds that occur."""
        return sorted({row["seed"] for row in self.rows})

    @property
    def modalities(self) -> dict[str, str]:
        """Of each set that has a row which went well, what its records are."""
        return {row["set"]: row["modality"] for row in self.good}

    def of(self, column: Column, place: Place | None = None) -> list[Row]:
        """The rows of a column, or of one of its places, that went well."""
        if place is not None:
            return self._by_cell.get((column, place), [])
        return [row for row in self.good if _column(row) == column]

    def figure(
        self, column: Column, place: Place, model: str = "shipped", metric: str = "accuracy"
    ) -> Figure | None:
        """Mean over seeds of one of the column's models; None where no fit went well."""
        scores = [row["scores"] for row in self.of(column, place)]
        return Figure.of([_score(score, model, metric) for score in scores if model in score])

    def gain(self, column: Column, place: Place, model: str = "shipped") -> Figure | None:
        """A model's accuracy minus that of the baseline in the same run, over seeds."""
        scores = [row["scores"] for row in self.of(column, place)]
        both = [score for score in scores if {model, "baseline"} <= score.keys()]
        return Figure.of(
            [score[model]["accuracy"] - score["baseline"]["accuracy"] for score in both]
        )

    def guesses(self, column: Column, place: Place) -> bool:
        """Whether its answers there tell the classes apart no better than chance does.

        By balanced accuracy, which is one by the number of classes for whoever names one class
        for all records; this close to it counts.
        """
        told = self.figure(column, place, metric="balanced_accuracy")
        classes = [row["n"]["classes"] for row in self.of(column, place)]
        return told is not None and told.mean < 100 * (1 / max(classes) + _CHANCE)

    def best(self, place: Place, columns: list[Column], metric: str) -> Column | None:
        """The column with the highest mean there."""
        found = [(f.mean, c) for c in columns if (f := self.figure(c, place, metric=metric))]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def rival(self, place: Place, metric: str = "accuracy", able: bool = False) -> Column | None:
        """The peer that is best there by test records; if `able`, of those that do not guess."""
        peers = [column for column in self.columns if not column.ours]
        if able:
            peers = [column for column in peers if not self.guesses(column, place)]
        return self.best(place, peers, metric)

    def duels(self, column: Column, metric: str = "accuracy", able: bool = False) -> list[Duel]:
        """The column beside the best peer of each place, where both have a seed in common."""
        rivals = {place: self.rival(place, metric, able) for place in self.places}
        duels = (self._duel(column, peer, place, metric) for place, peer in rivals.items() if peer)
        return [duel for duel in duels if duel]

    def duels_with(self, column: Column, peer: Column) -> list[Duel]:
        """The column beside one and the same peer, at each place where it was fitted."""
        duels = (self._duel(column, peer, place, "accuracy") for place in self.places)
        return [duel for duel in duels if duel]

    def _duel(self, column: Column, peer: Column, place: Place, metric: str) -> Duel | None:
        ours, theirs = (self.figure(who, place, metric=metric) for who in (column, peer))
        lead = self._lead(column, peer, place, metric)
        if ours is None or theirs is None or lead is None:
            return None
        baseline, gain = self.figure(column, place, "baseline"), self.gain(column, place)
        return Duel(place, ours, peer, theirs, lead, baseline, gain)

    def _lead(self, column: Column, peer: Column, place: Place, metric: str) -> Figure | None:
        one, other = (
            {row["seed"]: _score(row["scores"], "shipped", metric) for row in self.of(who, place)}
            for who in (column, peer)
        )
        return Figure.of([one[seed] - other[seed] for seed in one if seed in other])

    def unequal(self, place: Place, ratio: float) -> bool:
        """Whether the largest class of the test part is more than so many times the smallest."""
        sizes = (row["n"] for row in self.good if _place(row) == place)
        return any(n.get("largest_by_smallest", 1) > ratio for n in sizes)

    def outcomes(self, column: Column, place: Place) -> Counter[str]:
        """How often each verdict was given."""
        return Counter(row["run"]["outcome"] for row in self.of(column, place))

    @property
    def main(self) -> Column | None:
        """What the headline is about: Leaven without settings, else its first column."""
        ours = [column for column in self.columns if column.ours]
        return next((c for c in ours if c.method == "auto"), ours[0] if ours else None)

    def headline(self) -> str:
        """The finding in one sentence."""
        duels = self.duels(self.main) if self.main else []
        if self.main is None or not duels:
            return f"Accuracy with few labels on {len(self.sets)} sets"
        average = mean(duel.lead.mean for duel in duels)
        worst = min(duels, key=lambda duel: duel.lead.mean)
        side = "above" if average >= 0 else "below"
        said = f"{self.title(self.main)} is {abs(average):.1f} points {side} the best peer"
        if len(duels) == 1:
            return f"{said} on {worst.place}"
        count = len({duel.place.set for duel in duels})
        return (
            f"{said} of each of {count} sets on average, {signed(worst.lead.mean)} at worst "
            f"({worst.place})"
        )


def signed(points: float) -> str:
    """A difference with its sign, a true minus.

    >>> signed(-3.14), signed(0.02)
    ('−3.1', '+0.0')
    """
    return f"{points:+.1f}".replace("-", "−")


def _score(scores: dict[str, dict[str, float]], model: str, metric: str) -> float:
    """A model's figure; of balanced accuracy, by the answers that the shipped model gives for it.

    Leaven's model is asked which of the two it is to decide for; a peer has one answer to both.
    """
    if (model, metric) == ("shipped", "balanced_accuracy") and "balanced" in scores:
        model = "balanced"
    return scores[model][metric]


def _column(row: Row) -> Column:
    return Column(row["kind"], row["method"], row["budget"])


def _place(row: Row) -> Place:
    return Place(row["set"], row["labels"])
