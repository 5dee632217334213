"""A two-layer network for tables."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.table_scores import TableScores

__all__ = ["TabularMLP"]


class TabularMLP(Encoder):
    """The table's scores through two hidden layers, and past them: (scores, hidden) → features.

    The scores themselves stay among the features, so that with few labels the head can be the
    linear model it would have been without the hidden layers.
    """

    name = "tabular-mlp"
    modality = "tabular"
    summary = "two hidden layers of 256 beside the plain scores"
    size = "base"

    def __init__(self, numeric: int, levels: tuple[int, ...], hidden: int = 256) -> None:
        super().__init__(numeric=numeric, levels=list(levels), hidden=hidden)
        self.scores = TableScores(numeric, levels)
        self.body = nn.Sequential(
            nn.Linear(self.scores.width, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
        )
        self.width = self.scores.width + hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The number of numeric inputs, and of levels a categorical column."""
        return TableScores.configure(spec)

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Quantiles and shares."""
        self.scores.prepare(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, scores) of the row's cells."""
        scores: Tensor = self.scores(batch)
        return scores

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the scores and the hidden layers."""
        return torch.cat([entered, self.body(entered)], 1)

    def layers(self) -> list[nn.Module]:
        """The two hidden layers, each with its norm."""
        parts = list(self.body)
        return [nn.ModuleList(parts[:3]), nn.ModuleList(parts[4:])]


ENCODERS.add(TabularMLP.name, TabularMLP)
