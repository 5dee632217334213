"""Directions of edges in the parts of a picture: a frozen encoder for linear models and graphs."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.patch_codes import overlapping
from leaven.learn.principal import leading

__all__ = ["DARK", "FAINT", "FLAT", "SHARP", "Gradients"]

_DIRECTIONS = 8
_REGIONS = (4, 7)  # a side
_WIDTH = 256
_MOST = 3000  # records from which the components are learnt
FLAT = 1e-8  # squared change of a pixel in [0, 1] that is none
SHARP = 3  # how fast an edge counts less as its direction turns from the one at hand
FAINT, DARK = 0.1, 1e-3  # of the mean region's edges, and at all, below which a region stays faint


class Gradients(Encoder):
    """How strong edges of each of eight directions are, in four by four and seven by seven regions.

    Dalal & Triggs 2005, "Histograms of oriented gradients for human detection", CVPR, sections 6.2
    to 6.4: once as they are, and once each region by the length of its own histogram, so that
    strong edges elsewhere do not outvote its own. Regions overlap, an edge counts for the nearest
    directions, channels are summed, and features are projected on their principal components.
    """

    name = "gradients"
    modality = "image"
    summary = "256 components of the directions of edges by region, frozen"
    ready = True
    turns: Tensor
    centre: Tensor
    components: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__(height=height, width=width)
        self.width = _WIDTH
        angle = torch.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)  # twice the edges' own
        self.register_buffer("turns", torch.stack([angle.cos(), angle.sin()]), persistent=False)
        for side in _REGIONS:
            self.register_buffer(f"down{side}", overlapping(height, side), persistent=False)
            self.register_buffer(f"along{side}", overlapping(width, side), persistent=False)
        inputs = 2 * _DIRECTIONS * sum(side * side for side in _REGIONS)
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("components", torch.zeros(inputs, _WIDTH))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """For pictures of this size."""
        return {"height": spec["height"], "width": spec["width"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Means, deviations and components of up to 3,000 records."""
        pixels = arrays.batch(sample(index, _MOST, seed))["pixels"]
        found = [self._told(part.float().div_(255)) for part in torch.split(pixels, 256)]
        centre, components = leading(torch.cat(found), _WIDTH)
        self.centre.copy_(centre)
        self.components.copy_(components)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, 256) from pixels (batch, channels, h, w) in [0, 1]."""
        found: Tensor = (self._told(batch["pixels"]) - self.centre) @ self.components
        return found

    @property
    def regions(self) -> list[tuple[Tensor, Tensor]]:
        """(regions, rows) and (regions, columns) what each pixel counts in each region."""
        return [(getattr(self, f"down{s}"), getattr(self, f"along{s}")) for s in _REGIONS]

    def _told(self, pixels: Tensor) -> Tensor:
        """(batch, inputs) histograms of the regions."""
        edges = self._edges(pixels)
        found = []
        for down, along in self.regions:
            told = down @ (edges @ along.T)
            length = told.square().sum(1, keepdim=True).sqrt()
            faint = FAINT * length.mean((2, 3), keepdim=True) + DARK
            found += [told.flatten(1), (told / (length + faint)).flatten(1)]
        return torch.cat(found, 1)

    def _edges(self, pixels: Tensor) -> Tensor:
        """(batch, 8, h, w) the strength of edges in each direction."""
        wide = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
        across = wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
        down = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]
        even, mixed = across.square() - down.square(), 2 * across * down
        square = across.square() + down.square() + FLAT
        even, mixed = even / square, mixed / square
        strength = square.sqrt()
        parts = []
        for cosine, sine in self.turns.T:
            near = (even * cosine + mixed * sine).clamp_min(0)
            parts.append((near**SHARP * strength).sum(1))
        return torch.stack(parts, 1)


ENCODERS.add(Gradients.name, Gradients)
