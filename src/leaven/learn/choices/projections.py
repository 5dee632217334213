"""Small networks behind the encoder: projectors and predictors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Projection

__all__ = ["Perceptron"]


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
