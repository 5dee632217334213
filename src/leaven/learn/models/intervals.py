"""Quantiles of intervals of series: what is seen where, for trees above all."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.standard_series import StandardSeries, even_series

__all__ = ["Intervals", "quantiles", "starts"]

_DEPTH = 6  # halvings: 32 intervals at most, and those that lie between them
_EACH = 4  # steps a quantile
_WIDTH = 2048  # features at most
_SMOOTH = 5  # steps over which differences are averaged
_MOST = 2000  # records from which means and deviations are learnt


class Intervals(Encoder):
    """Quantiles of the whole series, of its halves, quarters and so on, and of what lies between.

    Dempster, Schmidt & Webb 2024, "QUANT: a minimalist interval method for time series
    classification", arXiv:2308.00928, section 3: of the series, of its smoothed first and its
    second differences and of the sizes of its frequencies; from every other quantile the
    interval's mean is taken off. One quantile stands for `each` steps. The authors put randomised
    trees behind it. Here intervals of one level have the same length and lie evenly, and features
    are standardised, by the root of their number, so that the mean square of a record is one.

    Series of unlike lengths are stretched to their `usual` one.
    """

    name = "intervals"
    modality = "series"
    summary = "quantiles of a series' intervals, at most 2048 numbers, frozen"
    ready = True
    centre: Tensor
    scale: Tensor

    def __init__(self, channels: int, length: int, depth: int, each: int, usual: int = 0) -> None:
        super().__init__(channels=channels, length=length, depth=depth, each=each, usual=usual)
        self.usual, self.depth, self.each = usual, depth, each
        self.width = channels * _a_channel(usual or length, depth, each)
        self.standard = StandardSeries(channels)
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Six levels and a quantile for four steps, or fewer where these were too many features."""
        channels, length, usual = spec["channels"], spec["length"], spec.get("usual", 0)
        steps = usual or length
        depth, each = _DEPTH, _EACH
        while depth > 1 and channels * _a_channel(steps, depth, steps) > _WIDTH:
            depth -= 1
        while each < steps and channels * _a_channel(steps, depth, each) > _WIDTH:
            each *= 2
        return {
            "channels": channels, "length": length, "depth": depth, "each": each, "usual": usual,
        }  # fmt: skip

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Means and deviations of up to 2,000 records."""
        self.standard.learn(arrays, index, seed)
        found = self._features(arrays.batch(sample(index, _MOST, seed)))
        deviation = found.std(0, correction=0)
        self.centre.copy_(found.mean(0))
        self.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation, 0.0) / self.width**0.5)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) standardised quantiles."""
        return (self._features(batch) - self.centre) * self.scale

    def _features(self, batch: Batch) -> Tensor:
        found = []
        for values in _readings(even_series(self.standard, batch, self.usual)):
            for level in range(self.depth):
                first, size = starts(values.shape[2], level)
                places = first[:, None] + torch.arange(size)
                ordered = values[..., places.to(values.device)].sort(-1).values
                found.append((ordered @ quantiles(size, self.each).to(ordered)).flatten(1))
        return torch.cat(found, 1)


def _readings(series: Tensor) -> list[Tensor]:
    """The series (n, channels, steps), its differences, those of them, and its frequencies."""
    first = series.diff(dim=2)
    second = first.diff(dim=2)
    if first.shape[2] >= _SMOOTH:
        padded = F.pad(first, (_SMOOTH // 2, _SMOOTH // 2), mode="replicate")
        first = F.avg_pool1d(padded, _SMOOTH, 1)
    whole = [series, first, second, torch.fft.rfft(series).abs()]
    return [one for one in whole if one.shape[2]]


def _a_channel(steps: int, depth: int, each: int) -> int:
    """Features of one channel."""
    lengths = [steps, steps - 1, steps - 2, steps // 2 + 1]
    return sum(
        len(starts(length, level)[0]) * quantiles(starts(length, level)[1], each).shape[1]
        for length in lengths
        if length > 0
        for level in range(depth)
    )


def starts(length: int, level: int) -> tuple[Tensor, int]:
    """Where the intervals of a level begin, and how long they are.

    >>> starts(8, 1)
    (tensor([0, 2, 4]), 4)
    """
    parts = min(2**level, length)
    size = -(-length // parts)
    return torch.linspace(0, length - size, 2 * parts - 1).round().long(), size


def quantiles(size: int, each: int) -> Tensor:
    """(size, number) by which an interval's ordered steps become its quantiles.

    They go evenly from the smallest to the largest, and are the median where there is but one;
    from every other one the mean is taken off.

    >>> quantiles(3, 2).T
    tensor([[ 1.0000,  0.0000,  0.0000],
            [-0.3333, -0.3333,  0.6667]])
    """
    number = 1 + (size - 1) // each
    place = torch.linspace(0, size - 1, number) if number > 1 else torch.tensor([(size - 1) / 2])
    step = torch.arange(size)[:, None]
    weight = (1 - (place - step).abs()).clamp_min(0)
    weight[:, 1::2] -= 1 / size
    return weight


ENCODERS.add(Intervals.name, Intervals)
