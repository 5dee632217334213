"""Views of images: moves, one affine map a record, and a random choice of operations.

Every operation says `draw(pixels, rng)`, one parameter a record, and `apply(pixels, drawn)`,
which is a pure function: a batch and its records one by one give the same pixels.
Pixels are (n, c, h, w): uint8 or float for moves, float32 in [0, 1] for everything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from leaven.data.views.draws import uniform
from leaven.data.views.photometric import Photometric

__all__ = [
    "Choice",
    "Choose",
    "Cutout",
    "Flip",
    "Geometric",
    "Rotate",
    "ShearX",
    "ShearY",
    "Shift",
    "TranslateX",
    "TranslateY",
    "unit",
]


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
        # Whole rows first: copies of w neighbours are as fast as memory.
        lines = torch.arange(n * c, device=pixels.device).view(n, c, 1) * h + rows[:, None]
        moved = pixels.reshape(n * c * h, w).index_select(0, lines.flatten())
        # Then columns, as whole rows of the transposed picture of each record.
        moved = moved.view(n, c * h, w).transpose(1, 2).reshape(n * w, c * h)
        lines = torch.arange(n, device=pixels.device)[:, None] * w + columns
        moved = moved.index_select(0, lines.flatten()).view(n, w, c * h)
        return moved.transpose(1, 2).reshape(n, c, h, w)

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
        return torch.where(drawn.view(-1, 1, 1, 1), pixels.flip(-1), pixels)

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


@dataclass(frozen=True)
class Geometric(ABC):
    """A linear map about the picture's centre, its parameter drawn from [low, high)."""

    low: float = -0.3
    high: float = 0.3

    @abstractmethod
    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """(n, 3, 3) maps from a place in the view to the place it is read from.

        Places are in pixels from the centre: (x to the right, y downwards, 1).
        """


def _maps(parameter: torch.Tensor, entries: dict[tuple[int, int], torch.Tensor]) -> torch.Tensor:
    """Identity maps, one a parameter, with the entries at (row, column) replaced."""
    maps = torch.eye(3, device=parameter.device).repeat(len(parameter), 1, 1)
    for (row, column), value in entries.items():
        maps[:, row, column] = value
    return maps


@dataclass(frozen=True)
class Rotate(Geometric):
    """Turn; the parameter is in degrees."""

    low: float = -30.0
    high: float = 30.0

    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Rotations."""
        turn = torch.deg2rad(parameter)
        cos, sin = turn.cos(), turn.sin()
        return _maps(parameter, {(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos})


@dataclass(frozen=True)
class ShearX(Geometric):
    """Slant to the side; the parameter is a slope."""

    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Shears along x."""
        return _maps(parameter, {(0, 1): parameter})


@dataclass(frozen=True)
class ShearY(Geometric):
    """Slant downwards; the parameter is a slope."""

    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Shears along y."""
        return _maps(parameter, {(1, 0): parameter})


@dataclass(frozen=True)
class TranslateX(Geometric):
    """Move to the side; the parameter is a share of the width."""

    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Moves along x."""
        return _maps(parameter, {(0, 2): parameter * width})


@dataclass(frozen=True)
class TranslateY(Geometric):
    """Move downwards; the parameter is a share of the height."""

    def matrix(self, parameter: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Moves along y."""
        return _maps(parameter, {(1, 2): parameter * height})


@dataclass(frozen=True)
class Choice:
    """What `Choose` drew: for each record and slot an operation and a magnitude in [0, 1)."""

    which: torch.Tensor
    magnitude: torch.Tensor


@dataclass(frozen=True)
class Choose:
    """For each record `count` operations of a list, each of its own magnitude.

    RandAugment (Cubuk et al. 2020) as FixMatch draws it: uniformly, with replacement, the
    magnitudes uniform over each operation's range. Of the drawn operations the geometric ones
    come first, joined into one bilinear sampling whose gap repeats the edge; then the
    photometric ones in the order drawn.
    """

    operations: tuple[Geometric | Photometric, ...]
    count: int = 2

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> Choice:
        """Operations and magnitudes, both (n, count)."""
        shape = (len(pixels), self.count)
        which = (uniform(shape, rng) * len(self.operations)).long()
        return Choice(which.clamp_(max=len(self.operations) - 1), uniform(shape, rng))

    def apply(self, pixels: torch.Tensor, drawn: Choice) -> torch.Tensor:
        """The records after their operations."""
        n, _, h, w = pixels.shape
        maps = torch.eye(3, device=pixels.device).repeat(n, 1, 1)
        turned = torch.zeros(n, dtype=torch.bool, device=pixels.device)
        slots = [self._groups(drawn, slot) for slot in range(self.count)]
        for groups in slots:
            for operation, rows, parameter in groups:
                if isinstance(operation, Geometric):
                    # The first operation is the innermost map: reading goes backwards.
                    maps[rows] = maps[rows] @ operation.matrix(parameter, h, w)
                    turned[rows] = True
        moved = turned.nonzero().squeeze(1)
        pixels = pixels.index_copy(0, moved, _warp(pixels[moved], maps[moved]))
        for groups in slots:
            for operation, rows, parameter in groups:
                if isinstance(operation, Photometric):
                    pixels.index_copy_(0, rows, operation.apply(pixels[rows], parameter))
        return pixels

    def _groups(
        self, drawn: Choice, slot: int
    ) -> list[tuple[Geometric | Photometric, torch.Tensor, torch.Tensor]]:
        """The operations of one slot, each with its records and their parameters."""
        which, magnitude = drawn.which[:, slot], drawn.magnitude[:, slot]
        # One sort and one count: the only time the device is waited for.
        sizes = torch.bincount(which, minlength=len(self.operations)).tolist()
        shares = torch.split(which.argsort(stable=True), sizes)
        return [
            (operation, rows, operation.low + (operation.high - operation.low) * magnitude[rows])
            for operation, rows in zip(self.operations, shares, strict=True)
            if len(rows)
        ]

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


def _warp(pixels: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Each record read through its map (n, 3, 3); see `Geometric.matrix`."""
    if not len(pixels):
        return pixels
    h, w = pixels.shape[2:]
    # grid_sample counts from -1 to 1 over each side.
    half = torch.tensor([w / 2, h / 2, 1.0], device=pixels.device)
    theta = maps * half / half[:, None]
    grid = F.affine_grid(theta[:, :2], list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


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
        return torch.where(hole, pixels.mean((2, 3), keepdim=True), pixels)

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))
