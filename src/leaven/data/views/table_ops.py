"""Views of rows and vectors.

Every operation says `draw(values, rng)` and `apply(values, drawn)`; `apply` is a pure function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from leaven.data.views.draws import others, uniform

__all__ = ["DropColumns", "MixRows", "Noise", "SwapCells", "cells"]


def cells(widths: Sequence[int], device: torch.device) -> torch.Tensor:
    """(sum of widths,) the cell to which each column belongs.

    >>> cells([1, 3, 1], torch.device("cpu"))
    tensor([0, 1, 1, 1, 2])
    """
    counts = torch.tensor(widths, device=device, dtype=torch.long)
    return torch.arange(len(widths), device=device).repeat_interleave(counts)


@dataclass(frozen=True)
class SwapCells:
    """Give cells, with a rate drawn a record from [low, high), another record's value.

    SCARF's corruption (Bahri et al. 2022, algorithm 1): each cell's lender is drawn on its own
    among the other records of the batch, so a column keeps its distribution and a row loses its
    dependences. A rate is the share of cells replaced; the lender's value may happen to be equal.
    A missing value is a value like others.
    """

    low: float
    high: float

    def draw(self, size: int, count: int, rng: torch.Generator) -> torch.Tensor:
        """(size, count) the record that each of `count` cells is taken from, often its own."""
        rate = uniform((size, 1), rng, self.low, self.high)
        swapped = uniform((size, count), rng) < rate
        own = torch.arange(size, device=rng.device)[:, None]
        return torch.where(swapped, others((size, count), rng), own)

    def apply(self, values: torch.Tensor, lenders: torch.Tensor) -> torch.Tensor:
        """`values` (n, columns) with each column's values from `lenders` (n, columns)."""
        return values.gather(0, lenders)


@dataclass(frozen=True)
class MixRows:
    """Move rows towards another record's by a share drawn a record from [low, high).

    Mixup of records without their labels (Zhang et al. 2018, arXiv:1710.09412), which holds for
    small shares alone: numbers are interpolated, and what has no middle, a category or a number
    that one of the two lacks, is the nearer record's.
    """

    low: float
    high: float

    def draw(self, size: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """(size,) partners, never oneself, and (size, 1) shares of the way to them."""
        return others((size,), rng), uniform((size, 1), rng, self.low, self.high)

    def apply(self, values: torch.Tensor, drawn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """(n, columns) floats, NaN where missing, or whole numbers, which are categories."""
        partner, share = drawn
        theirs = values[partner]
        nearer = torch.where(share < 0.5, values, theirs)
        if not values.is_floating_point():
            return nearer
        middle = torch.lerp(values, theirs, share)
        return torch.where(middle.isnan(), nearer, middle)


@dataclass(frozen=True)
class Noise:
    """Add normal noise: `share` of each column's standard deviation within the batch."""

    share: float

    def draw(self, values: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, columns) standard normal."""
        return torch.randn(values.shape, generator=rng, device=rng.device)

    def apply(self, values: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The values and their noise; a batch of one has no deviation and gets none."""
        return values + self.share * values.std(0, correction=0) * drawn

    def __call__(self, values: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(values, self.draw(values, rng))


@dataclass(frozen=True)
class DropColumns:
    """Set values, with a rate drawn a record from [low, high), to their column's mean.

    The mean within the batch, not zero: after the encoder has standardised, it is zero.
    """

    low: float
    high: float

    def draw(self, values: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, columns) true where a value goes."""
        rate = uniform((len(values), 1), rng, self.low, self.high)
        return uniform(tuple(values.shape), rng) < rate

    def apply(self, values: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The values with those that go replaced."""
        return torch.where(drawn, values.mean(0), values)

    def __call__(self, values: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(values, self.draw(values, rng))
