"""Encoders of pictures that read pixels standardised channel by channel."""

from __future__ import annotations

from abc import ABC

import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.learn.encoder import Encoder, sample

__all__ = ["PixelEncoder"]


class PixelEncoder(Encoder, ABC):
    """What has entered is (batch, channels, h, w): pixels less their mean, by their deviation.

    Both are a number a channel, learnt in `prepare`.
    """

    modality = "image"
    mixed = True
    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, **config: object) -> None:
        super().__init__(channels=channels, **config)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Mean and deviation of each channel, from up to 2,000 records."""
        pixels = arrays.batch(sample(index, 2000, seed))["pixels"].float().div_(255)
        self.mean.copy_(pixels.mean((0, 2, 3)).reshape(self.mean.shape))
        self.deviation.copy_(pixels.std((0, 2, 3)).clamp_min(0.05).reshape(self.mean.shape))

    def enter(self, batch: Batch) -> Tensor:
        """(batch, channels, h, w) standardised, from pixels in [0, 1]."""
        return (batch["pixels"] - self.mean) / self.deviation
