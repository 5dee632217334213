"""Magnitudes that are learnt while training: as hard as the network can still read.

CTAugment: Berthelot et al. 2020, "ReMixMatch", arXiv:1911.09785, section 3.2.2. Each operation's
range is cut into bins, and each bin has a rate: a running mean of how well the network recognised
records that the bin had changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.views.choosing import Choice, Choosing
from leaven.data.views.draws import uniform

__all__ = ["LearnedChoose", "Steering"]


@dataclass(frozen=True)
class Steering(Choice):
    """What was drawn for each record: operations and magnitudes, and the magnitudes' bins.

    All are (n, count). The operations are the rows of the rates, the bins their columns.
    """

    bin: torch.Tensor

    def learn(self, rates: torch.Tensor, match: torch.Tensor, decay: float = 0.99) -> torch.Tensor:
        """New rates (operations, bins), after these records were recognised so well.

        `match` (n,) in [0, 1] is one a record: 1 for the right answer given for certain. Of each
        bin a record drew the rate becomes decay · rate + (1 - decay) · match, record by record.
        The rates that are given stay as they were.
        """
        bins = rates.shape[1]
        place = (self.which * bins + self.bin).flatten()
        said = match.to(rates.dtype).repeat_interleave(self.which.shape[1])
        drawn = torch.bincount(place, minlength=rates.numel())
        # How often the same bin is drawn again later, by which an answer has faded at the end.
        order = place.argsort(stable=True)
        sorted_place = place[order]
        own = torch.arange(len(place), device=place.device)
        later = drawn.cumsum(0)[sorted_place] - 1 - own
        weight = (1 - decay) * decay ** later.to(rates.dtype)
        new = rates.flatten() * decay ** drawn.to(rates.dtype)
        return new.index_add(0, sorted_place, weight * said[order]).view_as(rates)


@dataclass(frozen=True)
class LearnedChoose(Choosing):
    """Operations drawn uniformly, magnitudes from the bins that the network can read.

    A bin is drawn as often as its rate says, if it is above `threshold`, else never. Where none
    of an operation's bins is, its best ones are drawn: the paper leaves this case open.
    """

    bins: int = 17
    threshold: float = 0.8

    def start(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """(operations, bins) rates of one: every bin is as likely as the others."""
        return torch.ones(len(self.operations), self.bins, device=device)

    def steer(
        self, pixels: torch.Tensor, rng: torch.Generator, rates: torch.Tensor | None
    ) -> Steering:
        """Operations, bins by these rates, and magnitudes uniform within their bins.

        Without rates all bins are alike, as the paper draws them for the labelled records from
        whose recognition it learns: a bin that was given up is tried again.
        """
        which = self.which(len(pixels), rng)
        kept = self.start(which.device)
        if rates is not None:
            best = rates.amax(1, keepdim=True)
            kept = torch.where((rates > self.threshold) | (rates == best), rates, 0.0)
            kept = torch.where(best > 0, kept, 1.0)
        chosen = torch.multinomial(kept[which.flatten()], 1, replacement=True, generator=rng)
        within = chosen.view_as(which)
        magnitude = (within + uniform(tuple(which.shape), rng)) / self.bins
        return Steering(which, magnitude, within)

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> Steering:
        """As `steer` without rates."""
        return self.steer(pixels, rng, None)
