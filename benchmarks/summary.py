"""Rows of results as the figures that are shown: means over seeds with their spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.results import latest

__all__ = ["Column", "Figure", "Place", "Summary", "signed"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A mean in points (hundredths) over n seeds; the spread is a standard deviation."""

    mean: float
    spread: float | None
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Figure | None:
        """The figure of shares between 0 and 1; None if there are none."""
        if not values:
            return None
        points = [100 * value for value in values]
        return cls(mean(points), stdev(points) if len(points) > 1 else None, len(points))

    def __str__(self) -> str:
        spread = "" if self.spread is None else f" ± {self.spread:.1f}"
        return f"{self.mean:.1f}{spread}"


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


class Summary:
    """The last row of each fit, and the figures made of those that went well.

    `columns` has the peers first, in the order of their table, then Leaven; `places` keeps the
    order in which the sets came, labels rising.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = list(latest(rows).values())
        self.good = [row for row in self.rows if row["status"] == "ok"]
        self.failed = [row for row in self.rows if row["status"] != "ok"]
        if not self.good:
            raise ValueError("There is no row that went well. Run `python -m benchmarks` first.")
        order = list(PEERS)
        found = dict.fromkeys(_column(row) for row in self.rows)
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

    def of(self, column: Column, place: Place | None = None) -> list[Row]:
        """The rows of a column, or of one of its places, that went well."""
        rows = [row for row in self.good if _column(row) == column]
        return rows if place is None else [row for row in rows if _place(row) == place]

    def figure(
        self, column: Column, place: Place, model: str = "shipped", metric: str = "accuracy"
    ) -> Figure | None:
        """Mean over seeds of one of the column's models; None where no fit went well."""
        scores = [row["scores"] for row in self.of(column, place)]
        return Figure.of([score[model][metric] for score in scores if model in score])

    def gain(self, column: Column, place: Place, model: str = "shipped") -> Figure | None:
        """A model's accuracy minus that of the baseline in the same run, over seeds."""
        scores = [row["scores"] for row in self.of(column, place)]
        return Figure.of(
            [
                score[model]["accuracy"] - score["baseline"]["accuracy"]
                for score in scores
                if "baseline" in score
            ]
        )

    def best(self, place: Place, columns: list[Column], metric: str) -> Column | None:
        """The column with the highest mean there."""
        found = [(f.mean, c) for c in columns if (f := self.figure(c, place, metric=metric))]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def ahead(self, column: Column) -> list[tuple[float, Place]]:
        """By place, the column's mean minus that of the peer which is best there by test records.

        A place where the column or every peer is missing is left out.
        """
        peers = [other for other in self.columns if not other.ours]
        found = []
        for place in self.places:
            own, rival = self.figure(column, place), self.best(place, peers, "accuracy")
            other = self.figure(rival, place) if rival else None
            if own and other:
                found.append((own.mean - other.mean, place))
        return found

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
        main = self.main
        ahead = self.ahead(main) if main else []
        if main is None or not ahead:
            return f"Accuracy with few labels on {len(self.sets)} sets"
        average = mean(points for points, _ in ahead)
        worst, where = min(ahead, key=lambda pair: pair[0])
        side = "above" if average >= 0 else "below"
        said = f"{self.title(main)} is {abs(average):.1f} points {side} the best scikit-learn peer"
        if len(ahead) == 1:
            return f"{said} on {where}"
        return f"{said} on average, {signed(worst)} at worst ({where})"


def signed(points: float) -> str:
    """A difference with its sign, a true minus.

    >>> signed(-3.14), signed(0.02)
    ('−3.1', '+0.0')
    """
    return f"{points:+.1f}".replace("-", "−")


def _column(row: Row) -> Column:
    return Column(row["kind"], row["method"], row["budget"])


def _place(row: Row) -> Place:
    return Place(row["set"], row["labels"])
