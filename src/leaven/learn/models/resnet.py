"""Residual networks, ResNet-18 and ResNet-50, with a stem for small pictures and one for large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.pixels import PixelEncoder

__all__ = ["ResNet", "ResNet50"]

_STEM = 64  # channels
_LARGE = 64  # pixels of the longer side, from which on the stem quarters the picture
_WIDER = 4  # a bottleneck's outputs, by the channels between


class ResNet(PixelEncoder):
    """A stem, four stages of residual blocks that halve the picture thrice; the mean over places.

    He et al. 2016, arXiv:1512.03385, table 1. `blocks` says how many each stage has; stage s is of
    64·2ˢ channels, four times as many where the blocks are bottlenecks (section 4.1, figure 5).
    The stem of large pictures is a 7×7 convolution of stride 2 and a 3×3 maximum of stride 2. That
    of pictures below 64 pixels is a 3×3 convolution that keeps them as large, as the field does on
    CIFAR: 32 pixels would leave the paper's stem with 8. In a bottleneck the 3×3 convolution has
    the stride, not the first 1×1 as in the paper, which would skip three of four places.

    Group normalisation (Wu & He 2018, arXiv:1803.08494) with one group stands where the paper
    normalises by the batch: a record's features then do not hang on its batch.

    SettingError where there are not four stages of at least one block.
    """

    name = "resnet-18"
    summary = "a residual network of 18 layers with group normalisation, 11 M weights"
    size = "large"

    def __init__(self, channels: int, blocks: Sequence[int], bottleneck: bool, large: bool) -> None:
        super().__init__(channels, blocks=list(blocks), bottleneck=bottleneck, large=large)
        if len(blocks) != 4 or min(blocks) < 1:
            raise SettingError("blocks", "four numbers of at least 1, one a stage", list(blocks))
        self.large = large
        self.stem = _normed(channels, _STEM, 7 if large else 3, 2 if large else 1)
        kind = _Bottleneck if bottleneck else _Basic
        layers: list[nn.Module] = []
        before = _STEM
        for stage, count in enumerate(blocks):
            for number in range(count):
                stride = 2 if stage and not number else 1
                layers.append(kind(before, _STEM * 2**stage, stride))
                before = _STEM * 2**stage * (_WIDER if bottleneck else 1)
        self.blocks = nn.Sequential(*layers)
        self.width = before

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Two blocks a stage; the stem by the longer side."""
        return _config(spec, [2, 2, 2, 2], bottleneck=False)

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the mean over the places of the last maps."""
        maps = F.relu_(self.stem(entered.contiguous(memory_format=torch.channels_last)))
        if self.large:
            maps = F.max_pool2d(maps, 3, 2, 1)
        mean: Tensor = self.blocks(maps).float().mean((2, 3))
        return mean

    def layers(self) -> list[nn.Module]:
        """The stem, then a layer a block."""
        return [self.stem, *self.blocks]


class ResNet50(ResNet):
    """The same of 50 layers: 3, 4, 6 and 3 bottlenecks."""

    name = "resnet-50"
    summary = "a residual network of 50 layers with group normalisation, 24 M weights"
    size = ""

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As table 1; the stem by the longer side."""
        return _config(spec, [3, 4, 6, 3], bottleneck=True)


def _config(spec: Spec, blocks: list[int], bottleneck: bool) -> dict[str, Any]:
    large = max(spec["height"], spec["width"]) >= _LARGE
    return {
        "channels": spec["channels"],
        "blocks": blocks,
        "bottleneck": bottleneck,
        "large": large,
    }


class _Residual(nn.Module):
    """What the layers of `body` make of the maps, added to the maps, then activated.

    The shortcut is a 1×1 convolution where shapes differ (option B of the paper).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else _normed(inputs, outputs, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, outputs, h / stride, w / stride)."""
        kept = maps if self.shortcut is None else self.shortcut(maps)
        return F.relu_(self.body(maps) + kept)


class _Basic(_Residual):
    """Two 3×3 convolutions."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        body = nn.Sequential(
            _normed(inputs, channels, 3, stride),
            nn.ReLU(inplace=True),
            _normed(channels, channels, 3, 1),
        )
        super().__init__(inputs, channels, stride, body)


class _Bottleneck(_Residual):
    """A 1×1, a 3×3 and a 1×1 convolution, the last to four times the channels."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        body = nn.Sequential(
            _normed(inputs, channels, 1, 1),
            nn.ReLU(inplace=True),
            _normed(channels, channels, 3, stride),
            nn.ReLU(inplace=True),
            _normed(channels, _WIDER * channels, 1, 1),
        )
        super().__init__(inputs, _WIDER * channels, stride, body)


def _normed(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    """A convolution and its normalisation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # He et al. 2015
    return nn.Sequential(layer, nn.GroupNorm(1, outputs))


ENCODERS.add(ResNet.name, ResNet)
ENCODERS.add(ResNet50.name, ResNet50)
