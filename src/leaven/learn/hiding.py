"""Which parts of each record a masked pretext hides."""

from __future__ import annotations

from torch import Generator, Tensor

from leaven.data.views.draws import uniform

__all__ = ["picked"]


def picked(parts: Tensor, share: float, rng: Generator) -> Tensor:
    """(n, parts) true for `share` of the parts of each record that are true, one at least of any.

    The number is rounded, halves up; which ones is uniform.
    """
    count = (share * parts.sum(1, keepdim=True) + 0.5).floor().clamp_min(1)
    luck = uniform(tuple(parts.shape), rng).masked_fill(~parts, 2.0)
    return (luck.argsort(1).argsort(1) < count) & parts
