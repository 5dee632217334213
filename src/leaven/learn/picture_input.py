"""What an image encoder wants its pictures to be: size, part, and scale of the numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from leaven.data.portable.framing import Framing

__all__ = ["PictureInput"]


@dataclass(frozen=True)
class PictureInput:
    """Scaled, cut, and normalised a channel.

    Parameters
    ----------
    framing : which part of a picture is shown, and how large.
    scale : what a value of 0 to 255 is multiplied by.
    mean, deviation : a channel, of the scaled values.
    """

    framing: Framing
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    deviation: tuple[float, ...] = (0.5, 0.5, 0.5)

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
            Framing(
                *ends,
                scaled=0 if size is None else size,
                resample=int(config.get("resample", 2)),
                rounded=False,
            ),
            scale=float(config.get("rescale_factor", 1 / 255)) if scaling else 1.0,
            mean=tuple(config["image_mean"]) if normal else (0.0, 0.0, 0.0),
            deviation=tuple(config["image_std"]) if normal else (1.0, 1.0, 1.0),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """As plain JSON, in an order that digests of encoders hang on."""
        own = {"scale": self.scale, "mean": self.mean, "deviation": self.deviation}
        framing = asdict(self.framing)
        rounded = framing.pop("rounded")
        return framing | own | {"rounded": rounded}

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """(3, height, width) of a picture; grey ones have three equal channels."""
        values = self.framing(picture).astype(np.float32) * np.float32(self.scale)
        return (values - self._by_channel(self.mean)) / self._by_channel(self.deviation)

    @staticmethod
    def _by_channel(told: tuple[float, ...]) -> npt.NDArray[np.float32]:
        """(3, 1, 1)."""
        return np.asarray(told, np.float32).reshape(-1, 1, 1)


def _size(said: Any) -> tuple[int, int] | int | None:
    """(height, width), or the shorter side alone, of any of the forms in use."""
    if isinstance(said, dict):
        if "shortest_edge" in said:
            return int(said["shortest_edge"])
        if "height" in said and "width" in said:
            return int(said["height"]), int(said["width"])
        return None
    return None if said is None else int(said)
