"""Mixing records with one another: of images, texts, rows or what a network makes of them.

Values are float tensors (n, …) as a network has entered them: standardised pixels, scores,
embeddings. The targets are mixed by the same shares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from leaven.data.views.draws import uniform

__all__ = ["CutMix", "Mix", "MixUp", "Mixing"]


@dataclass(frozen=True)
class Mix:
    """What was drawn: for each record a partner (n,) and the share (n,) of itself that it keeps.

    Where cells are exchanged whole, `own`, of the values' shape or one that broadcasts to it, is
    true for cells that stay and false for the partner's; `share` is its mean for each record.
    """

    partner: torch.Tensor
    share: torch.Tensor
    own: torch.Tensor | None = None


@dataclass(frozen=True)
class Mixing(ABC):
    """A way to mix each record with another; `alpha` above 0, the larger the more even."""

    alpha: float

    @abstractmethod
    def draw(self, values: torch.Tensor, rng: torch.Generator) -> Mix:
        """One partner, of a random permutation, and one share a record, on the values' device."""

    def apply(self, values: torch.Tensor, mix: Mix) -> torch.Tensor:
        """(n, …) each record and its partner, mixed; a pure function, with gradient."""
        if mix.own is None:
            return self.blend(values, mix)
        # With weights of 0 and 1 `lerp` is exact.
        return torch.lerp(values[mix.partner], values, mix.own.to(values.dtype))

    def blend(self, targets: torch.Tensor, mix: Mix) -> torch.Tensor:
        """(n, k) targets mixed by the shares: share · own + (1 - share) · the partner's."""
        share = mix.share.view(-1, *[1] * (targets.ndim - 1)).to(targets.dtype)
        return torch.lerp(targets[mix.partner], targets, share)


@dataclass(frozen=True)
class MixUp(Mixing):
    """Means of two records, weighted by a share from Beta(alpha, alpha).

    Zhang et al. 2018, arXiv:1710.09412, section 2, one share a record. With `keep` the larger
    part is the record's own, as in MixMatch (Berthelot et al. 2019, arXiv:1905.02249, eq. 8-11).
    """

    keep: bool = False

    def draw(self, values: torch.Tensor, rng: torch.Generator) -> Mix:
        """Partners and shares."""
        share = _beta(len(values), self.alpha, rng)
        return Mix(_partners(values, rng), torch.maximum(share, 1 - share) if self.keep else share)


@dataclass(frozen=True)
class CutMix(Mixing):
    """A box of the partner in the record's place.

    Yun et al. 2019, arXiv:1905.04899, section 3.1 (with alpha 1), one box a record: its share of
    the area is drawn from Beta(alpha, alpha), its centre anywhere, and what lies outside is cut
    off. Of images (n, c, h, w) the box is of pixels, of sequences (n, length, width) it is a span
    of places, of vectors (n, width) a block of neighbouring columns.
    """

    alpha: float = 1.0

    def draw(self, values: torch.Tensor, rng: torch.Generator) -> Mix:
        """Partners, boxes, and the exact shares of cells that stay."""
        n = len(values)
        sides = values.shape[2:] if values.ndim == 4 else values.shape[1:2]
        length = (1 - _beta(n, self.alpha, rng)) ** (1 / len(sides))
        inside = [_span(side, length, rng) for side in sides]  # each (n, side)
        if values.ndim == 4:
            own = ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])
        else:
            own = ~inside[0].view(n, -1, *[1] * (values.ndim - 2))
        return Mix(_partners(values, rng), own.flatten(1).float().mean(1), own)


def _partners(values: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """(n,) a random permutation: every record is a partner once, perhaps its own."""
    return torch.randperm(len(values), generator=rng, device=rng.device)


def _span(side: int, share: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """(n, side) true inside a span of a share (n,) of the side about a place drawn uniformly."""
    size = (share * side).round()
    first = ((uniform((len(share),), rng) * side).floor() - (size / 2).floor())[:, None]
    place = torch.arange(side, device=share.device)
    return (place >= first) & (place < first + size[:, None])


def _beta(size: int, alpha: float, rng: torch.Generator) -> torch.Tensor:
    """(size,) draws from Beta(alpha, alpha), on the generator's device.

    Student's t with 2·alpha degrees of freedom in polar form, t² = 2·alpha (u^(-1/alpha) - 1)
    cos²(2πv) (Bailey 1994), taken to (1 + t / √(2·alpha + t²)) / 2, whose distribution this is
    (Devroye 1996, "Random variate generation in one line of code"): no rejection, and the draws
    come from the generator wherever it lives.
    """
    radius, turn = uniform((2, size), rng)
    cosine = torch.cos(2 * torch.pi * turn)
    square = (radius ** (-1 / alpha) - 1) * cosine.square()  # t² / 2·alpha, perhaps infinite
    # The smaller side by itself, which one minus the larger would round to nothing.
    smaller = 0.5 / (1 + square) / (1 + (1 + 1 / square).rsqrt())
    return torch.where(cosine < 0, smaller, 1 - smaller)
