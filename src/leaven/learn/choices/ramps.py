"""Ramps: how the unlabelled weight grows over the training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import part, within

__all__ = ["CosineRamp", "ExponentialRamp", "LinearRamp"]


@part("ramp")
@dataclass(frozen=True)
class LinearRamp:
    """The unlabelled weight grows linearly from 0 between two shares of the training."""

    start: float = 0.0
    end: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise SettingError("LinearRamp", "0 ≤ start < end ≤ 1", f"{self.start}, {self.end}")

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
        return min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)


@part("ramp")
@dataclass(frozen=True)
class ExponentialRamp:
    """exp(-5 (1 - t)²) over the first part of the training (Laine & Aila 2017, section 4)."""

    end: float = 0.4

    def __post_init__(self) -> None:
        within("end of ExponentialRamp", self.end, 0.001, 1)

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
        return math.exp(-5 * (1 - min(progress / self.end, 1.0)) ** 2)


@part("ramp")
@dataclass(frozen=True)
class CosineRamp:
    """½ - cos(min(π, π t / end)) / 2 (AdaMatch, Berthelot et al. 2022, section 3.1)."""

    end: float = 0.5

    def __post_init__(self) -> None:
        within("end of CosineRamp", self.end, 0.001, 1)

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
        return 0.5 - math.cos(math.pi * min(progress / self.end, 1.0)) / 2
