"""Sketches that are small enough to be kept an hour, a model and a process: in bins of a reference.

Numbers are counted in 257 bins, which hold about equally many of the reference's values, so a gap
of two distributions is told to 0.4 points. Each bin is then written back to one cell of the
reference's grid, and the reference likewise, so that `drift.comparing` compares them as any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.operate.drift.columns import Names, Values
from leaven.operate.drift.reference import Reference, Sketch
from leaven.operate.drift.sketch import Categories, Counts, Numbers

__all__ = ["Frame", "Hour"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hour:
    """Counts of n records: (bins,) of each column, and how many of them are `strange`."""

    n: int
    strange: int
    counts: dict[str, Counts]

    def __add__(self, other: Hour) -> Hour:
        """Both together."""
        counts = {name: self.counts[name] + other.counts[name] for name in self.counts}
        return Hour(self.n + other.n, self.strange + other.strange, counts)


class Frame:
    """Counts records in the bins of a reference, of which it keeps no more than it needs for that.

    Attributes
    ----------
    digest : of the columns and their bins: counts of another frame are not to be added.
    expected : the share of records of the reference's kind that would be strange, at most: an
        extreme is passed by one in n + 1, a new category comes as often as those that were seen
        once (Good 1953).
    """

    def __init__(self, reference: Reference) -> None:
        self._columns = {name: _column(reference, name) for name in reference.grids}
        own = {
            name: np.add.reduceat(counts, self._columns[name].starts)
            for name, counts in reference.own.counts.items()
        }
        self._own = Hour(reference.own.n, 0, own)
        told = [(name, *column.told()) for name, column in self._columns.items()]
        self.digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
        self.expected = min(1.0, sum(_unseen(reference, name) for name in reference.grids))

    @cached_property
    def reference(self) -> Reference:
        """The same reference, with its own counts in bins."""
        grids = {name: column.grid for name, column in self._columns.items()}
        return Reference(grids, self.sketch(self._own))

    def count(self, values: Mapping[str, Values]) -> Hour:
        """Count records, n of each of the reference's columns."""
        counts: dict[str, Counts] = {}
        strange = np.zeros(len(next(iter(values.values()))), bool)
        for name, column in self._columns.items():
            cells = column.cells_of(values[name])
            strange |= column.is_unlike(cells)
            counts[name] = np.bincount(column.bins_of(cells), minlength=len(column.starts)).astype(
                np.int64
            )
        return Hour(len(strange), int(strange.sum()), counts)

    def told(self, hour: Hour) -> dict[str, Any]:
        """The counts as plain values: which frame's, and of each column the bins that have any."""
        columns = {
            name: [(some := np.flatnonzero(counts)).tolist(), counts[some].tolist()]
            for name, counts in hour.counts.items()
        }
        return {"frame": self.digest, "columns": columns}

    def read(self, n: int, strange: int, told: Mapping[str, Any]) -> Hour | None:
        """What `told` gave of n records; None for that of another frame."""
        if told.get("frame") != self.digest:
            return None
        counts = {}
        for name, column in self._columns.items():
            bins, many = told["columns"][name]
            counts[name] = np.zeros(len(column.starts), np.int64)
            counts[name][bins] = many
        return Hour(n, strange, counts)

    def sketch(self, hour: Hour) -> Sketch:
        """The counts on the reference's grid, each bin in one of its cells."""
        counts = {}
        for name, column in self._columns.items():
            counts[name] = np.zeros(column.grid.cells, np.int64)
            counts[name][column.stands_for] = hour.counts[name]
        return Sketch(hour.n, counts)


@dataclass(frozen=True, eq=False)
class _Column:
    """One column's bins: (bins,) the first cell of each, and that which stands for it.

    Between the cells `low` and `high`, both included, a value is like the reference's; a missing
    one is where `has_missing`.
    """

    grid: Numbers | Categories
    starts: Ints
    stands_for: Ints
    low: int
    high: int
    has_missing: bool

    def told(self) -> tuple[Any, ...]:
        """All by which it places values, as plain values."""
        grid = self.grid
        placed = [grid.centre, grid.scale] if isinstance(grid, Numbers) else list(grid.names)
        return placed, self.starts.tolist(), self.low, self.high, self.has_missing

    def cells_of(self, values: Values) -> Ints:
        """(n,) the cell of each value."""
        if isinstance(self.grid, Numbers):
            return self.grid.cells_of(values)  # type: ignore[arg-type]
        assert isinstance(values, Names)
        return np.array([self.grid.place(one) for one in values.names], np.int64)[values.codes]

    def bins_of(self, cells: Ints) -> Ints:
        """(n,) the bin of each cell."""
        return np.searchsorted(self.starts, cells, side="right").astype(np.int64) - 1

    def is_unlike(self, cells: Ints) -> npt.NDArray[np.bool_]:
        """(n,) whether a value there is unlike any of the reference."""
        outside = (cells < self.low) | (cells > self.high)
        return outside & (cells > 0) if self.has_missing else outside


def _column(reference: Reference, name: str) -> _Column:
    grid, own = reference.grids[name], reference.own.counts[name]
    bins = reference.bins[name].astype(np.int64)  # it never falls from cell to cell
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    ends = np.append(starts[1:], len(bins))
    stands_for = [a + int(own[a:b].argmax()) for a, b in zip(starts, ends, strict=True)]
    low, high = 1, len(own) - 2  # of categories the last cell is for new ones
    if isinstance(grid, Numbers):
        some = np.flatnonzero(own[1:])
        low, high = (1 + int(some[0]), 1 + int(some[-1])) if len(some) else (1, 0)
    return _Column(grid, starts, np.array(stands_for, np.int64), low, high, bool(own[0]))


def _unseen(reference: Reference, name: str) -> float:
    """The share of like records that have an unlike cell in this column, at most."""
    grid, own, n = reference.grids[name], reference.own.counts[name], reference.own.n
    missing = 0 if own[0] else 1
    if isinstance(grid, Numbers):
        return (2 + missing) / (n + 1)
    return (int((own[1:-2] == 1).sum()) + missing) / (n + 1)
