"""Parts of pictures: patches side by side, their positions, and tiles cut at random."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.data.modality import Spec
from leaven.data.views.draws import uniform

__all__ = ["CELLS", "cut_tiles", "patchified", "shown_tiles", "sine_positions", "tile_shape"]

#: A picture is divided into three times three cells, each of which holds a tile.
CELLS = 9
_GRID = 3
_SMALLEST = 3  # pixels of a tile


def patchified(pictures: Tensor, side: int) -> Tensor:
    """(n, rows · columns, c · side²) the patches of pictures (n, c, h, w), row by row.

    A patch is its channels one after the other, each row by row. Pictures whose sides are no
    multiples of `side` are continued by their last row and column.
    """
    n, c, height, width = pictures.shape
    below, right = -height % side, -width % side
    if below or right:
        pictures = F.pad(pictures, (0, right, 0, below), mode="replicate")
    grid = pictures.reshape(n, c, -(-height // side), side, -(-width // side), side)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * side**2)


def sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """(rows · columns, width) sines and cosines of the row, then of the column, of each patch.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5, half of the width for either; `width` is a
    multiple of 4. Neighbours are near one another, whatever is learnt.
    """
    quarter = width // 4
    pace = 10_000 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * pace for place in (row, column)]
    waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat(waves, 1).float()


def tile_shape(spec: Spec, gap: float) -> tuple[int, int]:
    """Height and width in pixels of a tile: those of a cell, less the share `gap`, 1 at least.

    A cell has a third of the picture's height and of its width. SettingError where so little is
    left of the picture that a tile would have fewer than 3 pixels on a side.
    """
    sides = [spec[name] // _GRID for name in ("height", "width")]
    height, width = (side - max(round(gap * side), 1) for side in sides)
    if min(height, width) < _SMALLEST:
        got = f"{spec['height']}×{spec['width']} pixels"
        wanted = f"of pictures whose nine tiles have {_SMALLEST} pixels a side at least"
        raise SettingError("pretext", wanted, got, "Take rotation or simclr, or a smaller gap.")
    return height, width


def cut_tiles(
    pictures: Tensor, cells: Tensor, shape: tuple[int, int], rng: torch.Generator
) -> Tensor:
    """(n, t, c, *shape) a tile out of each of the cells (n, t), numbered row by row.

    Each stands anywhere within its cell, so that edges of two tiles do not meet: by a line that
    goes on, their places could be told without seeing what they show.
    """
    n, c, height, width = pictures.shape
    corners = []
    for side, tile, number in (
        (height, shape[0], cells // _GRID),
        (width, shape[1], cells % _GRID),
    ):
        start, room = side % _GRID // 2, side // _GRID - tile + 1
        jitter = (uniform(cells.shape, rng) * room).long().clamp_(max=room - 1)
        corners.append(start + number * (side // _GRID) + jitter)
    rows, columns = (
        corner.unsqueeze(-1) + torch.arange(size, device=pictures.device)
        for corner, size in zip(corners, shape, strict=True)
    )
    places = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).reshape(n, 1, -1)
    found = pictures.reshape(n, c, -1).gather(2, places.expand(n, c, -1))
    return found.reshape(n, c, cells.shape[1], *shape).transpose(1, 2)


def shown_tiles(tiles: Tensor, spec: Spec) -> Tensor:
    """(n · t, c, h, w) the tiles (n, t, c, …) as an encoder is shown them.

    Each channel of each tile has its own mean taken off and its own deviation set to 1: by
    brightness alone neighbours could be told. Tiles are enlarged to half the picture, so that an
    encoder that halves what it sees has something left.
    """
    flat = tiles.flatten(0, 1)
    flat = flat - flat.mean((2, 3), keepdim=True)
    flat = flat / (flat.square().mean((2, 3), keepdim=True) + 1e-2).sqrt()
    height, width = (
        max(side, -(-spec[name] // 2))
        for side, name in zip(flat.shape[2:], ("height", "width"), strict=True)
    )
    if (height, width) == tuple(flat.shape[2:]):
        return flat
    return F.interpolate(flat, (height, width), mode="bilinear", align_corners=False)
