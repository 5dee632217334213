"""Principal components of what a sound's log-mel does over time, frozen."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, Encoder, sample

__all__ = ["MelComponents"]

_PARTS = 6
_CEPSTRA = 13
_MOST = 64  # components


class MelComponents(Encoder):
    """Cepstra in six parts of the sound and their spread, standardised, on principal components.

    Cepstra are the cosine transform (type II) of a frame's log-mel (Davis and Mermelstein 1980).
    Of each part: their mean. Of the whole: their deviation, and that of their differences between
    frames. Parts have equal shares of the sound's loudness, the square of how far a frame's
    mean log-mel lies over that of the quietest: so a word is told alike wherever in its record it
    stands, and what lies around it hardly counts. The mean of the first cepstrum, the loudness of
    the record, is taken off: it tells more of the recorder than of the sound. Components are
    scaled by the square root of their deviation, as those of pictures are.
    """

    name = "mel-components"
    modality = "audio"
    summary = "64 principal components of cepstra in parts of equal loudness, frozen"
    ready = True
    cosines: Tensor
    centre: Tensor
    deviation: Tensor
    components: Tensor

    def __init__(self, mels: int, width: int) -> None:
        super().__init__(mels=mels, width=width)
        self.width = width
        inputs = (_PARTS + 2) * _CEPSTRA
        self.register_buffer("cosines", _cosines(mels))
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.register_buffer("components", torch.zeros(inputs, width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """64 components."""
        return {"mels": spec["mels"], "width": _MOST}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Components of up to 5,000 records."""
        told = self._told(arrays.batch(sample(index, 5000, seed)))
        self.centre.copy_(told.mean(0))
        self.deviation.copy_(told.std(0, correction=0).clamp_min(1e-3))
        scaled = (told - self.centre) / self.deviation
        _, values, vectors = torch.linalg.svd(scaled, full_matrices=False)
        kept = min(self.width, len(values))
        deviation = (values[:kept] / max(len(told) - 1, 1) ** 0.5).clamp_min(1e-3)
        self.components[:, :kept] = vectors[:kept].T / deviation.sqrt()

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width)."""
        return ((self._told(batch) - self.centre) / self.deviation) @ self.components

    def _told(self, batch: Batch) -> Tensor:
        """(batch, inputs) what is told of each sound."""
        mel = batch["mel"].float()
        there = torch.arange(mel.shape[1], device=mel.device) < batch["length"][:, None]
        cepstra = mel @ self.cosines
        weight = there.to(mel.dtype)
        mean = _mean(cepstra, weight)
        parts = [_mean(cepstra, inside) for inside in _parts(mel, there)]
        parts = [torch.cat([part[:, :1] - mean[:, :1], part[:, 1:]], 1) for part in parts]
        spread = _mean((cepstra - mean[:, None]).square(), weight).sqrt()
        moved = _mean((cepstra[:, 1:] - cepstra[:, :-1]).square(), weight[:, 1:]).sqrt()
        return torch.cat([*parts, spread, moved], 1)


def _parts(mel: Tensor, there: Tensor) -> list[Tensor]:
    """For each part (batch, frames): how much of the record's loudness in a frame it has."""
    level = mel.mean(2)
    quiet = level.masked_fill(~there, torch.inf).amin(1, keepdim=True)
    # Of a record whose frames are all alike the small constant makes equal parts of time.
    loud = ((level - quiet).square() + 1e-3) * there
    after = loud.cumsum(1)
    whole = after[:, -1:]
    ends = torch.linspace(0, 1, _PARTS + 1, device=mel.device)
    return [
        torch.minimum(after, last * whole).sub(torch.maximum(after - loud, first * whole)).clamp(0)
        for first, last in itertools.pairwise(ends)
    ]


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """(batch, width) the weighted mean over time of values (batch, frames, width)."""
    total = weights.sum(1, keepdim=True).clamp_min(1e-6)
    mean: Tensor = torch.einsum("bfw,bf->bw", values, weights) / total
    return mean


def _cosines(mels: int) -> Tensor:
    """(mels, cepstra) the orthonormal cosine transform of type II, its first columns."""
    place = (torch.arange(mels, dtype=torch.float64) + 0.5) * math.pi / mels
    columns = torch.cos(place[:, None] * torch.arange(_CEPSTRA)) * math.sqrt(2 / mels)
    columns[:, 0] /= math.sqrt(2)
    return columns.float()


ENCODERS.add(MelComponents.name, MelComponents)
