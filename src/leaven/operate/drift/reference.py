"""What a model was made for, as sketches that are frozen, and sketches of what comes in.

A `Reference` holds the grids; `Reference.sketch` counts any records on them. Sketches add, so each
server and each hour may have its own.

Records may be parted: into *seasons* (the hour of the week, say), whose mix is then no drift, and
into *slices* (a country, a customer), each of which is looked at by itself. Parts are counted in
256 coarser bins a column, and there are at most 200 of them: seasons by nature, slices by their
number of records, the rest of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, UnknownNameError
from leaven.operate.drift.columns import Names, Values
from leaven.operate.drift.sketch import Categories, Counts, Numbers

__all__ = ["PARTS", "REST", "Parts", "Reference", "Sketch"]

#: At most so many seasons and slices, each.
PARTS = 200
REST = "all others"

Grid = Numbers | Categories
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Records by season, or by slice: (n,) positions among the names of the parts."""

    codes: Positions
    names: tuple[str, ...]

    @classmethod
    def of(cls, named: Names, most: int = PARTS) -> Parts:
        """The most frequent ones by name, the rest of them together; the missing are `missing`."""
        counted = np.bincount(named.codes, minlength=len(named.names))
        order = np.argsort(-counted, kind="stable")
        kept = order if len(order) <= most else order[: most - 1]
        place = np.full(len(named.names), len(kept), np.int64)
        place[kept] = np.arange(len(kept))
        names = tuple("missing" if (n := named.names[i]) is None else n for i in kept)
        return cls(place[named.codes], names if len(kept) == len(order) else (*names, REST))

    def among(self, names: Sequence[str]) -> Positions:
        """(n,) positions among other names; of unknown parts that of the rest, or -1."""
        known = {name: i for i, name in enumerate(names)}
        rest = known.get(REST, -1)
        table = np.array([known.get(name, rest) for name in self.names], np.int64)
        return table[self.codes] if len(self.codes) else self.codes


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts of n records on the grids of a reference.

    `counts` has (cells,) of each column; `seasons` and `slices`, where the reference has them,
    (parts, bins) of each column, and `season_sizes`, `slice_sizes` (parts,) the records of each.
    """

    n: int
    counts: dict[str, Counts]
    seasons: dict[str, Counts] = field(default_factory=dict)
    slices: dict[str, Counts] = field(default_factory=dict)
    season_sizes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    slice_sizes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))

    def __add__(self, other: Sketch) -> Sketch:
        """The sketch of both together, as if made in one pass."""
        return Sketch(
            self.n + other.n,
            _sums(self.counts, other.counts),
            _sums(self.seasons, other.seasons),
            _sums(self.slices, other.slices),
            self.season_sizes + other.season_sizes,
            self.slice_sizes + other.slice_sizes,
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """The grids of the columns, the parts' names, and the sketch of the reference itself."""

    grids: dict[str, Grid]
    own: Sketch
    seasons: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, values: Mapping[str, Values], seasons: Parts | None = None, slices: Parts | None = None
    ) -> Reference:
        """The reference of columns of equal length n. Raises DataError where there is no record."""
        if not values or not len(next(iter(values.values()))):
            raise DataError("A reference needs at least one record and one column to watch.")
        grids = {name: _grid(given) for name, given in values.items()}
        counts = {name: _count(grid, values[name]) for name, grid in grids.items()}
        n = len(next(iter(values.values())))
        plain = cls(
            grids, Sketch(n, counts),
            () if seasons is None else seasons.names, () if slices is None else slices.names,
        )  # fmt: skip
        return replace(plain, own=plain._sketch(n, counts, values, seasons, slices))

    @cached_property
    def bins(self) -> dict[str, npt.NDArray[np.uint16]]:
        """(cells,) of each column, which bin each cell is of in the sketches of parts."""
        return {
            name: grid.bins(self.own.counts[name])
            if isinstance(grid, Numbers)
            else np.arange(grid.cells, dtype=np.uint16)
            for name, grid in self.grids.items()
        }

    def sketch(
        self,
        values: Mapping[str, Values],
        seasons: Parts | None = None,
        slices: Parts | None = None,
    ) -> Sketch:
        """Count records (n of each column) on the reference's grids.

        Columns that the reference does not know are left out; one that is missing is an error, as
        is a column that holds categories where the reference holds numbers.
        """
        counts = {}
        for name, grid in self.grids.items():
            if name not in values:
                raise UnknownNameError("column", name, list(values))
            counts[name] = _count(grid, _fitting(name, grid, values[name]))
        n = len(next(iter(values.values()))) if values else 0
        return self._sketch(n, counts, values, seasons, slices)

    def _sketch(
        self,
        n: int,
        counts: dict[str, Counts],
        values: Mapping[str, Values],
        seasons: Parts | None,
        slices: Parts | None,
    ) -> Sketch:
        """The sketch of n records with these counts, and with those of each season and slice."""
        none = np.full(n, -1, np.int64)
        places = [
            (names, none if given is None else given.among(names))
            for names, given in ((self.seasons, seasons), (self.slices, slices))
        ]
        tables: list[dict[str, Counts]] = [{}, {}]
        if self.seasons or self.slices:
            for name, grid in self.grids.items():
                binned = self.bins[name][_cells(grid, values[name])]
                width = int(self.bins[name].max()) + 1
                for table, (names, place) in zip(tables, places, strict=True):
                    if names:
                        table[name] = _crossed(place, len(names), binned, width)
        sizes = [np.bincount(p[p >= 0], minlength=len(names)) for names, p in places]
        by_season, by_slice = (size.astype(np.int64) for size in sizes)
        return Sketch(n, counts, tables[0], tables[1], by_season, by_slice)


def _sums(a: Mapping[str, Counts], b: Mapping[str, Counts]) -> dict[str, Counts]:
    return {name: a[name] + b[name] for name in a}


def _grid(values: Values) -> Grid:
    if isinstance(values, Names):
        counted = np.bincount(values.codes, minlength=len(values.names))
        return Categories.of_counts(dict(zip(values.names, counted.tolist(), strict=True)))
    return Numbers.of(values)


def _fitting(name: str, grid: Grid, values: Values) -> Values:
    """The values, where they are what the reference has in this column; DataError otherwise."""
    if isinstance(grid, Categories) != isinstance(values, Names):
        wanted, got = ("categories", "numbers")[:: 1 if isinstance(grid, Categories) else -1]
        raise DataError(
            f"The column '{name}' holds {wanted} in the reference and {got} in what came in. "
            "Read both alike."
        )
    return values


def _count(grid: Grid, values: Values) -> Counts:
    if isinstance(grid, Numbers):
        return grid.count(values)  # type: ignore[arg-type]
    return np.bincount(_cells(grid, values), minlength=grid.cells).astype(np.int64)


def _cells(grid: Grid, values: Values) -> Positions:
    """(n,) the cell of each value."""
    if isinstance(grid, Numbers):
        return grid.cells_of(values)  # type: ignore[arg-type]
    assert isinstance(values, Names)
    table = np.array([grid.place(name) for name in values.names], np.int64)
    return table[values.codes] if len(values.codes) else values.codes


def _crossed(place: Positions, parts: int, binned: npt.NDArray[np.uint16], width: int) -> Counts:
    """(parts, width) how many records of each part lie in each bin."""
    known = place >= 0
    flat = place[known] * width + binned[known]
    return np.bincount(flat, minlength=parts * width).reshape(parts, width).astype(np.int64)
