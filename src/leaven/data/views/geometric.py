"""Linear maps of images, one a record, and the sampling that joins them into one reading.

Ranges follow FixMatch (Sohn et al. 2020, appendix D, table 12).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = ["Geometric", "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "warp"]


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


def warp(pixels: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Each record (n, c, h, w) read bilinearly through its map (n, 3, 3), its edge repeated.

    What a map says is at `Geometric.matrix`.
    """
    if not len(pixels):
        return pixels
    h, w = pixels.shape[2:]
    # grid_sample counts from -1 to 1 over each side. A map's two parts are summed by
    # broadcasting: `affine_grid` multiplies matrices, which takes longer than the sampling.
    scaled = maps[:, :2] * (2 / torch.tensor([[w], [h]], device=pixels.device))
    across = scaled[:, :, :1] * _from_centre(w, pixels.device)  # (n, 2, w)
    down = scaled[:, :, 1:2] * _from_centre(h, pixels.device) + scaled[:, :, 2:]  # (n, 2, h)
    grid = (across[:, :, None] + down[..., None]).permute(0, 2, 3, 1)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _from_centre(size: int, device: torch.device) -> torch.Tensor:
    """(size,) places of the pixels' middles."""
    return torch.arange(size, device=device) - (size - 1) / 2
