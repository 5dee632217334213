"""Ready-made embeddings on one scale, frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["Standardised"]


class Standardised(Encoder):
    """Centred, then of unit length: distances become angles, as embeddings are trained for."""

    name = "standardised"
    modality = "embedding"
    summary = "centred embeddings of unit length, frozen"
    ready = True
    centre: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width=width)
        self.width = width
        self.register_buffer("centre", torch.zeros(width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As wide as the embeddings."""
        return {"width": spec["width"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The mean of up to 50,000 records."""
        chosen = sample(index, 50_000, seed)
        self.centre.copy_(torch.from_numpy(arrays["features"][chosen].mean(0)))

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) from features (batch, width)."""
        return torch.nn.functional.normalize(batch["features"] - self.centre, dim=-1)


ENCODERS.add(Standardised.name, Standardised)
