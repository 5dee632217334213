"""Codes of patches by a dictionary learnt from the pictures at hand: a frozen encoder."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.patch_codes import (
    PatchCodes,
    SoftComponents,
    overlapping,
    rooted,
    scaled_blocks,
)

__all__ = ["PatchDictionary"]

_LARGEST = 32  # pixels of the longer side that patches are taken from
_PATCH = 6  # pixels, at most
_ATOMS = 64
_REGIONS = 4  # a side
_CONTRAST = 0.01  # of pixels in [0, 1]: a deviation of a tenth
_WHITENING = 0.1
_WIDTH = 128
_READ = 2000  # records from which the dictionary is learnt
_TOLD = 3000  # records from which the components are learnt


class PatchDictionary(Encoder):
    """Codes of all patches of a picture, pooled over four by four regions, on their components.

    See `patch_codes` for the codes and their sources. Patches have a fifth of the picture's
    shorter side, from 3 to 6 pixels; larger pictures are shrunk to 32 pixels first. Roots of the
    pooled codes are projected on their leading principal components, scaled by the square root of
    their deviation.
    """

    name = "patch-dictionary"
    modality = "image"
    summary = "128 components of codes of patches, by a dictionary learnt without labels, frozen"
    ready = True
    down: Tensor
    along: Tensor

    def __init__(
        self, channels: int, shape: list[int], patch: list[int], atoms: int, side: int, width: int
    ) -> None:
        super().__init__(
            channels=channels, shape=shape, patch=patch, atoms=atoms, side=side, width=width
        )
        self.shape, self.width = (shape[0], shape[1]), width
        self.codes = PatchCodes(channels, (patch[0], patch[1]), atoms, _CONTRAST, _WHITENING)
        down, along = (
            overlapping(size - part + 1, side) for size, part in zip(shape, patch, strict=True)
        )
        self.register_buffer("down", down, persistent=False)
        self.register_buffer("along", along, persistent=False)
        self.components = SoftComponents(side * side * self.codes.width, width)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """64 atoms, four by four regions, 128 components."""
        sides = (spec["height"], spec["width"])
        scale = min(1.0, _LARGEST / max(sides))
        shape = [max(1, round(side * scale)) for side in sides]
        patch = min(max(round(min(shape) / 5), 3), _PATCH)
        return {
            "channels": spec["channels"],
            "shape": shape,
            "patch": [min(patch, side) for side in shape],
            "atoms": _ATOMS,
            "side": _REGIONS,
            "width": _WIDTH,
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The dictionary of patches of up to 2,000 records, components of up to 3,000."""
        chosen = torch.Generator().manual_seed(seed)
        pictures = self._shrunk(_pixels(arrays, sample(index, _TOLD, seed)))
        self.codes.learn(pictures[torch.randperm(len(pictures), generator=chosen)[:_READ]], chosen)
        told = self._told(pictures)
        self.components.learn(told, scaled_blocks([told]))

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) from pixels (batch, channels, h, w) in [0, 1]."""
        found: Tensor = self.components(self._told(self._shrunk(batch["pixels"])))
        return found

    def _shrunk(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[2:]) == self.shape:
            return pixels
        return F.interpolate(pixels, self.shape, mode="area")

    def _told(self, pictures: Tensor) -> Tensor:
        """(batch, inputs) roots of the pooled codes."""
        return rooted(self.codes(pictures, self.down, self.along).flatten(1))


def _pixels(arrays: Arrays, index: Index) -> Tensor:
    return arrays.batch(index)["pixels"].float().div_(255)


ENCODERS.add(PatchDictionary.name, PatchDictionary)
