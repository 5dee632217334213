"""When projections agree, with numbers of a projection that must not say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Agreement, Projected
from leaven.learn.objective import Loss, Moment

__all__ = ["CrossCorrelation", "VarianceCovariance"]

_TINY = 1e-5  # beside a variance


@part("agreement")
@dataclass(frozen=True)
class CrossCorrelation(Agreement):
    """The correlations between two views are to be the identity matrix. Two views only.

    Zbontar et al. 2021 (Barlow Twins), eq. 1 and 2: Σᵢ (1 - Cᵢᵢ)² + w Σᵢ Σ_{j≠i} Cᵢⱼ².
    """

    redundancy: float = 0.0051

    def __post_init__(self) -> None:
        within("redundancy of CrossCorrelation", self.redundancy, 0, 10)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """Two terms."""
        one, other = _standardised(seen.online[0]), _standardised(seen.target[1])
        correlation = one.T @ other / len(one)
        diagonal = correlation.diagonal()
        invariance = (1 - diagonal).square().sum()
        redundancy = correlation.square().sum() - diagonal.square().sum()
        return Loss({"invariance": invariance, "redundancy": self.redundancy * redundancy})


@part("agreement")
@dataclass(frozen=True)
class VarianceCovariance(Agreement):
    """Projections are to be equal, each number to vary by one, and no two to vary together.

    Bardes et al. 2022 (VICReg), eq. 1 to 6. The paper's weights belong to its program, which
    takes the mean over a projection's numbers where eq. 5 takes the sum, and half of each
    variance term; so do we. Two views only.
    """

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0

    def __post_init__(self) -> None:
        for name in ("invariance", "variance", "covariance"):
            within(f"{name} of VarianceCovariance", getattr(self, name), 0, 1e6)

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """Three terms."""
        one, other = seen.online[0], seen.target[1]
        flat = (_flatness(one) + _flatness(other)) / 2
        bound = _covariance(one) + _covariance(other)
        return Loss(
            {
                "invariance": self.invariance * F.mse_loss(one, other),
                "variance": self.variance * flat,
                "covariance": self.covariance * bound,
            }
        )


def _standardised(projections: Tensor) -> Tensor:
    """(u, d) each number with mean 0 and variance 1 over the batch."""
    centred = projections - projections.mean(0)
    standardised: Tensor = centred / (centred.square().mean(0) + _TINY).sqrt()
    return standardised


def _flatness(projections: Tensor) -> Tensor:
    """The mean over the numbers of how far a standard deviation is below 1."""
    return F.relu(1 - (projections.var(0) + 1e-4).sqrt()).mean()


def _covariance(projections: Tensor) -> Tensor:
    """The sum of the squared covariances between different numbers, divided by their count."""
    centred = projections - projections.mean(0)
    covariance = centred.T @ centred / (len(projections) - 1)
    of_two = covariance.square().sum() - covariance.diagonal().square().sum()
    bound: Tensor = of_two / projections.shape[1]
    return bound
