"""Cepstra of a sound's parts, and codes of patches of its log-mel: a frozen encoder."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.cepstra import CepstraOfParts, equal_parts, there
from leaven.learn.encoder import ENCODERS, Encoder, sample
from leaven.learn.patch_codes import (
    PatchCodes,
    SoftComponents,
    overlapping,
    rooted,
    scaled_blocks,
)

__all__ = ["MelPatches"]

_PARTS = 6  # of equal loudness
_CEPSTRA = 13
_BANDS = 2  # mel bands that are one column of the maps
_PATCH = 8  # frames, and columns
_ATOMS = 64
_REGIONS = 3  # of the bands
_CONTRAST = 2.0  # of natural logarithms of power
_WHITENING = 0.1
_WIDTHS = (64, 128)  # components of the cepstra, and of the codes
_SHARE = 0.7  # of the codes' deviation in that of the cepstra
_READ = 2000  # records from which all is learnt


class MelPatches(Encoder):
    """Components of cepstra in six parts of a sound, and of codes of patches in the same parts.

    See `patch_codes` for the codes and `cepstra` for the parts, of equal loudness, by which a word
    is told alike wherever in its record it stands. Patches are 80 ms long and 16 mel bands high;
    codes are pooled over the parts and three regions of the bands. The components of the codes
    have seven tenths of the deviation of those of the cepstra, which make the better neighbours.
    """

    name = "mel-patches"
    modality = "audio"
    summary = "192 components of cepstra and of codes of mel patches, by parts of a sound, frozen"
    ready = True
    shares: Tensor
    regions: Tensor

    def __init__(self, mels: int, atoms: int, widths: list[int]) -> None:
        super().__init__(mels=mels, atoms=atoms, widths=widths)
        self.width = sum(widths)
        self.cepstra = CepstraOfParts(mels, _PARTS, _CEPSTRA)
        columns = -(-mels // _BANDS)
        patch = (_PATCH, min(_PATCH, columns))
        self.codes = PatchCodes(1, patch, atoms, _CONTRAST, _WHITENING)
        self.register_buffer(
            "regions", overlapping(columns - patch[1] + 1, _REGIONS), persistent=False
        )
        inputs = _PARTS * _REGIONS * self.codes.width
        self.spoken = SoftComponents(self.cepstra.width, widths[0])
        self.seen = SoftComponents(inputs, widths[1])
        self.register_buffer("shares", torch.ones(self.width))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """64 atoms; 64 components of the cepstra and 128 of the codes."""
        return {"mels": spec["mels"], "atoms": _ATOMS, "widths": list(_WIDTHS)}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The dictionary and the components of up to 2,000 records."""
        batch = arrays.batch(sample(index, _READ, seed))
        mel, length = batch["mel"].float(), batch["length"]
        chosen = torch.Generator().manual_seed(seed)
        self.codes.learn(self._map(mel, there(mel, length)), chosen, length + _PATCH - 1)
        cepstra, codes = self._told(mel, length)
        deviation = cepstra.std(0, correction=0).clamp_min(1e-3)
        self.spoken.learn(cepstra, 1 / deviation)
        self.seen.learn(codes, scaled_blocks([codes]))
        self.shares.copy_(scaled_blocks([self.spoken(cepstra), self.seen(codes)]))
        self.shares[self.width - self.seen.components.shape[1] :] *= _SHARE

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) from mel (batch, frames, mels) and length (batch,)."""
        cepstra, codes = self._told(batch["mel"].float(), batch["length"])
        return torch.cat([self.spoken(cepstra), self.seen(codes)], 1) * self.shares

    def _map(self, mel: Tensor, inside: Tensor) -> Tensor:
        """(batch, 1, frames + 7, columns) half as many bands; the ends go on as silence."""
        quiet = mel.masked_fill(~inside[..., None], torch.inf).amin((1, 2), keepdim=True)
        heard = torch.where(inside[..., None], mel, quiet)
        halved = F.avg_pool1d(heard, _BANDS, ceil_mode=True)
        around = (0, 0, _PATCH // 2, _PATCH - 1 - _PATCH // 2)
        return F.pad(halved[:, None], around, mode="replicate")

    def _told(self, mel: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, …) cepstra of the parts, and roots of the pooled codes."""
        inside = there(mel, length)
        parts = equal_parts(mel, inside, _PARTS)
        parts = parts / parts.sum(2, keepdim=True).clamp_min(1e-6)
        codes = self.codes(self._map(mel, inside), parts, self.regions)
        return self.cepstra(mel, length), rooted(codes.flatten(1))


ENCODERS.add(MelPatches.name, MelPatches)
