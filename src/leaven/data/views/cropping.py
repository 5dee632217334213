"""Crops of images that are scaled to a side of their own, one a record.

Pixels are (n, c, h, w); `draw` gives the parameters, and `apply` is a pure function of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from leaven.data.views.draws import uniform

__all__ = ["CropResized", "smaller"]

_STEP = 4  # what encoders of patches and of several scales divide a side by
_SMALLEST = 8


@dataclass(frozen=True)
class CropResized:
    """Read a rectangle, a share of the area from [least, most), scaled bilinearly.

    The width over the height is `ratio` to 1 / `ratio` times the picture's, evenly by its
    logarithm; what would be longer than the picture is cut to it (Szegedy et al. 2015, section 6;
    of SimCLR, Chen et al. 2020, the strongest view). The rectangle lies anywhere inside.
    """

    least: float
    most: float = 1.0
    ratio: float = 3 / 4

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, 4) left, top, width and height of the rectangles, as shares of the sides."""
        draw = uniform((len(pixels), 4), rng)
        area = self.least + (self.most - self.least) * draw[:, 0]
        slant = torch.exp((2 * draw[:, 1] - 1) * math.log(self.ratio))
        size = torch.stack([(area * slant).sqrt(), (area / slant).sqrt()], 1).clamp_(max=1)
        return torch.cat([(1 - size) * draw[:, 2:], size], 1)

    def apply(
        self, pixels: torch.Tensor, drawn: torch.Tensor, shape: tuple[int, int] | None = None
    ) -> torch.Tensor:
        """(n, c, *shape), the records' own shape if none is given; the edge is repeated."""
        n, _, h, w = pixels.shape
        height, width = shape or (h, w)
        # grid_sample counts from -1 to 1 over each side.
        across = 2 * (drawn[:, :1] + drawn[:, 2:3] * _middles(width, drawn)) - 1  # (n, width)
        down = 2 * (drawn[:, 1:2] + drawn[:, 3:] * _middles(height, drawn)) - 1  # (n, height)
        grid = torch.stack(
            [
                across[:, None].expand(n, height, width),
                down[:, :, None].expand(n, height, width),
            ],
            -1,
        )
        return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def smaller(side: int) -> int:
    """Half a side, as a multiple of 4 and at least 8, for views of small parts.

    >>> [smaller(side) for side in (8, 16, 28, 32, 96)]
    [8, 8, 16, 16, 48]
    """
    return min(side, max(_SMALLEST, _STEP * math.ceil(side / 2 / _STEP)))


def _middles(count: int, like: torch.Tensor) -> torch.Tensor:
    """(count,) where the middles of so many pixels lie between 0 and 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count
