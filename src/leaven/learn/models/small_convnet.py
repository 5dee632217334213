"""A compact convolutional network for small images, trained from scratch in minutes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.pixels import PixelEncoder

__all__ = ["SmallConvNet"]


class _Block(nn.Sequential):
    """Convolution, normalisation, activation.

    Group normalisation, not batch normalisation: a record's output must not depend on which
    other records share its batch, since labelled, weak and strong views do share one. One
    group, which is also 20 times as fast as eight on a processor under bf16.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False),
            nn.GroupNorm(1, outputs),
            nn.LeakyReLU(0.1),
        )


class SmallConvNet(PixelEncoder):
    """A stem, then stages of two 3×3 convolutions that halve the image to about 4×4; the mean.

    Parameters: channels of the image; widths of the stem and the stages; whether the stem
    halves the image too. At full size a layer costs as much as all layers of a later stage.
    """

    name = "small-convnet"
    summary = "a stem and two or three stages of two 3×3 convolutions, about 0.6 M weights"
    size = "tiny"

    def __init__(self, channels: int, widths: tuple[int, ...], halve: bool) -> None:
        super().__init__(channels=channels, widths=list(widths), halve=halve)
        stem, *stages = widths
        layers = [_Block(channels, stem, 4 if halve else 3, 2 if halve else 1)]
        before = stem
        for after in stages:
            layers += [_Block(before, after, 3, 2), _Block(after, after, 3, 1)]
            before = after
        self.body = nn.Sequential(*layers)
        self.width = before

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """One more stage for images of more than 40 pixels; no early halving below 16."""
        side = max(spec["height"], spec["width"])
        widths = [48, 96, 192] if side <= 40 else [48, 96, 144, 192]
        return {"channels": spec["channels"], "widths": widths, "halve": side >= 16}

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the mean over the places of the last maps."""
        maps = self.body(entered.contiguous(memory_format=torch.channels_last))
        mean: Tensor = maps.float().mean((2, 3))
        return mean

    def layers(self) -> list[nn.Module]:
        """The stem and each convolution."""
        return list(self.body)


ENCODERS.add(SmallConvNet.name, SmallConvNet)
