"""A hidden layer over ready-made embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["MLP"]


class MLP(Encoder):
    """Standardised embeddings, and a hidden layer over them beside."""

    name = "mlp"
    modality = "embedding"
    summary = "one hidden layer of 256 beside the standardised embedding"
    size = "base"
    centre: Tensor
    scale: Tensor

    def __init__(self, inputs: int, hidden: int = 256) -> None:
        super().__init__(inputs=inputs, hidden=hidden)
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(1))
        self.body = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU()
        )
        self.width = inputs + hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As wide as the embeddings."""
        return {"inputs": spec["width"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Mean, and one common scale: the dimensions of an embedding share a unit."""
        features = torch.from_numpy(arrays["features"][sample(index, 50_000, seed)])
        self.centre.copy_(features.mean(0))
        self.scale.copy_((features - self.centre).std().clamp_min(1e-6).reshape(1))

    def enter(self, batch: Batch) -> Tensor:
        """(batch, inputs) standardised, from features (batch, inputs)."""
        return (batch["features"] - self.centre) / self.scale

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the embedding and the hidden layer."""
        return torch.cat([entered, self.body(entered)], 1)


ENCODERS.add(MLP.name, MLP)
