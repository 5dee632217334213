"""Normal scores and one-hot categories, frozen: what graphs and linear models read of a table."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.table_scores import TableScores

__all__ = ["TabularStandard"]


class TabularStandard(Encoder):
    """The table's scores as they are; nothing in it is trained by labels."""

    name = "tabular-standard"
    modality = "tabular"
    summary = "normal scores of the quantiles, one-hot categories, frozen"
    size = "tiny"
    ready = True

    def __init__(self, numeric: int, levels: tuple[int, ...]) -> None:
        super().__init__(numeric=numeric, levels=list(levels))
        self.scores = TableScores(numeric, levels)
        self.width = self.scores.width

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The number of numeric inputs, and of levels a categorical column."""
        return TableScores.configure(spec)

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Quantiles and shares."""
        self.scores.prepare(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) scores."""
        scores: Tensor = self.scores(batch)
        return scores


ENCODERS.add(TabularStandard.name, TabularStandard)
