"""Several heads of any kind, whose calibrated probabilities are mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.head import HEADS, Head

__all__ = ["BlendHead"]

_FLOOR = 1e-7  # what a class has at least, so that its logarithm is a number


class BlendHead(Head):
    """Features to the logarithm of a weighted mean of the members' softmax.

    Each member reads all features, its outputs are divided by its temperature, and its
    probabilities count by its weight. Buffers: `weights` (members,) of sum 1, `temperatures`
    (members,). `origins` says of each member what it came from: a method and its settings.
    """

    kind = "blend"
    weights: Tensor
    temperatures: Tensor

    def __init__(self, members: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(HEADS[one["kind"]](**one["config"]) for one in members)
        self.origins = [dict(one.get("origin", {})) for one in members]
        self.register_buffer("weights", torch.full((len(members),), 1 / len(members)))
        self.register_buffer("temperatures", torch.ones(len(members)))

    @classmethod
    def of(
        cls,
        heads: Sequence[Head],
        weights: Sequence[float],
        temperatures: Sequence[float],
        origins: Sequence[Mapping[str, Any]] = (),
    ) -> BlendHead:
        """Of fitted heads of the same classes; weights are brought to sum 1.

        `origins`, if given, are kept and mean nothing to the head. Raises SettingError where there
        is no head, or no weight above zero.
        """
        if not heads or min(weights) < 0 or sum(weights) <= 0:
            raise SettingError("weights", "one a head, none negative, not all zero", list(weights))
        blend = cls([{"kind": head.kind, "config": head.config} for head in heads])
        blend.members = nn.ModuleList(heads)
        blend.origins = [dict(one) for one in origins] or [{} for _ in heads]
        blend.weights.copy_(torch.tensor(weights, dtype=torch.float32) / sum(weights))
        blend.temperatures.copy_(torch.tensor(temperatures, dtype=torch.float32))
        return blend.requires_grad_(False)

    @property
    def config(self) -> dict[str, Any]:
        """The members' kinds, configurations and origins."""
        return {
            "members": [
                {"kind": one.kind, "config": one.config, "origin": origin}
                for one, origin in zip(self.heads, self.origins, strict=True)
            ]
        }

    @property
    def heads(self) -> list[Head]:
        """The members."""
        return [one for one in self.members if isinstance(one, Head)]

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.heads[0].outputs

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities."""
        mixed = torch.stack(
            [
                weight * (head(features).float() / temperature).softmax(-1)
                for head, weight, temperature in zip(
                    self.heads, self.weights, self.temperatures, strict=True
                )
            ]
        ).sum(0)
        return ((mixed + _FLOOR) / (1 + _FLOOR * self.outputs)).log()


HEADS.add(BlendHead.kind, BlendHead)
