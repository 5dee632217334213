"""When projections agree: by telling records from each other, or by a mere distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Agreement, Projected
from leaven.learn.memory import Queue
from leaven.learn.method import Problem
from leaven.learn.objective import Loss, Moment

__all__ = ["Bilinear", "Cosine", "InBatch", "NTXent", "Queued"]


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


@part("agreement")
@dataclass(frozen=True)
class InBatch(Agreement):
    """Find the record's own target among those of the batch, by cosines (InfoNCE).

    The mean over all pairs of different views. If `tempered`, times twice the temperature (Chen
    et al. 2021, MoCo v3, algorithm 1, which sums two pairs). Gao et al. 2021 (SimCSE), eq. 4, and
    Bahri et al. 2022 (SCARF), algorithm 1, take one pair in one direction.
    """

    temperature: float = 0.2
    tempered: bool = False

    def __post_init__(self) -> None:
        within("temperature of InBatch", self.temperature, 0.001, 10)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and how often the own target is the nearest."""
        logits = [
            F.normalize(online, dim=-1) @ F.normalize(target, dim=-1).T / self.temperature
            for online, target in seen.pairs()
        ]
        scale = 2 * self.temperature if self.tempered else 1.0
        return _own_among_all(logits, scale)


@part("agreement")
@dataclass(frozen=True)
class Bilinear(Agreement):
    """Find the record's own target among those of the batch, by a learnt product xᵀ W y.

    Saeed et al. 2021 (COLA), eq. 1 and 2, who take one pair in one direction; ours is the mean
    over all pairs of different views. W begins as the identity divided by √d, which the paper
    leaves open: what is projected alike goes together from the start.
    """

    def build(self, problem: Problem, width: int) -> nn.Module:
        """W (d, d)."""
        product = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            product.weight.copy_(torch.eye(width) / width**0.5)
        return product

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, and how often the own target is the one named."""
        return _own_among_all([online @ state(target).T for online, target in seen.pairs()])


@part("agreement")
@dataclass(frozen=True)
class Queued(Agreement):
    """Find the record's own target among those of former steps, by cosines.

    He et al. 2020 (MoCo), eq. 1 and algorithm 1: the queue holds the last `places` targets, and
    this step's go in after the loss. It holds at most half as many as there are records, so that
    few are told from a former target of their own; places that are still empty count for nothing.
    """

    temperature: float = 0.2
    places: int = 4096

    def __post_init__(self) -> None:
        within("temperature of Queued", self.temperature, 0.001, 10)
        within("places of Queued", self.places, 2, 10**7)

    def build(self, problem: Problem, width: int) -> nn.Module:
        """The queue, whose keys need no values."""
        return Queue(min(self.places, max(2, len(problem.unlabelled) // 2)), width, 0)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term, how often the own target is the nearest, and how full the queue is."""
        targets = [F.normalize(target, dim=-1).detach() for target in seen.target]
        empty = torch.arange(len(state.keys), device=targets[0].device) >= state.pushed
        contrasts, found = [], []
        for online, target in Projected(seen.online, targets).pairs():
            query = F.normalize(online, dim=-1)
            own = (query * target).sum(-1, keepdim=True)
            # A copy, for the queue changes before the backward pass.
            others = (query @ state.keys.T.clone()).masked_fill(empty, -torch.inf)
            logits = torch.cat([own, others], 1) / self.temperature
            contrasts.append((logits.logsumexp(1) - logits[:, 0]).mean())
            found.append((logits.detach().argmax(1) == 0).float().mean())
        filled = (~empty).float().mean()
        keys = torch.cat(targets)
        state.push(keys, keys.new_zeros(len(keys), 0))
        return Loss(
            {"contrast": torch.stack(contrasts).mean()},
            {"found": torch.stack(found).mean(), "queue_filled": filled},
        )


@part("agreement")
@dataclass(frozen=True)
class Cosine(Agreement):
    """2 - 2 cos, the mean over all pairs of different views: no record is told from another.

    Grill et al. 2020 (BYOL), eq. 2, who sum two pairs; Chen & He 2021 (SimSiam), eq. 1 and 2, is
    the same but for a factor and an offset. What keeps all records from one point is not here: a
    predictor, and a branch without gradient.
    """

    repels = False

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """One term."""
        apart = [
            2 - 2 * F.cosine_similarity(online, target, dim=-1).mean()
            for online, target in seen.pairs()
        ]
        return Loss({"distance": torch.stack(apart).mean()})


def _own_among_all(logits: list[Tensor], scale: float = 1.0) -> Loss:
    """The mean cross-entropy of several (u, u) tables, whose diagonals are to be found."""
    own = torch.arange(len(logits[0]), device=logits[0].device)
    contrast = torch.stack([F.cross_entropy(table, own) for table in logits]).mean()
    found = [(table.detach().argmax(1) == own).float().mean() for table in logits]
    return Loss({"contrast": scale * contrast}, {"found": torch.stack(found).mean()})
