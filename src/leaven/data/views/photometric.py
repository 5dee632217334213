"""Operations on colour and light, one parameter a record.

Each class holds the range of its parameter; `apply` takes pixels (n, c, h, w), float32 in
[0, 1], and one parameter a record (n,), drawn uniformly from [low, high), and gives new pixels
in the same range. Names, order of blending and ranges follow FixMatch (Sohn et al. 2020,
appendix D, table 12); the definitions are those of Pillow's ImageOps and ImageEnhance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = [
    "AutoContrast",
    "Brightness",
    "Colour",
    "Contrast",
    "Equalise",
    "Identity",
    "Photometric",
    "Posterise",
    "Sharpness",
    "Solarise",
    "luma",
]

#: Weights of red, green and blue in brightness (ITU-R BT.601, as Pillow's mode L).
_LUMA = (0.299, 0.587, 0.114)


def luma(pixels: torch.Tensor) -> torch.Tensor:
    """Brightness (n, 1, h, w) of grey or RGB pixels."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = (pixels[:, i : i + 1] * weight for i, weight in enumerate(_LUMA))
    return red + green + blue


def _column(parameter: torch.Tensor) -> torch.Tensor:
    """(n,) as (n, 1, 1, 1), to meet pixels."""
    return parameter.view(-1, 1, 1, 1)


def _blend(base: torch.Tensor, pixels: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """`base` at amount 0, `pixels` at 1, beyond them outside; kept within [0, 1]."""
    return torch.lerp(base, pixels, _column(amount)).clamp_(0, 1)


@dataclass(frozen=True)
class Photometric(ABC):
    """An operation on the values of pixels that leaves them where they are."""

    low: float = 0.0
    high: float = 1.0

    @abstractmethod
    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Changed pixels (n, c, h, w); `parameter` is (n,)."""


@dataclass(frozen=True)
class Identity(Photometric):
    """Nothing at all: some records get fewer operations than others."""

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """The pixels themselves."""
        return pixels


@dataclass(frozen=True)
class Brightness(Photometric):
    """Towards black; the parameter is the share of light kept."""

    low: float = 0.05
    high: float = 0.95

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Pixels times the parameter."""
        return (pixels * _column(parameter)).clamp_(0, 1)


@dataclass(frozen=True)
class Contrast(Photometric):
    """Towards the record's mean brightness; the parameter is the share of contrast kept."""

    low: float = 0.05
    high: float = 0.95

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """A blend with one grey a record."""
        mean = luma(pixels).mean((1, 2, 3), keepdim=True)
        return _blend(mean, pixels, parameter)


@dataclass(frozen=True)
class Colour(Photometric):
    """Towards grey; the parameter is the share of saturation kept."""

    low: float = 0.05
    high: float = 0.95

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """A blend with the grey picture."""
        return _blend(luma(pixels), pixels, parameter)


@dataclass(frozen=True)
class Sharpness(Photometric):
    """Towards a 3 by 3 smoothing; the parameter is the share of sharpness kept."""

    low: float = 0.05
    high: float = 0.95

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """A blend with the smoothed picture; the outermost pixels stay, as in Pillow."""
        if min(pixels.shape[2:]) < 3:
            return pixels
        # The kernel [[1,1,1],[1,5,1],[1,1,1]] / 13 is a box sum plus four times the centre; the
        # box sum is done by rows, then by columns.
        rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
        box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        inner = pixels[:, :, 1:-1, 1:-1]
        smooth = (box + 4 * inner) / 13
        return F.pad(_blend(smooth, inner, parameter) - inner, (1, 1, 1, 1)) + pixels


@dataclass(frozen=True)
class Posterise(Photometric):
    """Fewer levels; the parameter's whole part is the number of bits kept."""

    low: float = 4.0
    high: float = 9.0

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Pixels rounded down to the nearest level left."""
        step = torch.exp2(8 - _column(parameter.floor()))
        return (pixels * 255).round_().div_(step).floor_().mul_(step).div_(255)


@dataclass(frozen=True)
class Solarise(Photometric):
    """Invert what is brighter than the parameter: all at 0, almost nothing at 1."""

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Pixels at or above the threshold inverted."""
        # |x - 1| is 1 - x: cheaper than a choice pixel by pixel, and as exact.
        return (pixels - (pixels >= _column(parameter)).to(pixels.dtype)).abs_()


@dataclass(frozen=True)
class AutoContrast(Photometric):
    """Stretch each channel to the full range; a flat channel stays. Has no parameter."""

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Pixels with each channel's darkest at 0 and brightest at 1."""
        low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
        flat = high == low
        return (pixels - low.masked_fill(flat, 0)) / (high - low).masked_fill_(flat, 1)


@dataclass(frozen=True)
class Equalise(Photometric):
    """Make all of 256 levels about equally frequent, channel by channel. Has no parameter."""

    def apply(self, pixels: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Pixels through the table that Pillow's `ImageOps.equalize` builds."""
        n, c, h, w = pixels.shape
        levels = (pixels * 255).round_().long().view(n * c, h * w)
        # (n·c, 256) counts of each level
        counts = torch.zeros(n * c, 256, device=pixels.device, dtype=torch.long)
        counts.scatter_add_(1, levels, torch.ones_like(levels))
        place = torch.arange(256, device=pixels.device)
        brightest = torch.where(counts > 0, place, -1).amax(1, keepdim=True)
        step = (h * w - counts.gather(1, brightest)) // 255
        below = counts.cumsum(1) - counts
        table = ((below + step // 2) // step.clamp_min(1)).clamp_(max=255)
        table = torch.where(step > 0, table, place)
        return (table.to(pixels.dtype) / 255).gather(1, levels).view(n, c, h, w)
