"""VIME: some cells of a row are another row's; which were changed, and what stood there before?

Yoon et al. 2020, "VIME: Extending the Success of Self- and Semi-supervised Learning to Tabular
Domain" (NeurIPS 2020), section 4.1, eq. 2-5: each cell is changed with chance p_m = 0.3 for the
value that its column has in another row; from the features one layer estimates which cells differ
(binary cross-entropy), another the row as it was (squared error), and the loss is
l_mask + α · l_row with α = 2.

Departures. Numbers are asked for as normal scores (see `TableScores`), so that a column with a
tail weighs as much as others; of a category its level is asked for, by cross-entropy, not its
indicators' squares. A missing number is not asked for. A text among the cells is one cell: its 64
word buckets are swapped together and count as one. As in the authors' code, a cell that was given
the value it had does not count as changed.

Use it for tables, with numbers and categories mixed: a row's cells must be known from one another,
and what ties them together is often what a label hangs on.

It fails where columns have nothing to do with each other: no cell tells another, and which were
changed cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.arrays import Batch
from leaven.data.modalities.tabular import BUCKETS
from leaven.data.modality import Spec
from leaven.data.views.table_ops import SwapCells, cells
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.table_scores import TableScores

__all__ = ["Vime", "changed"]


@dataclass(frozen=True)
class Vime(PretextObjective):
    """Which cells were changed, and what stood there.

        loss = mean over cells of BCE(mask(h), whether it was changed)
             + alpha · mean over known cells of (number(h) - score)² or CE(category(h), level)

    with h the features of the changed row. Raises SettingError for a share outside (0, 1).
    """

    share: float = 0.3
    alpha: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SettingError("share", "a share of the cells in (0, 1)", self.share)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The two estimators, and the quantiles of the numbers."""
        told = _Estimators(problem.spec, network.encoder.width)
        told.scores.prepare(problem.arrays, problem.unlabelled, problem.seed)
        return told

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        row = now.draw.unlabelled("plain")
        told: _Estimators = now.state
        cell = cells(told.widths, row["numeric"].device)
        swap = SwapCells(self.share, self.share)
        counted = len(told.widths)
        lenders = swap.draw(len(row["numeric"]), counted + row["codes"].shape[1], now.draw.rng)
        given = {
            "numeric": swap.apply(row["numeric"], lenders[:, cell]),
            "codes": swap.apply(row["codes"], lenders[:, counted:]),
        }
        differ = changed(row, given, told.widths)
        features = now.network(given)
        with now.precision():
            asked = told.mask(features).float()
            original = told.row(features).float()
        mask = F.binary_cross_entropy_with_logits(asked, differ)
        right = ((asked.detach() > 0) == (differ > 0)).float().mean()
        return Loss(
            {"mask": mask, "row": self.alpha * told.error(original, row)}, {"mask right": right}
        )


class _Estimators(nn.Module):
    """A layer each for the mask and the row; a row's numbers come first, then all levels."""

    def __init__(self, spec: Spec, width: int) -> None:
        super().__init__()
        self.widths = [1] * len(spec["numeric"]) + [BUCKETS] * len(spec["text"])
        self.levels = [len(levels) + 1 for levels in spec["categorical"].values()]
        self.scores = TableScores(sum(self.widths), ())
        self.mask = nn.Linear(width, len(self.widths) + len(self.levels))
        self.row = nn.Linear(width, sum(self.widths) + sum(self.levels))

    def error(self, told: Tensor, row: Batch) -> Tensor:
        """The mean over all cells that are known, of each its squared error or cross-entropy."""
        numeric, codes = row["numeric"], row["codes"].long()
        columns = numeric.shape[1]
        score = self.scores({"numeric": numeric, "codes": codes[:, :0]})[:, :columns]
        known = ~numeric.isnan()
        share = torch.tensor(self.widths, device=numeric.device, dtype=torch.float32).reciprocal()
        weight = known * share[cells(self.widths, numeric.device)]
        total: Tensor = (weight * (told[:, :columns] - score).square()).sum()
        number = weight.sum() + codes.numel()
        for level, logits in zip(
            codes.unbind(1), torch.split(told[:, columns:], self.levels, 1), strict=True
        ):
            total = total + F.cross_entropy(logits, level, reduction="sum")
        return total / number.clamp_min(1)


def changed(row: Batch, given: Batch, widths: list[int]) -> Tensor:
    """(u, cells) one where a cell differs from what it was; numbers, texts, then categories.

    Two missing numbers are alike. `widths` are those of the cells in "numeric".
    """
    before, after = row["numeric"], given["numeric"]
    alike = (before == after) | (before.isnan() & after.isnan())
    parts = [(~part).any(1) for part in torch.split(alike, widths, 1)] if widths else []
    parts += (row["codes"] != given["codes"]).unbind(1)
    return torch.stack(parts, 1).float()


PRETEXTS.add(
    "vime",
    Pretext(
        name="vime",
        summary="finds the cells that were swapped, and what stood there",
        paper="Yoon et al. 2020, NeurIPS",
        family="masked",
        objective=Vime(),
        modalities=("tabular",),
    ),
)
