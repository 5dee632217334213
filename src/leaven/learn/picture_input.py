"""What an image encoder wants its pictures to be: size, part, and scale of the numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["PictureInput"]


@dataclass(frozen=True)
class PictureInput:
    """Scaled, cut, and normalised a channel.

    Parameters
    ----------
    height, width : of what comes out, in pixels.
    scaled : (height, width) to scale to, whatever the shape; or one number, the side that the
        shorter one is scaled to; 0 to leave the picture as large as it is.
    resample : Pillow's number of the filter (2 linear, 3 cubic).
    scale : what a value of 0 to 255 is multiplied by.
    mean, deviation : a channel, of the scaled values.
    rounded : whether an odd margin is halved to the nearest even number, as torchvision does,
        and not to the lower one.
    """

    height: int
    width: int
    scaled: tuple[int, int] | int
    resample: int = 3
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    deviation: tuple[float, ...] = (0.5, 0.5, 0.5)
    rounded: bool = False

    @classmethod
    def of_processor(cls, config: dict[str, Any]) -> PictureInput:
        """From a `preprocessor_config.json` of the Hugging Face family.

        Raises ValueError for one that says no size, KeyError for one without mean and deviation.
        """
        size, crop = _size(config.get("size")), _size(config.get("crop_size"))
        if not config.get("do_resize", True):
            size = None
        if not config.get("do_center_crop", crop is not None):
            crop = None
        ends = crop if isinstance(crop, tuple) else size
        if isinstance(crop, int):
            ends = (crop, crop)
        if not isinstance(ends, tuple):
            raise ValueError("the preprocessor's configuration gives pictures no one size")
        normal = config.get("do_normalize", True)
        scaling = config.get("do_rescale", True)
        return cls(
            *ends,
            scaled=0 if size is None else size,
            resample=int(config.get("resample", 2)),
            scale=float(config.get("rescale_factor", 1 / 255)) if scaling else 1.0,
            mean=tuple(config["image_mean"]) if normal else (0.0, 0.0, 0.0),
            deviation=tuple(config["image_std"]) if normal else (1.0, 1.0, 1.0),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @property
    def hint(self) -> int:
        """The side that a picture may be read at without loss."""
        scaled = self.scaled
        return max(self.height, self.width, *(scaled if isinstance(scaled, tuple) else (scaled,)))

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """(3, height, width) of a picture; grey ones have three equal channels."""
        picture = picture.convert("RGB")
        if self.scaled:
            picture = picture.resize(self._size(picture), Image.Resampling(self.resample))
        left, top = self._half(picture.width - self.width), self._half(picture.height - self.height)
        if left or top or picture.size != (self.width, self.height):
            # What lies beyond the picture is black.
            picture = picture.crop((left, top, left + self.width, top + self.height))
        values = np.asarray(picture, np.float32) * np.float32(self.scale)
        mean, deviation = (np.asarray(a, np.float32) for a in (self.mean, self.deviation))
        return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))

    def _half(self, margin: int) -> int:
        """What is cut off before the part that is kept."""
        return round(margin / 2) if self.rounded else margin // 2

    def _size(self, picture: Image.Image) -> tuple[int, int]:
        """(width, height) to scale a picture to."""
        if isinstance(self.scaled, tuple):
            return self.scaled[1], self.scaled[0]
        short, long = sorted(picture.size)
        # The longer side is cut off, not rounded, as the processors do.
        other = max(1, math.floor(self.scaled * long / short))
        lying = picture.width > picture.height
        return (other, self.scaled) if lying else (self.scaled, other)


def _size(said: Any) -> tuple[int, int] | int | None:
    """(height, width), or the shorter side alone, of any of the forms in use."""
    if isinstance(said, dict):
        if "shortest_edge" in said:
            return int(said["shortest_edge"])
        if "height" in said and "width" in said:
            return int(said["height"]), int(said["width"])
        return None
    return None if said is None else int(said)
