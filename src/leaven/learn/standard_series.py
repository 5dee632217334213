"""Series brought to one unit a channel, as the encoders of series read them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.learn.encoder import sample

__all__ = ["StandardSeries", "even_series", "own_steps", "stretched"]


class StandardSeries(nn.Module):
    """Each channel less its mean, by its deviation, both over all measured values."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def learn(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The mean and deviation of each channel in up to 5,000 records."""
        batch = arrays.batch(sample(index, 5000, seed))
        values, there = batch["values"].double(), batch["there"].double()
        count = there.sum((0, 1)).clamp_min(1)
        mean = (values * there).sum((0, 1)) / count
        spread = (((values - mean) * there).square().sum((0, 1)) / count).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(spread > 1e-8 * (1 + mean.abs()), spread, 1.0))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(batch, steps, channels) values, and whether a step lies within the channel's series.

        Values are 0 before the first and after the last that was measured.
        """
        there = batch["there"]
        begun, ahead = there.cummax(1).values, there.flip(1).cummax(1).values.flip(1)
        within = (begun * ahead).to(batch["values"].dtype)
        return (batch["values"] - self.mean) / self.deviation * within, within


def even_series(standard: StandardSeries, batch: Batch, usual: int) -> Tensor:
    """(batch, channels, steps) standardised values, all series of one length.

    Where `usual` is not 0, lengths differ, and each series is stretched to so many steps.
    """
    values, within = (part.transpose(1, 2) for part in standard(batch))
    return stretched(values, own_steps(within), usual) if usual else values


def own_steps(within: Tensor) -> Tensor:
    """(n,) how many steps each series has itself, one at least, by `within` (n, channels, steps).

    >>> own_steps(torch.tensor([[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]])).tolist()
    [2, 1]
    """
    place = torch.arange(1, within.shape[2] + 1, device=within.device)
    return ((within > 0).any(1) * place).amax(1).clamp_min(1)


def stretched(values: Tensor, own: Tensor, steps: int) -> Tensor:
    """(n, channels, steps) the first `own` (n,) steps of series, at so many even places.

    Between two steps values lie on a line.

    >>> stretched(torch.tensor([[[0.0, 2.0, 9.0]]]), torch.tensor([2]), 5).tolist()
    [[[0.0, 0.5, 1.0, 1.5, 2.0]]]
    """
    ramp = torch.linspace(0, 1, steps, dtype=values.dtype, device=values.device)
    place = ramp * (own - 1)[:, None]
    before = place.floor()
    part = (place - before)[:, None]
    first = before.long()[:, None].expand(-1, values.shape[1], -1)
    low = values.gather(2, first)
    high = values.gather(2, (first + 1).clamp_max(values.shape[2] - 1))
    return low + part * (high - low)
