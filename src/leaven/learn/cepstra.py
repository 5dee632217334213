"""What the cepstra of a sound are in parts of equal loudness, and how much they move."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

__all__ = ["CepstraOfParts", "equal_parts", "there"]


class CepstraOfParts(nn.Module):
    """(n, (parts + 2) · cepstra) means of each part, and the whole's deviation and movement.

    Cepstra are the cosine transform (type II) of a frame's log-mel (Davis and Mermelstein 1980,
    "Comparison of parametric representations for monosyllabic word recognition"). The mean of the
    first, the loudness of the record, is taken off: it tells more of the recorder than of the
    sound.
    """

    cosines: Tensor

    def __init__(self, mels: int, parts: int, cepstra: int) -> None:
        super().__init__()
        self.parts = parts
        self.width = (parts + 2) * cepstra
        self.register_buffer("cosines", _cosines(mels, cepstra), persistent=False)

    def forward(self, mel: Tensor, length: Tensor) -> Tensor:
        """Of log-mel (n, frames, mels), of which `length` (n,) frames are there."""
        inside = there(mel, length)
        weight = inside.to(mel.dtype)
        cepstra = mel @ self.cosines
        mean = _mean(cepstra, weight)
        parts = equal_parts(mel, inside, self.parts).unbind(1)
        means = [_mean(cepstra, part) for part in parts]
        means = [torch.cat([one[:, :1] - mean[:, :1], one[:, 1:]], 1) for one in means]
        spread = _mean((cepstra - mean[:, None]).square(), weight).sqrt()
        moved = _mean((cepstra[:, 1:] - cepstra[:, :-1]).square(), weight[:, 1:]).sqrt()
        return torch.cat([*means, spread, moved], 1)


def there(mel: Tensor, length: Tensor) -> Tensor:
    """(n, frames) whether there is a frame, of mel (n, frames, mels)."""
    return torch.arange(mel.shape[1], device=mel.device) < length[:, None]


def equal_parts(mel: Tensor, inside: Tensor, parts: int) -> Tensor:
    """(n, parts, frames) how much of the record's loudness in a frame each part has.

    Parts have equal shares of the loudness, the square of how far a frame's mean log-mel lies over
    that of the quietest: so a word is told alike wherever in its record it stands.
    """
    level = mel.mean(2)
    quiet = level.masked_fill(~inside, torch.inf).amin(1, keepdim=True)
    # Of a record whose frames are all alike the small constant makes equal parts of time.
    loud = ((level - quiet).square() + 1e-3) * inside
    after = loud.cumsum(1)
    whole = after[:, -1:]
    ends = torch.linspace(0, 1, parts + 1, device=mel.device)
    shares = [
        torch.minimum(after, last * whole).sub(torch.maximum(after - loud, first * whole)).clamp(0)
        for first, last in itertools.pairwise(ends)
    ]
    return torch.stack(shares, 1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """(n, width) the weighted mean over time of values (n, frames, width)."""
    total = weights.sum(1, keepdim=True).clamp_min(1e-6)
    mean: Tensor = torch.einsum("bfw,bf->bw", values, weights) / total
    return mean


def _cosines(mels: int, cepstra: int) -> Tensor:
    """(mels, cepstra) the orthonormal cosine transform of type II, its first columns."""
    place = (torch.arange(mels, dtype=torch.float64) + 0.5) * math.pi / mels
    columns = torch.cos(place[:, None] * torch.arange(cepstra)) * math.sqrt(2 / mels)
    columns[:, 0] /= math.sqrt(2)
    return columns.float()
