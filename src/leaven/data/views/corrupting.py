"""SCARF's corruption of rows: so many cells, no more and no fewer, from other rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.views.draws import others, uniform

__all__ = ["CorruptCells"]


@dataclass(frozen=True)
class CorruptCells:
    """Give exactly `share` of each row's cells another row's value in the same column.

    Bahri et al. 2022 (SCARF), algorithm 1: ⌊share · columns⌋ cells, at least one, are chosen anew
    for each row, and each value is drawn by itself from what the column holds (its empirical
    marginal); here from the other records of the batch. The new value may happen to be equal.
    """

    share: float

    def draw(self, size: int, count: int, rng: torch.Generator) -> torch.Tensor:
        """(size, count) the record that each of `count` cells is taken from, often its own."""
        changed = max(1, int(self.share * count + 1e-9))  # 0.7 · 10 is a little less than 7
        order = uniform((size, count), rng).argsort(1)
        chosen = torch.zeros(size, count, dtype=torch.bool, device=rng.device)
        chosen.scatter_(1, order[:, :changed], True)
        own = torch.arange(size, device=rng.device)[:, None]
        return torch.where(chosen, others((size, count), rng), own)

    def apply(self, values: torch.Tensor, lenders: torch.Tensor) -> torch.Tensor:
        """`values` (n, columns) with each column's values from `lenders` (n, columns)."""
        return values.gather(0, lenders)
