"""Several operations of a list for each record, and how one batch goes through all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from leaven.data.views.draws import uniform
from leaven.data.views.geometric import Geometric, warp
from leaven.data.views.photometric import Photometric

__all__ = ["Choice", "Choose", "Choosing", "RandAugment"]


@dataclass(frozen=True)
class Choice:
    """For each record and slot an operation and a magnitude in [0, 1], both (n, count).

    A magnitude is a share of the way from an operation's `low` to its `high`.
    """

    which: torch.Tensor
    magnitude: torch.Tensor


@dataclass(frozen=True)
class Choosing(ABC):
    """For each record `count` operations of a list, drawn uniformly, with replacement.

    Of the drawn operations the geometric ones come first, joined into one bilinear sampling
    whose gap repeats the edge; then the photometric ones in the order drawn. Pixels are
    (n, c, h, w), float32 in [0, 1].
    """

    operations: tuple[Geometric | Photometric, ...]
    count: int = 2

    def which(self, size: int, rng: torch.Generator) -> torch.Tensor:
        """(size, count) operations, each as likely as the others."""
        which = (uniform((size, self.count), rng) * len(self.operations)).long()
        return which.clamp_(max=len(self.operations) - 1)

    def apply(self, pixels: torch.Tensor, drawn: Choice) -> torch.Tensor:
        """The records after their operations."""
        n, _, h, w = pixels.shape
        groups = self._groups(drawn)
        maps = torch.eye(3, device=pixels.device).repeat(self.count * n, 1, 1)
        for operation, slots, parameters in groups:
            if isinstance(operation, Geometric):
                maps[torch.cat(slots)] = operation.matrix(torch.cat(parameters), h, w)
        # The first operation is the innermost map: reading goes backwards.
        joined, *others = maps.view(self.count, n, 3, 3)
        for after in others:
            joined = joined @ after
        geometric = [isinstance(operation, Geometric) for operation in self.operations]
        turned = torch.tensor(geometric, device=pixels.device)[drawn.which].any(1)
        moved = turned.nonzero().squeeze(1)
        pixels = pixels.index_copy(0, moved, warp(pixels.index_select(0, moved), joined[moved]))
        for slot in range(self.count):
            for operation, slots, parameters in groups:
                if isinstance(operation, Photometric) and len(slots[slot]):
                    rows = slots[slot] - slot * n
                    changed = operation.apply(pixels.index_select(0, rows), parameters[slot])
                    pixels.index_copy_(0, rows, changed)
        return pixels

    def _groups(
        self, drawn: Choice
    ) -> list[tuple[Geometric | Photometric, list[torch.Tensor], list[torch.Tensor]]]:
        """Each operation that was drawn, and by slot its records and their parameters.

        Record i of slot s is told as s·n + i.
        """
        slot = torch.arange(self.count, device=drawn.which.device)[:, None]
        kind = (drawn.which.T * self.count + slot).flatten()
        # One sort and one count: the only time the device is waited for.
        sizes = torch.bincount(kind, minlength=len(self.operations) * self.count).tolist()
        order = kind.argsort(stable=True)
        rows = torch.split(order, sizes)
        magnitudes = torch.split(drawn.magnitude.T.flatten()[order], sizes)
        groups = []
        for number, operation in enumerate(self.operations):
            own = slice(number * self.count, (number + 1) * self.count)
            if any(sizes[own]):
                span = operation.high - operation.low
                parameters = [operation.low + span * share for share in magnitudes[own]]
                groups.append((operation, list(rows[own]), parameters))
        return groups

    @abstractmethod
    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> Choice:
        """Operations and magnitudes."""

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


@dataclass(frozen=True)
class Choose(Choosing):
    """Each operation of its own magnitude, uniform over the operation's range.

    RandAugment as FixMatch draws it (Sohn et al. 2020, appendix D).
    """

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> Choice:
        """Operations and magnitudes, both (n, count)."""
        return Choice(self.which(len(pixels), rng), uniform((len(pixels), self.count), rng))


@dataclass(frozen=True)
class RandAugment(Choosing):
    """All operations of one `magnitude`, from 0, the mildest, to 1, the hardest.

    Cubuk et al. 2020, arXiv:1909.13719, section 3: their M of 0 … 10 is ten times this one. A
    photometric operation is hardest at its range's low end; a geometric one at both, and
    which of the two it is, right or left, is drawn. Ranges stay the operations' own, in which
    light, contrast and colour only fade.
    """

    magnitude: float = 0.5

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> Choice:
        """Operations, uniformly, and what the one magnitude is on each one's range."""
        which = self.which(len(pixels), rng)
        geometric = [isinstance(operation, Geometric) for operation in self.operations]
        side = torch.where(uniform(tuple(which.shape), rng) < 0.5, -0.5, 0.5)
        moved = 0.5 + side * self.magnitude
        about = torch.tensor(geometric, device=which.device)[which]
        return Choice(which, torch.where(about, moved, 1 - self.magnitude))
