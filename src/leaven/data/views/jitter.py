"""Changes of colour and light as one linear map a record, and a mild blur.

Pixels are (n, c, h, w) float32 in [0, 1], grey or RGB; `draw` gives the parameters, and `apply`
is a pure function of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from leaven.data.views.draws import uniform
from leaven.data.views.photometric import luma

__all__ = ["Blur", "Inverted", "Jitter"]

#: From RGB to brightness and two coordinates of colour (NTSC's YIQ); grey has no colour in it.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class Jitter:
    """Brightness, contrast, saturation and hue change for a share of the records; some go grey.

    Chen et al. 2020 (SimCLR), appendix A: factors from [1 - x, 1 + x] for x of `brightness`,
    `contrast` and `saturation`, a turn of up to `hue` of a full circle, with probability `chance`;
    then grey with probability `grey`. The hue is turned in YIQ, where that is linear, all in one
    order (brightness, contrast, saturation and hue), and what leaves [0, 1] is cut off once at the
    end: one matrix a record does it all. Of grey pictures light and contrast change alone.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    chance: float = 0.8
    grey: float = 0.2

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, 4) factors of brightness, contrast and saturation, and turns; 1, 1, 1, 0 is none."""
        draw = uniform((len(pixels), 6), rng)
        reach = torch.tensor(
            [self.brightness, self.contrast, self.saturation, self.hue], device=rng.device
        )
        none = torch.tensor([1.0, 1.0, 1.0, 0.0], device=rng.device)
        changed = none + (2 * draw[:, :4] - 1) * reach
        drawn = torch.where(draw[:, 4:5] < self.chance, changed, none)
        drawn[:, 2].masked_fill_(draw[:, 5] < self.grey, 0)
        return drawn

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records in changed light."""
        n, channels, h, w = pixels.shape
        bright, contrast = drawn[:, 0], drawn[:, 1]
        mean = luma(pixels).mean((1, 2, 3))
        offset = ((1 - contrast) * bright * mean).view(n, 1, 1)
        flat = pixels.reshape(n, channels, h * w)
        if channels == 1:
            changed = torch.addcmul(offset, flat, (bright * contrast).view(n, 1, 1))
        else:
            # Grey keeps its place in `turned`, so the offset need not go through it.
            turned = _turned(drawn[:, 2], drawn[:, 3]) * (bright * contrast).view(n, 1, 1)
            changed = torch.baddbmm(offset, turned, flat)
        return changed.clamp_(0, 1).view(n, channels, h, w)

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


@dataclass(frozen=True)
class Blur:
    """Smooth by weights (s, 1 - 2s, s) along both sides, for a share of the records.

    s is drawn from [0, 1/4); the edge is repeated. In place of the Gaussian of SimCLR and BYOL
    (Grill et al. 2020, appendix B), whose deviations at these sizes of pictures it reaches.
    """

    chance: float = 0.5

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n,) weights of a neighbour, 0 where nothing is smoothed."""
        draw = uniform((len(pixels), 2), rng)
        return draw[:, 0] * 0.25 * (draw[:, 1] < self.chance)

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records, smoothed."""
        weight = drawn.view(-1, 1, 1, 1)
        wide = F.pad(pixels, (1, 1, 0, 0), mode="replicate")
        pixels = pixels + weight * (wide[..., 2:] + wide[..., :-2] - 2 * pixels)
        tall = F.pad(pixels, (0, 0, 1, 1), mode="replicate")
        pixels = pixels + weight * (tall[..., 2:, :] + tall[..., :-2, :] - 2 * pixels)
        return pixels.clamp_(0, 1)  # by a rounding it may be outside

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


@dataclass(frozen=True)
class Inverted:
    """Invert what is brighter than one half, for a share of the records.

    Grill et al. 2020 (BYOL), appendix B: solarisation, of one of two views with probability 0.2.
    """

    chance: float = 0.1

    def draw(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n,) 1 where the record is changed, else 0."""
        return (uniform((len(pixels),), rng) < self.chance).to(torch.float32)

    def apply(self, pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records, some of them inverted in part."""
        above = (pixels >= 0.5).to(pixels.dtype) * drawn.view(-1, 1, 1, 1)
        return (pixels - above).abs_()  # |x - 1| is 1 - x

    def __call__(self, pixels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(pixels, self.draw(pixels, rng))


def _turned(saturation: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """(n, 3, 3) maps of RGB that scale and turn its colour by these (n,)."""
    yiq = torch.tensor(_YIQ, device=turn.device, dtype=torch.float64)
    angle = 2 * math.pi * turn
    cos, sin = saturation * angle.cos(), saturation * angle.sin()
    middle = torch.zeros(len(turn), 3, 3, device=turn.device)
    middle[:, 0, 0] = 1
    middle[:, 1, 1], middle[:, 1, 2] = cos, -sin
    middle[:, 2, 1], middle[:, 2, 2] = sin, cos
    return yiq.inverse().float() @ middle @ yiq.float()
