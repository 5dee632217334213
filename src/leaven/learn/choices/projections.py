"""Small networks behind the encoder: projectors and predictors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Projection

__all__ = ["Perceptron", "Prototypes", "Squashed"]


@part("predictor")
@part("projector")
@dataclass(frozen=True)
class Perceptron(Projection):
    """Layers with batch normalisation and ReLU between them, the last one plain.

    `hidden` and `out` are widths, `layers` counts the matrices; if `norm` the last one is
    normalised too. No matrix has an offset: the normalisation would take it away again, and so
    do the losses that look at differences only.
    """

    out: int = 128
    hidden: int = 256
    layers: int = 2
    norm: bool = False

    def __post_init__(self) -> None:
        within("layers of Perceptron", self.layers, 1, 8)
        within("out of Perceptron", self.out, 2, 65536)
        within("hidden of Perceptron", self.hidden, 2, 65536)

    @property
    def outputs(self) -> int:
        """`out`."""
        return self.out

    def build(self, inputs: int) -> nn.Module:
        """The layers."""
        made: list[nn.Module] = []
        for number in range(self.layers):
            last = number == self.layers - 1
            width = self.out if last else self.hidden
            made.append(nn.Linear(inputs, width, bias=False))
            if not last:
                made += [nn.BatchNorm1d(width), nn.ReLU()]
            elif self.norm:
                made.append(nn.BatchNorm1d(width, affine=False))
            inputs = width
        return nn.Sequential(*made)


@part("projector")
@dataclass(frozen=True)
class Squashed(Projection):
    """One layer, normalisation, tanh (Saeed et al. 2021, COLA, section 2).

    It normalises each number over the batch, where the paper normalises each record: what pooled
    features have in common would else leave all records at one point from the start.
    """

    out: int = 128

    def __post_init__(self) -> None:
        within("out of Squashed", self.out, 2, 65536)

    @property
    def outputs(self) -> int:
        """`out`."""
        return self.out

    def build(self, inputs: int) -> nn.Module:
        """The layer."""
        layer = nn.Linear(inputs, self.out, bias=False)
        return nn.Sequential(layer, nn.BatchNorm1d(self.out), nn.Tanh())


@part("projector")
@dataclass(frozen=True)
class Prototypes(Projection):
    """A perceptron, and the cosines of what it gives with prototypes that are learnt.

    Caron et al. 2020 (SwAV), section 3.1; Caron et al. 2021 (DINO), appendix C, where prototypes
    are held to length one likewise. The perceptron has two layers, `hidden` and `width` wide.
    """

    count: int = 128
    hidden: int = 256
    width: int = 64

    def __post_init__(self) -> None:
        within("count of Prototypes", self.count, 2, 65536)
        within("hidden of Prototypes", self.hidden, 2, 65536)
        within("width of Prototypes", self.width, 2, 65536)

    @property
    def outputs(self) -> int:
        """`count`."""
        return self.count

    def build(self, inputs: int) -> nn.Module:
        """The perceptron and the prototypes."""
        body = Perceptron(self.width, self.hidden).build(inputs)
        return nn.Sequential(body, _Cosines(self.width, self.count))


class _Cosines(nn.Module):
    """(u, count) cosines of (u, width) with the rows of a matrix."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, width) / width**0.5)

    def forward(self, projected: Tensor) -> Tensor:
        """In full precision: they are divided by temperatures of a few hundredths."""
        with torch.autocast(projected.device.type, enabled=False):
            normed = F.normalize(projected.to(self.weight.dtype), dim=-1)
            return F.linear(normed, F.normalize(self.weight, dim=-1))
