"""Principal components of what a sound's log-mel does over time, frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.cepstra import CepstraOfParts
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
    centre: Tensor
    deviation: Tensor
    components: Tensor

    def __init__(self, mels: int, width: int) -> None:
        super().__init__(mels=mels, width=width)
        self.width = width
        self.cepstra = CepstraOfParts(mels, _PARTS, _CEPSTRA)
        inputs = self.cepstra.width
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
        told: Tensor = self.cepstra(batch["mel"].float(), batch["length"])
        return told


ENCODERS.add(MelComponents.name, MelComponents)
