"""Codes of small patches by a dictionary learnt without labels, pooled, and softened components.

Coates, Ng & Lee 2011 ("An analysis of single-layer networks in unsupervised feature learning",
AISTATS, section 3): patches are contrast-normalised and whitened, a dictionary of them is learnt
by k-means, a patch is coded by how far it goes in the direction of each atom, and codes are pooled
over regions of the map. Here atoms are directions (spherical k-means, Coates & Ng 2012, "Learning
feature representations with k-means", section 3), and a code is the part of a projection beyond a
threshold, of either sign (Coates & Ng 2011, "The importance of encoding versus training with
sparse coding and vector quantization", section 3).

Maps are (n, channels, rows, columns): pictures, or spectrograms with time as their rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PatchCodes", "SoftComponents", "overlapping", "rooted", "scaled_blocks"]

_ROUNDS = 10  # of k-means
_PATCHES = 40_000  # from which a dictionary is learnt
_HELD = 1 << 21  # projections that are held at once
_SMALLEST = 1e-3  # share of the largest component's deviation, below which one is left small
_FLOOR = 1e-3  # see `rooted`


class PatchCodes(nn.Module):
    """(n, 2 · atoms, …) pooled codes of maps' patches of the shape `patch`.

    `contrast` is the variance (in the maps' unit, squared) at which a patch is shrunk to
    1/sqrt(2) of its normalised length, so that flat ones do not become noise; `whitening` is what
    is added to the variance of each direction of normalised patches before it is divided by its
    root; `threshold` is what a projection must exceed to count.
    """

    filters: Tensor
    biases: Tensor

    def __init__(
        self,
        channels: int,
        patch: tuple[int, int],
        atoms: int,
        contrast: float,
        whitening: float,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.contrast, self.whitening, self.threshold = contrast, whitening, threshold
        self.register_buffer("filters", torch.zeros(atoms, channels, *patch))
        self.register_buffer("biases", torch.zeros(atoms))

    @property
    def width(self) -> int:
        """Codes of a patch: two an atom."""
        return 2 * len(self.biases)

    def learn(self, maps: Tensor, rng: torch.Generator, lengths: Tensor | None = None) -> None:
        """The dictionary, from 40,000 patches of maps (n, channels, rows, columns).

        `lengths` (n,) says how many rows of each map there are; all of them by default.
        """
        normal = self._normalised(self._drawn(maps, rng, lengths))
        mean = normal.mean(0)
        values, vectors = torch.linalg.eigh(((normal - mean).T @ (normal - mean)).double())
        spread = (values.clamp_min(0) / len(normal) + self.whitening).rsqrt()
        whiten = ((vectors * spread) @ vectors.T).float()
        atoms = _directions((normal - mean) @ whiten, len(self.biases), rng) @ whiten
        self.biases.copy_(atoms @ mean)
        # Then a filter's answer does not depend on the patch's mean, which need not be taken off.
        atoms -= atoms.mean(1, keepdim=True)
        self.filters.copy_(atoms.view_as(self.filters))

    def _drawn(self, maps: Tensor, rng: torch.Generator, lengths: Tensor | None) -> Tensor:
        """(40,000, channels · patch) patches from places drawn evenly."""
        n, channels, rows, columns = maps.shape
        height, width = self.filters.shape[2:]
        if lengths is None:
            lengths = torch.full((n,), rows)
        which = torch.randint(n, (_PATCHES,), generator=rng)
        room = (lengths.clamp(max=rows) - height + 1).clamp_min(1)[which]
        top = (torch.rand(_PATCHES, generator=rng) * room).long()
        left = torch.randint(columns - width + 1, (_PATCHES,), generator=rng)
        return maps[
            which[:, None, None, None],
            torch.arange(channels)[:, None, None],
            (top[:, None] + torch.arange(height))[:, None, :, None],
            (left[:, None] + torch.arange(width))[:, None, None, :],
        ].flatten(1)

    def _normalised(self, patches: Tensor) -> Tensor:
        """Less their mean, by their deviation."""
        centred = patches - patches.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + self.contrast).sqrt()

    def forward(self, maps: Tensor, down: Tensor, along: Tensor) -> Tensor:
        """(n, 2 · atoms, regions down, regions along) codes summed over places of maps.

        Maps are (n, channels, rows, columns). `down` (regions, places), or (n, regions, places), is
        how much the places down the rows count in each region, `along` (regions, places) those
        along the columns; places are those where a whole patch fits.
        """
        atoms, each = len(self.biases), down.ndim == 3
        found = maps.new_zeros(len(maps), self.width, down.shape[-2], len(along))
        block = max(1, _HELD // (atoms * down.shape[-1] * along.shape[1]))
        for start in range(0, len(maps), block):
            inside = slice(start, start + block)
            counted = down[inside, None] if each else down
            far = self.projected(maps[inside])
            found[inside, :atoms] = counted @ (F.relu(far - self.threshold) @ along.T)
            found[inside, atoms:] = counted @ (F.relu(-far - self.threshold) @ along.T)
        return found

    def projected(self, maps: Tensor) -> Tensor:
        """(n, atoms, rows', columns') each normalised, whitened patch in each atom's direction."""
        sides = self.filters.shape[1:]
        even = maps.new_full((1, *sides), 1 / sides.numel())
        mean = F.conv2d(maps, even)
        variance = (F.conv2d(maps.square(), even) - mean.square()).clamp_min(0)
        answer = F.conv2d(maps, self.filters)
        return answer.mul_((variance + self.contrast).rsqrt()).sub_(self.biases[:, None, None])


class SoftComponents(nn.Module):
    """Principal components by a power of their deviation: between raw ones and whitened ones.

    `softness` 0 leaves components as they are, 1 whitens them.
    """

    centre: Tensor
    components: Tensor

    def __init__(self, inputs: int, width: int, softness: float = 0.5) -> None:
        super().__init__()
        self.softness = softness
        self.register_buffer("centre", torch.zeros(inputs))
        self.register_buffer("components", torch.zeros(inputs, width))

    def learn(self, values: Tensor, scale: Tensor) -> None:
        """From values (n, inputs), each of which counts times `scale` (inputs,)."""
        self.centre.copy_(values.mean(0))
        scaled = (values - self.centre) * scale
        few = len(scaled) < scaled.shape[1]
        square = scaled @ scaled.T if few else scaled.T @ scaled
        found, vectors = torch.linalg.eigh(square.double())
        found, vectors = found.flip(0), vectors.flip(1)
        kept = min(self.components.shape[1], int((found > 1e-6 * found[0].clamp_min(1e-9)).sum()))
        found, vectors = found[:kept], vectors[:, :kept]
        if few:
            vectors = scaled.double().T @ (vectors / found.sqrt())
        deviation = (found / max(len(scaled) - 1, 1)).sqrt()
        deviation = deviation.clamp_min(float(deviation[:1].sum()) * _SMALLEST)
        self.components.zero_()
        softened = (vectors / deviation**self.softness).float()
        self.components[:, :kept] = scale[:, None] * softened

    def forward(self, values: Tensor) -> Tensor:
        """(n, width)."""
        found: Tensor = (values - self.centre) @ self.components
        return found


def overlapping(places: int, regions: int) -> Tensor:
    """(regions, places) what each place counts in each of the regions, all of the same length.

    A weight falls from a region's centre to nothing at its neighbours' centres, so that a small
    shift of the map changes little. Each row sums to one.
    """
    at = (torch.arange(places) + 0.5) * regions / places
    weight = (1 - (at - torch.arange(regions)[:, None] - 0.5).abs()).clamp_min(0)
    weight += 1e-6  # where there are fewer places than regions, some would have none
    return weight / weight.sum(1, keepdim=True)


def rooted(values: Tensor) -> Tensor:
    """Square roots of values from 0 on, less steep at 0: there rounding errors would count.

    Roots keep the frequent codes from outvoting the rare (Perronnin, Sanchez & Mensink 2010,
    "Improving the Fisher kernel for large-scale image classification", section 3.2).
    """
    root: Tensor = (values + _FLOOR).sqrt() - _FLOOR**0.5
    return root


def scaled_blocks(blocks: list[Tensor]) -> Tensor:
    """(inputs,) factors by which blocks of values (n, …) of any width count alike."""
    factors = []
    for block in blocks:
        total = block.var(0, correction=0).sum().sqrt()
        factors.append(torch.full((block.shape[1],), 1 / max(float(total), 1e-6)))
    return torch.cat(factors)


def _directions(patches: Tensor, atoms: int, rng: torch.Generator) -> Tensor:
    """(atoms, inputs) directions of length one, by spherical k-means from some of the patches."""
    start = patches[torch.randperm(len(patches), generator=rng)[:atoms]]
    found = F.normalize(start, eps=1e-6)
    for _ in range(_ROUNDS):
        near, which = (patches @ found.T).max(1)
        sums = torch.zeros_like(found).index_add_(0, which, patches * near[:, None])
        length = sums.norm(dim=1, keepdim=True)
        # An atom that no patch is nearest to stays.
        found = torch.where(length > 1e-6, sums / length.clamp_min(1e-6), found)
    return found
