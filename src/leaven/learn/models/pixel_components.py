"""Principal components of the pixels: a frozen encoder for graphs and linear models."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["PixelComponents"]


class PixelComponents(Encoder):
    """At most 16×16 pixels a channel, projected on their leading principal components.

    Components are scaled by the square root of their deviation: between raw components, where
    the first few decide every distance, and whitened ones, where noise counts as much as form.
    """

    name = "pixel-components"
    modality = "image"
    summary = "64 principal components of the shrunken image, frozen"
    ready = True
    centre: Tensor
    components: Tensor

    def __init__(self, channels: int, side: int, width: int) -> None:
        super().__init__(channels=channels, side=side, width=width)
        self.side, self.width = side, width
        self.register_buffer("centre", torch.zeros(channels * side * side))
        self.register_buffer("components", torch.zeros(channels * side * side, width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many components as pixels allow, 64 at most."""
        side = min(16, spec["height"], spec["width"])
        return {
            "channels": spec["channels"],
            "side": side,
            "width": min(64, spec["channels"] * side * side),
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Components of up to 5,000 records."""
        chosen = sample(index, 5000, seed)
        flat = self._flat(arrays.batch(chosen)["pixels"].float().div_(255))
        self.centre.copy_(flat.mean(0))
        _, values, vectors = torch.linalg.svd(flat - self.centre, full_matrices=False)
        kept = min(self.width, len(values))
        deviation = (values[:kept] / max(len(flat) - 1, 1) ** 0.5).clamp_min(1e-3)
        self.components[:, :kept] = vectors[:kept].T / deviation.sqrt()

    def _flat(self, pixels: Tensor) -> Tensor:
        small = F.interpolate(pixels, (self.side, self.side), mode="area")
        return small.flatten(1)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) from pixels (batch, channels, h, w) in [0, 1]."""
        return (self._flat(batch["pixels"]) - self.centre) @ self.components


ENCODERS.add(PixelComponents.name, PixelComponents)
