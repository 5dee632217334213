"""MiniRocket's fixed convolutions over series, and how often each exceeds its biases.

Dempster, Schmidt & Webb 2021, arXiv:2012.08791, section 3: kernels of length 9 with three weights
of 2 and six of -1, all 84 of them; dilations on a logarithmic scale up to the length of the series;
biases that are quantiles of the convolution of some series; for each bias the proportion of
positive values (PPV). Of several channels each pair of kernel and dilation sums some, drawn by
chance. Of shorter series only their own steps count: among zeros behind its end a kernel finds
nothing but that the series has ended.

A convolution is minus the sum of nine shifted copies plus three times that of three of them. Only
shifts, sums and comparisons are used, each number by itself, so that a series has the same
features to the bit whatever others stand in its batch.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["KERNELS", "KernelsOfTime", "dilations"]

_TAPS = 9
#: (84, 3) the places of the weights 2 in each kernel.
KERNELS = np.array(list(combinations(range(_TAPS), 3)))
_MOST_DILATIONS = 32
_MOST_CHANNELS = 9
_GOLDEN = (5**0.5 + 1) / 2
#: Numbers of a convolution that are held at once: about what a processor's cache holds.
_HELD = 1 << 19


def dilations(length: int, each: int) -> dict[int, int]:
    """How many of a kernel's `each` features there are of each dilation (the paper's rule).

    >>> dilations(128, 4)
    {1: 1, 2: 1, 6: 1, 15: 1}
    """
    most = min(each, _MOST_DILATIONS)
    reach = np.log2(max(length - 1, _TAPS - 1) / (_TAPS - 1))
    sizes, counts = np.unique(
        np.logspace(0, reach, most, base=2).astype(np.int64), return_counts=True
    )
    counts = (counts * (each / most)).astype(np.int64)
    for place in range(each - int(counts.sum())):
        counts[place % len(counts)] += 1
    return dict(zip(sizes.tolist(), counts.tolist(), strict=True))


class KernelsOfTime(nn.Module):
    """`each` features of each of the 84 kernels, for series of one length; nothing is trained.

    `biases` (84, each) and `chosen` (dilations, 84, channels), 1 where a channel is summed, are
    found by `learn`.
    """

    biases: Tensor
    chosen: Tensor

    def __init__(self, channels: int, length: int, each: int) -> None:
        super().__init__()
        self.length = -(-max(length, _TAPS) // 8) * 8
        self.dilations = dilations(max(length, _TAPS), each)
        self.width = len(KERNELS) * each
        self.register_buffer("biases", torch.zeros(len(KERNELS), each))
        chosen = torch.zeros(len(self.dilations), len(KERNELS), channels, dtype=torch.uint8)
        chosen[..., 0] = 1
        self.register_buffer("chosen", chosen)

    def learn(self, series: Tensor, rng: np.random.Generator, own: Tensor | None = None) -> None:
        """Draw the channels, and the biases from series (n, channels, steps), one a pair.

        `own` (n,) is how many steps each series has itself, at least one; all where it is None.
        """
        channels, steps = series.shape[1:]
        if channels > 1:
            most = np.log2(min(channels, _MOST_CHANNELS) + 1)
            for pair in self.chosen.view(-1, channels):
                count = int(2 ** rng.uniform(0, most))
                pair.zero_()
                pair[torch.from_numpy(rng.permutation(channels)[:count].copy())] = 1
        quantiles = np.arange(1, self.width + 1) * _GOLDEN % 1
        at = 0
        every = torch.arange(len(KERNELS))
        for place, (dilation, count) in enumerate(self.dilations.items()):
            drawn = torch.from_numpy(rng.integers(0, len(series), len(KERNELS)))
            found = self._convolved(series[drawn], dilation, self.chosen[place])[every, every]
            wanted = quantiles[at * len(KERNELS) : (at + count) * len(KERNELS)]
            wanted = wanted.reshape(len(KERNELS), count)
            ends = [steps] * len(KERNELS) if own is None else own[drawn].tolist()
            for kernel, (values, end) in enumerate(zip(found.double().numpy(), ends, strict=True)):
                value = np.quantile(values[:end], wanted[kernel])
                self.biases[kernel, at : at + count] = torch.from_numpy(value)
            at += count

    def forward(self, series: Tensor, own: Tensor | None = None) -> Tensor:
        """(n, 84 · each) proportions of positive values of series (n, channels, steps).

        `own` (n,) as in `learn`; what stands behind is zero.
        """
        if own is None:
            own = torch.full((len(series),), series.shape[2], device=series.device)
        block = max(1, _HELD // (len(KERNELS) * self.length))
        blocks = zip(torch.split(series, block), torch.split(own, block), strict=True)
        parts = [self._features(*part) for part in blocks]
        return torch.cat(parts) if parts else series.new_zeros(0, self.width)

    def _features(self, series: Tensor, own: Tensor) -> Tensor:
        found = series.new_empty(len(series), len(KERNELS), self.biases.shape[1])
        whole = series.new_empty(len(KERNELS), len(series))
        alike = bool((own == own[0]).all())
        at = 0
        for order, (dilation, count) in enumerate(self.dilations.items()):
            values = self._convolved(series, dilation, self.chosen[order])
            edge = dilation * (_TAPS // 2)
            # Every other pair does not count where the kernel hangs over an end.
            for first, left_out in ((order % 2, 0), ((order + 1) % 2, edge)):
                low = torch.where(2 * left_out < own, left_out, 0)
                _close(values[first::2], low, own - low, alike)
                whole[first::2] = (own - 2 * low).to(whole.dtype)
            for number in range(at, at + count):
                above = values > self.biases[:, number, None, None]
                found[:, :, number] = (_count(above) / whole).T
            at += count
        return found.flatten(1)

    def _convolved(self, series: Tensor, dilation: int, chosen: Tensor) -> Tensor:
        """(84, n, length) each kernel's convolution, with nothing beyond the ends."""
        n, channels, steps = series.shape
        reach = dilation * (_TAPS // 2)
        padded = series.new_zeros(n, channels, self.length + 2 * reach)
        padded[..., reach : reach + steps] = series
        shifted = [
            padded[..., tap * dilation : tap * dilation + self.length] for tap in range(_TAPS)
        ]
        total = torch.zeros_like(shifted[0])
        for part in shifted:
            total = total - part
        threefold = torch.stack([3 * part for part in shifted])
        if channels == 1:
            one, two, three = torch.from_numpy(KERNELS.T).to(series.device)
            alone = threefold[:, :, 0]
            return ((alone[one] + total[:, 0]) + alone[two]) + alone[three]
        found = series.new_zeros(len(KERNELS), n, self.length)
        for kernel, taps in enumerate(KERNELS.tolist()):
            for channel in torch.nonzero(chosen[kernel]).ravel().tolist():
                found[kernel] += total[:, channel]
                for tap in taps:
                    found[kernel] += threefold[tap, :, channel]
        return found


def _close(values: Tensor, low: Tensor, high: Tensor, alike: bool) -> None:
    """Make those (kernels, n, steps) before `low` (n,) and from `high` (n,) on exceed nothing.

    It takes less time where all n are `alike` in both.
    """
    if alike:
        values[..., : int(low[0])] = values[..., int(high[0]) :] = -torch.inf
        return
    place = torch.arange(values.shape[2], device=values.device)
    beyond = (place < low[:, None]) | (place >= high[:, None])
    values += torch.zeros(beyond.shape, device=values.device).masked_fill_(beyond, -torch.inf)


def _count(above: Tensor) -> Tensor:
    """(…) how often it is true along the last axis, at most 2040 long and divisible by 8.

    Eight truth values at a time are added as one whole number, whose bytes cannot overflow.
    """
    lanes = above.view(torch.int64).sum(-1, keepdim=True)
    return lanes.view(torch.uint8).sum(-1, dtype=torch.float32)
