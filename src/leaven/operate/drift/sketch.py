"""Sketches of columns: what is kept of millions of values, on a grid frozen with the reference.

A sketch is counts of cells. The grid says which cell a value lies in and never changes, so two
sketches on one grid can be compared cell by cell and added to each other: of two servers, of two
hours. A sketch is made in one pass, chunk by chunk, in memory that does not grow with the values.

Numbers are centred and scaled by the reference's middle and spread and rounded to 16-bit floating
point, whose 65 536 values are the cells: in order, as fine as a twentieth of a percent of the
distance from the middle, out to 65 504 spreads. The first cell counts what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CATEGORIES", "NEW", "OTHERS", "Categories", "Counts", "Numbers"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Categories that are counted by name; the others of the reference count as one.
CATEGORIES = 1000
OTHERS, NEW = "all others", "not seen before"
#: Rarer categories whose hashes are kept, so that they are not taken for new.
_KNOWN = 200_000
_CHUNK = 1 << 18
_CODES = 1 << 16
_BINS = 256
_MINUS_ZERO = 1 << 15  # as a pattern


def _ordered() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float16]]:
    """The 16-bit patterns of all numbers, least first, and what they are worth; of one zero."""
    patterns = np.arange(_CODES, dtype=np.uint16)
    numbers = patterns.view(np.float16)
    kept = patterns[~np.isnan(numbers) & (patterns != _MINUS_ZERO)]
    order = np.argsort(kept.view(np.float16), kind="stable")
    return kept[order], kept[order].view(np.float16)


_PATTERNS, _WORTH = _ordered()
#: The cell of each pattern; those of no number are missing.
_CELLS = np.zeros(_CODES, np.int64)
_CELLS[_PATTERNS] = np.arange(1, len(_PATTERNS) + 1)
_CELLS[_MINUS_ZERO] = _CELLS[0]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The grid of a column of numbers: where its middle lies and how wide it spreads.

    >>> grid = Numbers.of(np.array([1.0, 2.0, 3.0]))
    >>> counts = grid.count(np.array([2.0, 2.0, np.nan]))
    >>> int(counts.sum()), int(counts[0])
    (3, 1)
    """

    centre: float
    scale: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Numbers:
        """The grid for values like these (n,), NaN where missing."""
        given = np.asarray(values, np.float64)
        known = given[np.isfinite(given)]
        if not len(known):
            return cls(0.0, 1.0)
        if len(known) > _CHUNK:  # spread over all of it, as the values may be sorted
            known = known[:: len(known) // _CHUNK]
        low, centre, high = np.quantile(known, [0.25, 0.5, 0.75])
        spread = float(high - low) / 1.349 or float(known.std()) or abs(float(centre)) or 1.0
        return cls(float(centre), spread)

    @property
    def cells(self) -> int:
        """How many cells a sketch has: the missing, then the numbers in order."""
        return 1 + len(_PATTERNS)

    def count(self, values: npt.ArrayLike) -> Counts:
        """(cells,) how many of the values (n,) lie in each cell; NaN is missing."""
        given = np.asarray(values)
        found = np.zeros(_CODES, np.int64)
        for start in range(0, len(given), _CHUNK):
            found += np.bincount(self._patterns(given[start : start + _CHUNK]), minlength=_CODES)
        found[0] += found[_MINUS_ZERO]
        numbers = found[_PATTERNS]
        return np.concatenate([[len(given) - numbers.sum()], numbers])

    def cells_of(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(n,) the cell of each value."""
        return _CELLS[self._patterns(np.asarray(values))]

    def _patterns(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """(n,) the 16-bit patterns of the values, centred and scaled."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.centre) / self.scale
            return scaled.astype(np.float16).view(np.uint16)

    @cached_property
    def worth(self) -> Floats:
        """(cells - 1,) the numbers that the cells after the first stand for; the ends infinite."""
        worth: Floats = _WORTH.astype(np.float64) * self.scale + self.centre
        return worth

    def bins(self, reference: Counts) -> npt.NDArray[np.uint16]:
        """(cells,) which of at most 257 coarser bins each cell is of, for sketches of many parts.

        Bin 0 is the missing; the others hold about equally many of the reference's values.
        """
        below = np.cumsum(reference[1:]) - reference[1:]
        total = max(int(reference[1:].sum()), 1)
        return np.concatenate([[0], 1 + (below * _BINS // total).clip(0, _BINS - 1)]).astype(
            np.uint16
        )

    def quantile(self, counts: Counts, q: float) -> float:
        """The q-quantile of what a sketch counted; NaN where it counted no number."""
        up = np.cumsum(counts[1:])
        if not up[-1]:
            return float("nan")
        return float(self.worth[min(int(np.searchsorted(up, q * up[-1])), len(up) - 1)])


@dataclass(frozen=True, eq=False)
class Categories:
    """The grid of a column of categories: the missing, each frequent one, the others, the new.

    `rare` are hashes of what the reference knew beyond `names`; None where those were too many to
    keep, and then nothing counts as new.

    >>> grid = Categories.of_counts({"a": 2, "b": 1, None: 1})
    >>> grid.cell_names
    ('missing', 'a', 'b', 'all others', 'not seen before')
    >>> grid.place("c")
    4
    """

    names: tuple[str, ...]
    rare: frozenset[int] | None = field(default=frozenset())

    @classmethod
    def of_counts(cls, counted: Mapping[str | None, int]) -> Categories:
        """The grid for categories of which there are so many each, None being missing."""
        named = sorted(
            ((name, n) for name, n in counted.items() if name is not None and n),
            key=lambda pair: (-pair[1], pair[0]),
        )
        beyond = named[CATEGORIES:]
        rare = frozenset(_hash(name) for name, _ in beyond) if len(beyond) <= _KNOWN else None
        return cls(tuple(name for name, _ in named[:CATEGORIES]), rare)

    @property
    def cell_names(self) -> tuple[str, ...]:
        """What each cell counts."""
        return ("missing", *self.names, OTHERS, NEW)

    @property
    def cells(self) -> int:
        """How many cells a sketch has."""
        return len(self.names) + 3

    @cached_property
    def _place(self) -> dict[str | None, int]:
        return {None: 0} | {name: i + 1 for i, name in enumerate(self.names)}

    def place(self, name: str | None) -> int:
        """The cell of one category."""
        known = self._place.get(name)
        if known is not None:
            return known
        new = self.rare is not None and _hash(str(name)) not in self.rare
        return self.cells - 1 if new else self.cells - 2


def _hash(name: str) -> int:
    told = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(told.digest(), "big")
