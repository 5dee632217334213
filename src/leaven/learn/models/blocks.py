"""Features of several frozen encoders side by side, each in columns of its own: what blends read.

No single kind of features is the best for all records: MiniRocket's tell most series apart, and
others are told apart by their values as they are. A blend asks its candidates about each block and
weighs them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.encoder import ENCODERS, RAW, Encoder

__all__ = ["Blocks"]


class Blocks(Encoder):
    """The modality's own features, and nearly raw ones beside them.

    `parts` are the configurations of the encoders by their names, in the order of the columns.
    """

    listed: ClassVar[bool] = False
    ready = True

    def __init__(self, parts: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(parts={name: dict(config) for name, config in parts.items()})
        self.parts = nn.ModuleDict({name: ENCODERS[name](**own) for name, own in parts.items()})
        self.width = sum(part.width for part in self.encoders.values())

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders by their names, in the order of the columns."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Encoder)}

    @property
    def columns(self) -> dict[str, tuple[int, int]]:
        """Of the own features and the raw ones, the first column and the one behind the last."""
        found, start = {}, 0
        for name, part in zip(("", RAW), self.encoders.values(), strict=True):
            found[name] = (start, start + part.width)
            start += part.width
        return found

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Each as it configures itself."""
        modality = MODALITIES[cls.modality]
        names = (modality.features, modality.raw)
        return {"parts": {name: ENCODERS[name].configure(spec) for name in names}}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Each what it learns without labels."""
        for part in self.encoders.values():
            part.prepare(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) the features of all, one block after the other."""
        return torch.cat([part(batch) for part in self.encoders.values()], 1)


class SeriesBlocks(Blocks):
    """MiniRocket's features, and the steps themselves."""

    name = "series-blocks"
    modality = "series"
    summary = "MiniRocket's features and the steps, frozen, for blends"


ENCODERS.add(SeriesBlocks.name, SeriesBlocks)
