"""A compact convolutional network for small images, trained from scratch in minutes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["SmallConvNet"]


class _Block(nn.Sequential):
    """Convolution, normalisation, activation.

    Group normalisation, not batch normalisation: a record's output must not depend on which
    other records share its batch, since labelled, weak and strong views do share one.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.GroupNorm(min(8, outputs // 4), outputs),
            nn.LeakyReLU(0.1),
        )


class SmallConvNet(Encoder):
    """Stages of two 3×3 convolutions that halve the image until about 4×4, then the mean.

    Parameters: channels of the image; widths of the stages.
    """

    name = "small-convnet"
    modality = "image"
    summary = "six or eight 3×3 convolutions, group normalisation, about 0.3 M weights"
    half = True
    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__(channels=channels, widths=list(widths))
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))
        layers: list[nn.Module] = []
        before = channels
        for i, after in enumerate(widths):
            layers += [_Block(before, after, 1 if i == 0 else 2), _Block(after, after, 1)]
            before = after
        self.body = nn.Sequential(*layers)
        self.width = before

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """One halving for each doubling of the side above 7 pixels."""
        side = max(spec["height"], spec["width"])
        widths = [32, 64, 128]
        if side <= 12:
            widths = [64, 128]
        if side > 40:
            widths = [32, 64, 96, 128]
        return {"channels": spec["channels"], "widths": widths}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Mean and deviation of each channel, from up to 2,000 records."""
        chosen = sample(index, 2000, seed)
        pixels = arrays.batch(chosen)["pixels"].float().div_(255)
        self.mean.copy_(pixels.mean((0, 2, 3)).reshape(self.mean.shape))
        self.deviation.copy_(pixels.std((0, 2, 3)).clamp_min(0.05).reshape(self.mean.shape))

    def forward(self, batch: Batch) -> Tensor:
        """(batch, width) from pixels (batch, channels, h, w) in [0, 1]."""
        pixels = (batch["pixels"] - self.mean) / self.deviation
        maps = self.body(pixels.contiguous(memory_format=torch.channels_last))
        return maps.float().mean((2, 3))


ENCODERS.add(SmallConvNet.name, SmallConvNet)
