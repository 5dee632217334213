"""Where the targets of a joint embedding come from."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Branch
from leaven.learn.network import Network
from leaven.learn.objective import Moment, decay_of

__all__ = ["Momentum", "Same", "Stopped"]


@part("branch")
@dataclass(frozen=True)
class Same(Branch):
    """The network's own projections, with gradient: both sides learn (SimCLR, Barlow Twins)."""

    learns = True

    def __call__(
        self, views: Sequence[Batch], own: Sequence[Tensor], now: Moment, state: Any
    ) -> list[Tensor]:
        """What came in."""
        return list(own)


@part("branch")
@dataclass(frozen=True)
class Stopped(Branch):
    """The network's own projections without gradient (Chen & He 2021, SimSiam, algorithm 1)."""

    def __call__(
        self, views: Sequence[Batch], own: Sequence[Tensor], now: Moment, state: Any
    ) -> list[Tensor]:
        """What came in, cut off."""
        return [projection.detach() for projection in own]


@part("branch")
@dataclass(frozen=True)
class Momentum(Branch):
    """A second encoder and projector, whose weights are running means of the network's.

    He et al. 2020 (MoCo), eq. 2. If `rising` the decay rises to 1 along a cosine, as in BYOL
    (Grill et al. 2020, section 3.2): d(k) = 1 - (1 - d)(cos(π k / K) + 1) / 2. Its memory is a
    tenth of the training at most. It normalises by the batch, as the network does while it learns.
    """

    decay: float = 0.99
    rising: bool = True

    def __post_init__(self) -> None:
        within("decay of Momentum", self.decay, 0, 1)

    def build(self, network: Network, projector: nn.Module) -> nn.Module:
        """A copy of both."""
        return _Follower(network, projector)

    def __call__(
        self, views: Sequence[Batch], own: Sequence[Tensor], now: Moment, state: Any
    ) -> list[Tensor]:
        """What the copy makes of each view, after it has followed the weights as they are now."""
        state.follow(now.network.encoder, now.state["projector"], self.decay_at(now))
        with torch.no_grad():
            return [state(view).float() for view in views]

    def decay_at(self, now: Moment) -> float:
        """The decay of this step."""
        decay = decay_of(self.decay, now)
        if not self.rising:
            return decay
        return 1 - (1 - decay) * (math.cos(math.pi * now.progress) + 1) / 2


class _Follower(nn.Module):
    """Copies of an encoder and a projector that take no gradient."""

    def __init__(self, network: Network, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(network.encoder)
        self.projector = copy.deepcopy(projector)
        self.requires_grad_(False).train()

    def forward(self, view: Batch) -> Any:
        """(u, d) projections of a view."""
        return self.projector(self.encoder(view))

    @torch.no_grad()
    def follow(self, encoder: nn.Module, projector: nn.Module, decay: float) -> None:
        """Move the copies towards their originals."""
        theirs = [w.data for module in (encoder, projector) for w in module.parameters()]
        own = [w.data for module in (self.encoder, self.projector) for w in module.parameters()]
        torch._foreach_lerp_(own, theirs, 1 - decay)
