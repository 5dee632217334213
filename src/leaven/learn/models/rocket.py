"""MiniRocket's features of series, brought to principal components: a frozen encoder."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.kernels_of_time import KernelsOfTime
from leaven.learn.principal import leading
from leaven.learn.standard_series import StandardSeries, own_steps, stretched

__all__ = ["Rocket"]

_DIFFERENCES = 0.7  # weight of the differences' features: they hold more of the noise
_MOST = 2000  # records from which the components are learnt


class Rocket(Encoder):
    """Proportions of positive values of 84 fixed kernels, of a series and of its differences.

    Dempster et al. 2021 (see `kernels_of_time`); that the differences of successive values are
    convolved as well is MultiRocket's (Tan et al. 2022, arXiv:2102.00457). Each feature is
    standardised, and all are projected on their leading principal components.

    Series of unlike lengths are convolved a second time when they have been stretched to their
    `usual` length, 0 where they have one: whether the longer one lasted longer or went on more
    slowly nobody knows. Either reading alone is some points worse where the other one is true.
    """

    name = "rocket"
    modality = "series"
    summary = "MiniRocket's features of the series and its differences, 512 components, frozen"
    ready = True
    centre: Tensor
    components: Tensor

    def __init__(
        self, channels: int, length: int, each: int, differences: bool, width: int, usual: int = 0
    ) -> None:
        super().__init__(
            channels=channels, length=length, each=each, differences=differences, width=width,
            usual=usual,
        )  # fmt: skip
        self.width = width
        self.usual = usual
        self.standard = StandardSeries(channels)
        lengths = [steps - o for steps in (length, usual) if steps for o in range(1 + differences)]
        self.kernels = nn.ModuleList(KernelsOfTime(channels, max(n, 1), each) for n in lengths)
        inputs = sum(part.width for part in self._parts())
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("components", torch.zeros(inputs, width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """29 features of each kernel, of both orders; 512 components."""
        return {
            "channels": spec["channels"],
            "length": spec["length"],
            "each": 29,
            "differences": True,
            "width": 512,
            "usual": spec.get("usual", 0),
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Biases, means, deviations and components of up to 2,000 records."""
        self.standard.learn(arrays, index, seed)
        batch = arrays.batch(sample(index, _MOST, seed))
        rng = np.random.default_rng((seed, 84))
        for part, (series, own) in zip(self._parts(), self._read(batch), strict=True):
            part.learn(series, rng, own)
        weights = torch.ones(len(self.centre))
        if self.config["differences"]:
            weights.view(-1, 2, self._parts()[0].width)[:, 1] *= _DIFFERENCES
        centre, components = leading(self._features(batch), self.width, weights)
        self.centre.copy_(centre)
        self.components.copy_(components)

    def _parts(self) -> list[KernelsOfTime]:
        return cast(list[KernelsOfTime], list(self.kernels))

    def _read(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """What each of the kernels reads: (batch, channels, steps) and the series' own steps."""
        values, within = (part.transpose(1, 2) for part in self.standard(batch))
        own = own_steps(within)
        read = self._with_differences(values, within, own)
        if self.usual:
            values, within = (stretched(part, own, self.usual) for part in (values, within))
            whole = torch.full_like(own, self.usual)
            read += self._with_differences(values, within.floor(), whole)
        return read

    def _with_differences(
        self, values: Tensor, within: Tensor, own: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        if not self.config["differences"]:
            return [(values, own)]
        if values.shape[2] == 1:
            return [(values, own), (torch.zeros_like(values), own)]
        # The step onto the padding says where the series ends, not what it does.
        steps = values.diff(dim=2) * within[..., 1:] * within[..., :-1]
        return [(values, own), (steps, (own - 1).clamp_min(1))]

    def _features(self, batch: Batch) -> Tensor:
        read = zip(self._parts(), self._read(batch), strict=True)
        return torch.cat([part(*series) for part, series in read], 1)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, 512) components."""
        projected: Tensor = (self._features(batch) - self.centre) @ self.components
        return projected


ENCODERS.add(Rocket.name, Rocket)
