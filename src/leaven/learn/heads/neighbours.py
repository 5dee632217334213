"""A new record asks the nearest of the records that labels were spread over."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.learn.head import HEADS, Head

__all__ = ["NeighbourHead"]

_ASKED = 256  # records that ask at once: their distances to 50,000 references take 50 MB


class NeighbourHead(Head):
    """Features to log-probabilities by the nearest of the reference records.

    The inductive step of label propagation (Delalleau, Bengio & Le Roux 2005): a new record
    takes the weighted mean of its `k` nearest references' class scores, with self-tuning weights
    whatever those of the graph were. With `unit` features are brought to length one first, as
    the references are.

    Buffers: `reference` (m, width) features, `scale` (m,) distance to each one's k-th
    neighbour, `scores` (m, classes) of row sum 1.
    """

    kind = "neighbours"
    reference: Tensor
    scale: Tensor
    scores: Tensor

    def __init__(
        self, references: int, width: int, classes: int, k: int, unit: bool = False
    ) -> None:
        super().__init__()
        self.k = k
        self.unit = unit
        self.register_buffer("reference", torch.zeros(references, width))
        self.register_buffer("scale", torch.ones(references))
        self.register_buffer("scores", torch.zeros(references, classes))

    @property
    def config(self) -> dict[str, Any]:
        """Sizes of the buffers, k, and whether features are brought to length one."""
        references, width = self.reference.shape
        sizes = {"references": references, "width": width, "classes": self.outputs}
        return sizes | {"k": self.k, "unit": self.unit}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.scores.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities."""
        if not len(features):
            return self.scores.new_zeros(0, self.outputs)
        return torch.cat([self._asked(part) for part in torch.split(features.float(), _ASKED)])

    def _asked(self, features: Tensor) -> Tensor:
        if self.unit:
            features = F.normalize(features, dim=-1)
        distance = torch.cdist(features, self.reference)  # (batch, references)
        near = distance.topk(min(self.k, len(self.reference)), dim=-1, largest=False)
        own = near.values[:, -1:].clamp_min(1e-6)
        weights = (-near.values.square() / (own * self.scale[near.indices])).softmax(-1)
        mixed = (weights.unsqueeze(-1) * self.scores[near.indices]).sum(1)
        floor = 1e-4  # a class no neighbour has seen is unlikely, not impossible
        return ((mixed + floor) / (1 + floor * mixed.shape[-1])).log()


HEADS.add(NeighbourHead.kind, NeighbourHead)
