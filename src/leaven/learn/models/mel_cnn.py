"""A convolutional network over log-mel spectrograms, trained from scratch in minutes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["MelCNN", "TinyMelCNN"]


class _Block(nn.Sequential):
    """Convolution, normalisation over one group, activation; see `SmallConvNet` for why."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        edge = ((size[0] - 1) // 2, (size[1] - 1) // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, edge, bias=False),
            nn.GroupNorm(1, outputs),
            nn.LeakyReLU(0.1),
        )


class MelCNN(Encoder):
    """A stem that sees 7 frames by 8 bands, then stages of two 3×3 convolutions that halve both.

    Of the last maps the mean over the bands, and then over time the mean and the largest value,
    as of the networks of Kong et al. 2020 (PANNs, arXiv:1912.10211, section II-B), side by side
    where they add them. Frames of padding count in neither.

    What has entered is (batch, 2, frames, mels): the log-mel standardised band by band, and beside
    it how much of a cell is there, so that mixed or masked records are as much there as they were.
    A view may have fewer frames than the records.
    """

    name = "mel-cnn"
    modality = "audio"
    summary = "log-mel: a stem and three stages of two 3×3 convolutions, about 0.8 M weights"
    size = "base"
    mixed = True
    widths: ClassVar[tuple[int, ...]] = (32, 64, 128, 192)
    mean: Tensor
    deviation: Tensor

    def __init__(self, mels: int, widths: list[int]) -> None:
        super().__init__(mels=mels, widths=list(widths))
        self.register_buffer("mean", torch.zeros(mels))
        self.register_buffer("deviation", torch.ones(mels))
        stem, *stages = widths
        layers = [_Block(2, stem, (7, 8), (2, 4))]
        before = stem
        for after in stages:
            layers += [_Block(before, after, (3, 3), (2, 2)), _Block(after, after, (3, 3), (1, 1))]
            before = after
        self.body = nn.Sequential(*layers)
        self.width = 2 * before

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """The same network for sounds of all lengths."""
        return {"mels": spec["mels"], "widths": list(cls.widths)}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Mean and deviation of each band over the frames that are there, of up to 2,000 sounds."""
        batch = arrays.batch(sample(index, 2000, seed))
        there = _there(batch)
        frames = batch["mel"].float()[there]
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0, correction=0).clamp_min(0.1))

    def enter(self, batch: Batch) -> Tensor:
        """(batch, 2, frames, mels) the standardised log-mel, zero in padding, and what is there."""
        there = _there(batch)[..., None].to(self.mean.dtype).expand(batch["mel"].shape)
        scaled = (batch["mel"] - self.mean) / self.deviation
        return torch.stack([scaled * there, there], 1)

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) mean and largest value over time of the last maps' mean over the bands."""
        maps = self.body(entered.contiguous(memory_format=torch.channels_last))
        states = maps.float().mean(3)  # (batch, channels, places)
        # Places of the last maps by the share of their frames that is there.
        share = entered[:, 1].float().mean(2).clamp(0, 1)[:, None]
        share = F.adaptive_avg_pool1d(share, states.shape[2])
        mean = (states * share).sum(2) / share.sum(2).clamp_min(1e-4)
        return torch.cat([mean, (states * share).amax(2)], 1)


class TinyMelCNN(MelCNN):
    """The same with narrower maps."""

    name = "mel-cnn-tiny"
    summary = "log-mel: a stem and three stages of two 3×3 convolutions, about 0.1 M weights"
    size = "tiny"
    widths = (16, 24, 48, 64)


def _there(batch: Batch) -> Tensor:
    """(batch, frames) whether a frame is there."""
    frames = torch.arange(batch["mel"].shape[1], device=batch["mel"].device)
    return frames < batch["length"][:, None]


ENCODERS.add(MelCNN.name, MelCNN)
ENCODERS.add(TinyMelCNN.name, TinyMelCNN)
