"""Principal components of many standardised features: what frozen encoders of kernels give."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["leading"]

_SMALLEST = 1e-6  # share of the largest component's variance, below which one is rounding error


def leading(found: Tensor, width: int, weights: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Their mean (inputs,), and the components (inputs, width) that features less it are read by.

    Each of `found` (n, inputs), which is overwritten, is brought to variance one and counts times
    its weight. Components that hold nothing but rounding errors are zero.

    >>> centre, components = leading(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), 2)
    >>> centre.tolist(), (torch.tensor([[2.0, 1.0]]) - centre).matmul(components).abs().tolist()
    ([1.0, 1.0], [[0.7071067690849304, 0.0]])
    """
    centre = found.mean(0)
    found -= centre
    deviation = found.std(0, correction=0)
    scale = torch.where(deviation > 1e-6, 1 / deviation, 0.0) / found.shape[1] ** 0.5 * weights
    found *= scale
    values, vectors = torch.linalg.eigh((found @ found.T).double())
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    kept = int((values > _SMALLEST * values[0].clamp_min(1e-12)).sum())
    directions = found.T @ (vectors[:, :kept] / values[:kept].sqrt()).float()
    components = found.new_zeros(found.shape[1], width)
    components[:, :kept] = scale[:, None] * directions
    return centre, components
