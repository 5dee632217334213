"""Views of images: moves by whole pixels, mirroring, and covered squares.

Every operation says `draw(pixels, rng)`, one parameter a record, and `apply(pixels, drawn)`,
which is a pure function: a batch and its records one by one give the same pixels.
Pixels are (n, c, h, w): uint8 or float for moves, float32 in [0, 1] for covering.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.views.draws import uniform

__all__ = ["Cutout", "Flip", "Shift", "unit"]


def unit(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 pixels as float32 in [0, 1]."""
    return pixels.to(torch.float32).div_(255)


@dataclass(frozen=True)
class Shift:
    """Move by whole pixels, up to `share` of the side each way; the gap mirrors the edge.

    Krizhevsky et al. 2012 and every semi-supervised paper since: pad by reflection, crop.
    """

    share: float

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, 2) whole steps down and right."""
        sides = torch.tensor(pixels.shape[2:], device=rng.device)
        reach = (sides * self.share).round().clamp(max=sides - 1)
        return ((2 * reach + 1) * uniform((len(pixels), 2), rng)).floor().sub_(reach).long()

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Pixel (i, j) comes from (i + down, j + right), mirrored into the picture."""
        n, c, h, w = pixels.shape
        rows = _mirror(drawn[:, :1], h)  # (n, h)
        columns = _mirror(drawn[:, 1:], w)  # (n, w)
        place = (rows[:, :, None] * w + columns[:, None]).view(n, 1, h * w)
        moved = pixels.reshape(n, c, h * w).gather(2, place.expand(n, c, h * w))
        return moved.view(n, c, h, w)

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


def _mirror(start: torch.Tensor, size: int) -> torch.Tensor:
    """(n, size) positions start, start + 1, … reflected at both ends without repeating them."""
    place = torch.arange(size, device=start.device) + start
    return (size - 1 - (size - 1 - place.abs()).abs()).clamp_(min=0)


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, for half of the records."""

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n,) true where the record is mirrored."""
        return uniform((len(pixels),), rng) < 0.5

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records, some of them mirrored."""
        # Whole records out of both kinds: several times as fast as a choice pixel by pixel.
        both = torch.cat([pixels, pixels.flip(-1)])
        own = torch.arange(len(pixels), device=pixels.device)
        return both.index_select(0, own + len(pixels) * drawn)

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


@dataclass(frozen=True)
class Cutout:
    """Cover a square of up to `share` of the shorter side with the record's mean colour.

    DeVries and Taylor 2017: the centre is anywhere, so that part of the square may lie outside.
    The mean colour, where they use the data set's mean, keeps dark pictures dark.
    """

    share: float

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, 4) first row, row after the last, first column, column after the last."""
        h, w = pixels.shape[2:]
        draw = uniform((len(pixels), 3), rng)
        side = (draw[:, 2] * (min(h, w) * self.share + 1)).floor()
        top = (draw[:, 0] * h - side / 2).round()
        left = (draw[:, 1] * w - side / 2).round()
        return torch.stack([top, top + side, left, left + side], 1).long()

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records with their squares covered."""
        h, w = pixels.shape[2:]
        row = torch.arange(h, device=pixels.device)
        column = torch.arange(w, device=pixels.device)
        inside_rows = (row >= drawn[:, :1]) & (row < drawn[:, 1:2])  # (n, h)
        inside_columns = (column >= drawn[:, 2:3]) & (column < drawn[:, 3:])  # (n, w)
        hole = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
        # With weights of 0 and 1 `lerp` is exact, and vectorised where `where` is not.
        return torch.lerp(pixels, pixels.mean((2, 3), keepdim=True), hole.to(pixels.dtype))

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))
