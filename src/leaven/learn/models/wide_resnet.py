"""The wide residual network on which the field compares its methods."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.pixels import PixelEncoder

__all__ = ["WideResNet"]

_SLOPE = 0.1  # of the leaky ReLU below zero
_GROUPS = 3


class WideResNet(PixelEncoder):
    """A stem, three groups of residual blocks that halve the image twice; the mean over places.

    Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 1: pre-activation blocks of two 3×3
    convolutions, `(depth - 4) / 6` of them a group, of 16, 32 and 64 times `widen` channels. As
    FixMatch uses it (Sohn et al. 2020, arXiv:2001.07685, and its code): leaky ReLU of slope 0.1,
    batch normalisation with decay 0.999, the shortcut of the very first block after its
    activation. With depth 28 and widen 2 it has 1.5 million weights.

    In training a pass is normalised by its own statistics: labelled and strong views share a
    pass, and with it theirs. In the paper's code the weak views are in that pass as well; here
    they have one of their own, without gradient. Both move the running statistics, which
    evaluation uses. Their decay is the paper's only in the end: until then they remember a tenth
    of the passes so far, or a training of a thousand steps would be judged by its beginning.

    SettingError where the depth is not 4 more than a multiple of 6, or either is not positive.
    """

    name = "wrn-28-2"
    summary = "a wide residual network with batch normalisation, 1.5 M weights: the field's own"
    size = "base"
    passes: Tensor

    def __init__(self, channels: int, depth: int, widen: int) -> None:
        super().__init__(channels=channels, depth=depth, widen=widen)
        if depth < 10 or (depth - 4) % 6:
            raise SettingError("depth", "4 more than a multiple of 6, and at least 10", depth)
        if widen < 1:
            raise SettingError("widen", "at least 1", widen)
        self.register_buffer("passes", torch.zeros(()))
        self.stem = _convolution(channels, 16, 3, 1)
        blocks, before = [], 16
        for group in range(_GROUPS):
            after = 16 * widen * 2**group
            for number in range((depth - 4) // 6):
                stride = 2 if group and not number else 1
                blocks.append(_Block(before, after, stride, first=not group and not number))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.last = _Norm(before)
        self.width = before

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Depth 28 and widen 2, for images of any size."""
        return {"channels": spec["channels"], "depth": 28, "widen": 2}

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the mean over the places of the last maps."""
        # Under bf16, channels last halve a step on a processor (docs/speed.md).
        maps = self.stem(entered.contiguous(memory_format=torch.channels_last))
        maps = self.last(self.blocks(maps))
        if self.training:
            self._remember()
        mean: Tensor = maps.float().mean((2, 3))
        return mean

    def layers(self) -> list[nn.Module]:
        """The stem, then each block, the last of them with the normalisation behind it."""
        *lower, top = self.blocks
        return [self.stem, *lower, nn.ModuleList([top, self.last])]

    @torch.no_grad()
    def _remember(self) -> None:
        """Move the running statistics towards those of the pass; the device is not waited for.

        A layer that is held in evaluation mode saw none, and keeps its own.
        """
        self.passes += 1
        share = (10 / (self.passes + 9)).clamp_(min=0.001)
        for norm in self.modules():
            if isinstance(norm, _Norm) and norm.training:
                norm.mean.lerp_(norm.seen_mean, share)
                norm.variance.lerp_(norm.seen_variance, share)


class _Block(nn.Module):
    """Normalise, activate, convolve, twice; added to what came in."""

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.before = _Norm(inputs)
        self.enter = _convolution(inputs, outputs, 3, stride)
        self.between = _Norm(outputs)
        self.leave = _convolution(outputs, outputs, 3, 1)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, outputs, h / stride, w / stride)."""
        active = self.before(maps)
        kept = active if self.first else maps
        if self.shortcut is not None:
            kept = self.shortcut(kept)
        added: Tensor = kept + self.leave(self.between(self.enter(active)))
        return added


class _Norm(nn.Module):
    """Batch normalisation and leaky ReLU.

    Buffers: `mean` and `variance` for evaluation, and those of the latest pass in training,
    `seen_mean` and `seen_variance`, which are not saved.
    """

    mean: Tensor
    variance: Tensor
    seen_mean: Tensor
    seen_variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("seen_mean", torch.zeros(channels), persistent=False)
        self.register_buffer("seen_variance", torch.ones(channels), persistent=False)

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (channels,) for evaluation, which adaptation replaces."""
        return self.mean, self.variance

    def forward(self, maps: Tensor) -> Tensor:
        """New maps of the same shape."""
        mean, variance = (
            (self.seen_mean, self.seen_variance) if self.training else (self.mean, self.variance)
        )
        # Momentum 1: what comes back in the two is the pass's own, and nothing of the one before.
        normal = F.batch_norm(
            maps, mean, variance, self.weight, self.bias, self.training, momentum=1.0, eps=1e-3
        )
        return F.leaky_relu_(normal, _SLOPE)


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # as FixMatch
    return layer


ENCODERS.add(WideResNet.name, WideResNet)
