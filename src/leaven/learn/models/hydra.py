"""Hydra's features of series: which of some competing kernels is found, and how clearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.patch_codes import rooted
from leaven.learn.principal import leading
from leaven.learn.standard_series import StandardSeries, even_series

__all__ = ["CLEAR", "Hydra"]

_TAPS = 9
_MOST = 2000  # records from which the components are learnt
_MOST_CHANNELS = 8  # that a group of kernels sums
_HELD = 1 << 19  # numbers of convolutions that are held at once: about what a cache holds
#: By how much the best answer of a group must exceed the second to count in full. In a flat part of
#: a series all answers are equal but for rounding, and none of them is the best.
CLEAR = 1e-3


class Hydra(Encoder):
    """Of groups of random kernels, at each step the best match counts.

    Dempster, Schmidt & Webb 2023, arXiv:2203.13652, section 3: `groups` groups of `kernels` random
    kernels of nine weights, for every dilation that is a power of two, one half of the groups on
    the series, the other on its differences. Of each group that kernel which answers most at a step
    is given its answer, and that which answers least is counted; the features are the roots of the
    sums. A group reads the sum of some channels, drawn by chance. Here what is the best by a hair
    counts in part, so that no rounding decides, and features are standardised and projected on
    their leading principal components.

    Series of unlike lengths are stretched to their `usual` one.
    """

    name = "hydra"
    modality = "series"
    summary = "which of competing random kernels match, 512 components, frozen"
    ready = True
    weights: Tensor
    chosen: Tensor
    centre: Tensor
    components: Tensor

    def __init__(
        self, channels: int, length: int, kernels: int, groups: int, width: int, usual: int = 0
    ) -> None:
        super().__init__(
            channels=channels, length=length, kernels=kernels, groups=groups, width=width,
            usual=usual,
        )  # fmt: skip
        self.width, self.kernels, self.a_pass = width, kernels, groups // 2
        self.usual = usual
        self.standard = StandardSeries(channels)
        self.dilations = dilations(usual or length)
        passes = len(self.passes)
        self.register_buffer("weights", torch.zeros(passes, self.a_pass * kernels, 1, _TAPS))
        each = max(1, min(channels // 2, _MOST_CHANNELS))
        self.register_buffer("chosen", torch.zeros(passes, self.a_pass, each, dtype=torch.long))
        inputs = passes * self.a_pass * kernels * 2
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("components", torch.zeros(inputs, width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """64 groups of eight kernels, 512 components."""
        return {
            "channels": spec["channels"],
            "length": spec["length"],
            "kernels": 8,
            "groups": 64,
            "width": 512,
            "usual": spec.get("usual", 0),
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Kernels are drawn; means, deviations and components are those of up to 2,000 records."""
        self.standard.learn(arrays, index, seed)
        drawn = torch.Generator().manual_seed(seed)
        weights = torch.randn(self.weights.shape, generator=drawn)
        weights -= weights.mean(-1, keepdim=True)
        self.weights.copy_(weights / weights.abs().sum(-1, keepdim=True))
        channels = self.config["channels"]
        for group in self.chosen.view(-1, self.chosen.shape[2]):
            group.copy_(torch.randperm(channels, generator=drawn)[: len(group)])
        found = self._features(arrays.batch(sample(index, _MOST, seed)))
        centre, components = leading(found, self.width)
        self.centre.copy_(centre)
        self.components.copy_(components)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, 512) components."""
        projected: Tensor = (self._features(batch) - self.centre) @ self.components
        return projected

    @property
    def passes(self) -> list[tuple[int, bool]]:
        """A dilation each, and whether differences are read."""
        return [(dilation, changes) for dilation in self.dilations for changes in (False, True)]

    def _features(self, batch: Batch) -> Tensor:
        """(batch, inputs) roots of the sums."""
        series = even_series(self.standard, batch, self.usual)
        block = max(1, _HELD // (self.a_pass * self.kernels * series.shape[2]))
        return torch.cat([self._counted(part) for part in torch.split(series, block)])

    def _counted(self, series: Tensor) -> Tensor:
        """(n, inputs) roots of the sums, of series (n, channels, steps)."""
        found = []
        changes = series.diff(dim=2) if series.shape[2] > 1 else torch.zeros_like(series)
        for number, (dilation, of_changes) in enumerate(self.passes):
            values = changes if of_changes else series
            if series.shape[1] > 1:  # of one channel all groups read the same
                values = values[:, self.chosen[number]].sum(2)
            weights = self.weights[number].view(self.a_pass, self.kernels, _TAPS)
            answers = _answers(values, weights, dilation)
            most, clear = _best(answers)
            found.append(_shared(most.clamp_min(0) * clear, answers, most))
            least, clear = _best([-one for one in answers])
            found.append(_shared(clear, answers, -least))
        return rooted(torch.cat(found, 1))


def _answers(values: Tensor, weights: Tensor, dilation: int) -> Sequence[Tensor]:
    """Of each kernel of the groups (n, groups, steps) its convolution, nothing beyond the ends.

    Of values (n, groups or 1, steps) with weights (groups, kernels, taps).
    """
    (groups, kernels, taps), steps = weights.shape, values.shape[2]
    reach = dilation * (taps // 2)
    places = torch.arange(taps)[:, None] * dilation + torch.arange(steps)
    windows = F.pad(values, (reach, reach))[:, :, places.to(values.device)]
    if values.shape[1] > 1:
        return (weights @ windows).unbind(2)
    flat = weights.transpose(0, 1).reshape(-1, taps)
    return (flat @ windows[:, 0]).view(len(values), kernels, groups, steps).unbind(1)


def _best(answers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(n, groups, steps) the largest of the kernels' answers, and how clearly it is."""
    most, second = answers[0], torch.full_like(answers[0], -torch.inf)
    for one in answers[1:]:
        second = torch.maximum(second, torch.minimum(one, most))
        most = torch.maximum(one, most)
    return most, ((most - second) / CLEAR).clamp_max(1)


def _shared(values: Tensor, answers: Sequence[Tensor], best: Tensor) -> Tensor:
    """(n, groups · kernels) of values (n, groups, steps) each kernel those where it is the best."""
    return torch.stack([(values * (one == best)).sum(2) for one in answers], 2).flatten(1)


def dilations(length: int) -> list[int]:
    """Powers of two, so far as nine taps fit a series of that length.

    >>> dilations(128), dilations(5)
    ([1, 2, 4, 8], [1])
    """
    found = [1]
    while 2 * found[-1] * (_TAPS - 1) < length:
        found.append(2 * found[-1])
    return found


ENCODERS.add(Hydra.name, Hydra)
