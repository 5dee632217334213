"""Which part of a picture an image encoder from elsewhere is shown, and how large; by Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Framing"]

#: Of a picture that scaling makes longer than so many times the part that is kept, only that part
#: is scaled: a file of a few bytes may hold one row of millions of pixels.
_LONG = 64


@dataclass(frozen=True)
class Framing:
    """Scales a picture and cuts out its middle.

    Parameters
    ----------
    height, width : of what comes out, in pixels.
    scaled : (height, width) to scale to, whatever the shape; or one number, the side that the
        shorter one is scaled to; 0 to leave the picture as large as it is.
    resample : Pillow's number of the filter (2 linear, 3 cubic).
    rounded : whether an odd margin is halved to the nearest even number, as torchvision does,
        and not to the lower one.
    """

    height: int
    width: int
    scaled: Sequence[int] | int
    resample: int
    rounded: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what comes out."""
        return self.height, self.width

    @property
    def hint(self) -> int:
        """The side that a picture may be read at without loss."""
        sides = (self.scaled,) if isinstance(self.scaled, int) else self.scaled
        return max(self.height, self.width, *sides)

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.uint8]:
        """(3, height, width) of a picture; grey ones have three equal channels."""
        picture = picture.convert("RGB")
        if self.scaled:
            picture = self._resized(picture)
        left, top = self._half(picture.width - self.width), self._half(picture.height - self.height)
        if left or top or picture.size != (self.width, self.height):
            # What lies beyond the picture is black.
            picture = picture.crop((left, top, left + self.width, top + self.height))
        return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))

    def _half(self, margin: int) -> int:
        """What is cut off before the part that is kept."""
        return round(margin / 2) if self.rounded else margin // 2

    def _resized(self, picture: Image.Image) -> Image.Image:
        """All of it, or of a very long one the middle."""
        filtered = Image.Resampling(self.resample)
        if not isinstance(self.scaled, int):
            return picture.resize((self.scaled[1], self.scaled[0]), filtered)
        short, long = sorted(picture.size)
        # The longer side is cut off, not rounded, as the processors do.
        other = max(1, math.floor(self.scaled * long / short))
        lying = picture.width > picture.height
        kept = self.width if lying else self.height
        if other <= _LONG * kept:
            return picture.resize((other, self.scaled) if lying else (self.scaled, other), filtered)
        start = self._half(other - kept)
        ends = start * long / other, (start + kept) * long / other
        if lying:
            return picture.resize((kept, self.scaled), filtered, (ends[0], 0, ends[1], short))
        return picture.resize((self.scaled, kept), filtered, (0, ends[0], short, ends[1]))
