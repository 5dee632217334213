"""Numbers of a table on one scale and its categories as indicators, learnt without labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modalities.tabular import BUCKETS
from leaven.data.modality import Spec
from leaven.learn.encoder import sample

__all__ = ["TableScores"]


class TableScores(nn.Module):
    """Numbers by their rank-like standard score, categories as scaled indicators.

    A number passes through the quantiles of the training records into a normal score: tables
    hold money and counts, whose tails would otherwise decide every distance. Missing is the
    median, with an indicator for columns that have missing cells.
    """

    grid: Tensor
    missing: Tensor
    share: Tensor

    def __init__(self, numeric: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.width = 2 * numeric + sum(levels)
        self.register_buffer("grid", torch.zeros(numeric, 65))
        self.register_buffer("missing", torch.zeros(numeric))
        self.register_buffer("share", torch.full((sum(levels),), 0.5))
        scores = torch.special.ndtri(torch.linspace(0.01, 0.99, 65))
        self.register_buffer("scores", scores, persistent=False)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The number of numeric inputs and of levels a categorical column (0 = unknown)."""
        return {
            "numeric": len(spec["numeric"]) + BUCKETS * len(spec["text"]),
            "levels": [len(levels) + 1 for levels in spec["categorical"].values()],
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Quantiles and shares from up to 50,000 records."""
        chosen = sample(index, 50_000, seed)
        numeric, codes = arrays["numeric"][chosen], arrays["codes"][chosen]
        for j in range(numeric.shape[1]):
            known = numeric[:, j][~np.isnan(numeric[:, j])]
            self.missing[j] = float(len(known) < len(numeric))
            if len(known):
                self.grid[j] = torch.from_numpy(
                    np.quantile(known, np.linspace(0, 1, 65)).astype(np.float32)
                )
        if self.levels:
            self.share.copy_(self._indicators(torch.from_numpy(codes)).mean(0).clamp(0.01, 0.99))

    def _indicators(self, codes: Tensor) -> Tensor:
        parts = [
            nn.functional.one_hot(codes[:, j].long(), size).float()
            for j, size in enumerate(self.levels)
        ]
        return torch.cat(parts, 1) if parts else codes.new_zeros((len(codes), 0)).float()

    def _scores(self, numeric: Tensor) -> Tensor:
        """Piecewise-linear quantile transform of each column, (batch, p)."""
        columns = numeric.T.contiguous()  # (p, batch)
        grid = self.grid.contiguous()
        # The middle of the run of equal grid values: a column of few distinct values would
        # otherwise be pushed to the low end of each step.
        low = torch.searchsorted(grid, columns, right=False).clamp(0, 64)
        high = (torch.searchsorted(grid, columns, right=True) - 1).clamp(0, 64)
        inside = (low > high) & (low > 0)  # strictly between two grid values
        left = torch.where(inside, low - 1, low)
        span = grid.gather(1, low) - grid.gather(1, left)
        part = torch.where(inside, (columns - grid.gather(1, left)) / span.clamp_min(1e-12), 0.5)
        at = torch.where(inside, left + part, (low + high.maximum(low)) / 2)
        floor = at.floor().clamp(0, 63).long()
        scores: Tensor = self.scores  # type: ignore[assignment]
        return (scores[floor] + (at - floor) * (scores[floor + 1] - scores[floor])).T

    def forward(self, batch: Batch) -> Tensor:
        """(batch, width) from numeric (batch, p) with NaN as missing and codes (batch, q)."""
        numeric = batch["numeric"]
        absent = numeric.isnan()
        known = numeric.nan_to_num(0.0)
        scores = torch.where(absent, 0.0, self._scores(known)) if numeric.shape[1] else known
        one_hot = self._indicators(batch["codes"])
        # Rare levels would weigh more than common ones under full standardisation; the square
        # root of their deviation sits between that and plain indicators.
        deviation = (self.share * (1 - self.share)).sqrt()
        scaled = (one_hot - self.share) / deviation.sqrt()
        return torch.cat([scores, absent.float() * self.missing, scaled], 1)
