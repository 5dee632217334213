"""MiniRocket's features of series, brought to principal components: a frozen encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.kernels_of_time import KernelsOfTime
from leaven.learn.standard_series import StandardSeries

__all__ = ["Rocket"]

_DIFFERENCES = 0.7  # weight of the differences' features: they hold more of the noise
_MOST = 2000  # records from which the components are learnt
_SMALLEST = 1e-6  # share of the largest component's variance, below which one is rounding error


class Rocket(Encoder):
    """Proportions of positive values of 84 fixed kernels, of a series and of its differences.

    Dempster et al. 2021 (see `kernels_of_time`); that the differences of successive values are
    convolved as well is MultiRocket's (Tan et al. 2022, arXiv:2102.00457). Each feature is
    standardised, and all are projected on their leading principal components.
    """

    name = "rocket"
    modality = "series"
    summary = "MiniRocket's features of the series and its differences, 512 components, frozen"
    ready = True
    centre: Tensor
    components: Tensor

    def __init__(
        self, channels: int, length: int, each: int, differences: bool, width: int
    ) -> None:
        super().__init__(
            channels=channels, length=length, each=each, differences=differences, width=width
        )
        self.width = width
        self.standard = StandardSeries(channels)
        parts = [KernelsOfTime(channels, max(length - o, 1), each) for o in range(1 + differences)]
        self.kernels = nn.ModuleList(parts)
        inputs = sum(part.width for part in parts)
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
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Biases, means, deviations and components of up to 2,000 records."""
        self.standard.learn(arrays, index, seed)
        batch = arrays.batch(sample(index, _MOST, seed))
        rng = np.random.default_rng((seed, 84))
        for part, series in zip(self.kernels, self._read(batch), strict=True):
            assert isinstance(part, KernelsOfTime)
            part.learn(series, rng)
        found = self._features(batch)
        self.centre.copy_(found.mean(0))
        found -= self.centre
        deviation = found.std(0, correction=0)
        scale = torch.where(deviation > 1e-6, 1 / deviation, 0.0) / found.shape[1] ** 0.5
        if len(self.kernels) > 1:
            scale[len(scale) - int(self.kernels[1].width) :] *= _DIFFERENCES  # type: ignore[arg-type]
        found *= scale
        values, vectors = torch.linalg.eigh((found @ found.T).double())
        values, vectors = values.flip(0)[: self.width], vectors.flip(1)[:, : self.width]
        kept = int((values > _SMALLEST * values[0].clamp_min(1e-12)).sum())
        directions = found.T @ (vectors[:, :kept] / values[:kept].sqrt()).float()
        self.components.zero_()
        self.components[:, :kept] = scale[:, None] * directions

    def _read(self, batch: Batch) -> list[Tensor]:
        """The series (batch, channels, steps), and its differences."""
        values, within = (part.transpose(1, 2) for part in self.standard(batch))
        if len(self.kernels) == 1:
            return [values]
        if values.shape[2] == 1:
            return [values, torch.zeros_like(values)]
        # The step onto the padding says where the series ends, not what it does.
        return [values, values.diff(dim=2) * within[..., 1:] * within[..., :-1]]

    def _features(self, batch: Batch) -> Tensor:
        parts = [part(series) for part, series in zip(self.kernels, self._read(batch), strict=True)]
        return torch.cat(parts, 1)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, 512) components."""
        projected: Tensor = (self._features(batch) - self.centre) @ self.components
        return projected


ENCODERS.add(Rocket.name, Rocket)
