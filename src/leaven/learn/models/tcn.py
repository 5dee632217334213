"""A dilated residual network over the steps of a series, as in TS2Vec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, SequenceEncoder
from leaven.learn.standard_series import StandardSeries

__all__ = ["TCN", "LargeTCN", "TinyTCN"]

_BLOCKS = 10


class TCN(SequenceEncoder):
    """Residual blocks of two convolutions whose dilation doubles; the largest state of all steps.

    Yue et al. 2022, arXiv:2106.10466, section 3.2 and appendix: a linear layer, ten blocks of
    kernel 3 and width 64, and a wider one; maximum over time. There are only as many blocks as the
    length of the series has doublings, and the representation is of width 160, the paper's of 320.
    """

    name = "tcn"
    modality = "series"
    summary = "dilated residual convolutions of width 64 over the steps, largest state"
    size = "base"
    mixed = True
    trained_by: ClassVar[Mapping[str, Any]] = {"rate": 1e-3}
    hidden, outputs = 64, 160

    def __init__(self, channels: int, blocks: int, hidden: int, width: int) -> None:
        super().__init__(channels=channels, blocks=blocks, hidden=hidden, width=width)
        self.width = width
        self.standard = StandardSeries(channels)
        self.first = nn.Linear(2 * channels, hidden)
        self.blocks = nn.ModuleList(_Block(hidden, hidden, 2**depth) for depth in range(blocks))
        self.blocks.append(_Block(hidden, width, 2**blocks))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many blocks as the length has doublings, from 3 to 10."""
        doublings = max(spec["length"] - 1, 1).bit_length()
        return {
            "channels": spec["channels"],
            "blocks": min(_BLOCKS, max(3, doublings)),
            "hidden": cls.hidden,
            "width": cls.outputs,
        }

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The mean and the deviation of each channel."""
        self.standard.learn(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, steps, 2 · channels + 1) values, whether they were measured, whether in it."""
        values, within = self.standard(batch)
        inside = within.amax(2, keepdim=True)
        inside = torch.cat([torch.ones_like(inside[:, :1]), inside[:, 1:]], 1)
        return torch.cat([values, batch["there"].to(values.dtype), inside], -1)

    def states(self, entered: Tensor, causal: bool = False) -> Tensor:
        """(batch, steps, width) of each step; nothing flows in from beyond the end."""
        there = entered[..., -1:].transpose(1, 2)
        seen = self.first(entered[..., :-1]).transpose(1, 2) * there
        for block in self.blocks:
            seen = block(seen, there, causal)
        states: Tensor = seen.transpose(1, 2)
        return states

    def pool(self, states: Tensor, entered: Tensor) -> Tensor:
        """(batch, width) the largest value over the steps that are there."""
        absent = entered[..., -1:] <= 0
        largest: Tensor = states.float().masked_fill(absent, float("-inf")).amax(1)
        return largest

    def layers(self) -> list[nn.Module]:
        """The linear layer, then block by block."""
        return [self.first, *self.blocks]


class TinyTCN(TCN):
    """Half as wide, for thousands of steps a minute."""

    name = "tcn-tiny"
    summary = "dilated residual convolutions of width 32"
    size = "tiny"
    hidden, outputs = 32, 96


class LargeTCN(TCN):
    """Twice as wide: the representation is as wide as TS2Vec's."""

    name = "tcn-large"
    summary = "dilated residual convolutions of width 128"
    size = "large"
    hidden, outputs = 128, 320


class _Block(nn.Module):
    """Twice a GELU and a convolution, and the input beside them."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.one = nn.Conv1d(inputs, outputs, 3, dilation=dilation)
        self.two = nn.Conv1d(outputs, outputs, 3, dilation=dilation)
        self.beside = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, seen: Tensor, there: Tensor, causal: bool) -> Tensor:
        """(batch, channels, steps) to the same number; where `there` is 0, so it stays."""
        reach = 2 * self.dilation
        padding = (reach, 0) if causal else (self.dilation, self.dilation)
        found = self.one(F.pad(F.gelu(seen), padding)) * there
        found = self.two(F.pad(F.gelu(found), padding))
        both: Tensor = (found + self.beside(seen)) * there
        return both


for _kind in (TCN, TinyTCN, LargeTCN):
    ENCODERS.add(_kind.name, _kind)
