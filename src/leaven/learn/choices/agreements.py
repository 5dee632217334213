"""When projections agree, with records that must differ (contrastive losses)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Agreement, Projected
from leaven.learn.objective import Loss, Moment

__all__ = ["NTXent"]


@part("agreement")
@dataclass(frozen=True)
class NTXent(Agreement):
    """Normalised, temperature-scaled cross-entropy: find the other view of the same record.

    Chen et al. 2020 (SimCLR), eq. 1: among all other 2u - 1 views of the batch. Two views only.
    """

    temperature: float = 0.2

    def __post_init__(self) -> None:
        within("temperature of NTXent", self.temperature, 0.001, 10)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and how often the other view is the nearest."""
        one, other = seen.online[0], seen.target[1]
        views = F.normalize(torch.cat([one, other]).float(), dim=-1)
        logits = views @ views.T / self.temperature
        logits.fill_diagonal_(-torch.inf)  # a view is not its own partner
        u = len(one)
        partner = torch.arange(2 * u, device=logits.device).roll(u)
        found = (logits.detach().argmax(1) == partner).float().mean()
        return Loss({"contrast": F.cross_entropy(logits, partner)}, {"found": found})
