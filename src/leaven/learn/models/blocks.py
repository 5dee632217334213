"""Features of several frozen encoders side by side, each in columns of its own: what blends read.

No single kind of features is the best for all records: MiniRocket's tell most series apart, others
are told apart by which kernels compete, by what is seen when, or by their values as they are. A
blend asks its candidates about each block and weighs them all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.encoder import ENCODERS, Encoder

__all__ = ["Blocks"]


class Blocks(Encoder):
    """The modality's own features, and others beside them.

    `parts` are the configurations of the encoders by their names, in the order of the columns; not
    all that the modality has need be among them.
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

    def side_by_side(self) -> list[Encoder]:
        """The parts: what one of them says of records is remembered for all who read it."""
        return list(self.encoders.values())

    @property
    def columns(self) -> dict[str, tuple[int, int]]:
        """By what each block is called, its first column and the one behind its last."""
        called = {name: block for block, name in MODALITIES[self.modality].beside.items()}
        found, start = {}, 0
        for name, part in self.encoders.items():
            found[called.get(name, "")] = (start, start + part.width)
            start += part.width
        return found

    def only(self, blocks: Collection[str]) -> Encoder:
        """An encoder of these blocks alone, with the same tensors; of one it is that one's own."""
        parts = zip(self.columns, self.encoders.items(), strict=True)
        kept = {name: part for block, (name, part) in parts if block in blocks}
        if len(kept) == 1:
            return next(iter(kept.values()))
        fewer = type(self)({name: part.config for name, part in kept.items()})
        fewer.parts = nn.ModuleDict(kept)
        return fewer

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Each as it configures itself."""
        modality = MODALITIES[cls.modality]
        names = (modality.features, *modality.beside.values())
        parts = {name: ENCODERS[name] for name in names if ENCODERS[name].reads(spec)}
        return {"parts": {name: kind.configure(spec) for name, kind in parts.items()}}

    def configured(self, spec: Spec) -> dict[str, Any]:
        """Each part's own; those that are not there are not asked for."""
        return {"parts": {name: part.configured(spec) for name, part in self.encoders.items()}}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Each what it learns without labels."""
        for part in self.encoders.values():
            part.prepare(arrays, index, seed)

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) the features of all, one block after the other."""
        return torch.cat([part(batch) for part in self.encoders.values()], 1)


class SeriesBlocks(Blocks):
    """MiniRocket's features, Hydra's, those of intervals, and the steps themselves."""

    name = "series-blocks"
    modality = "series"
    summary = "all frozen features of series side by side, for blends"


class ImageBlocks(Blocks):
    """Codes of patches, and directions of edges."""

    name = "image-blocks"
    modality = "image"
    summary = "all frozen features of pictures side by side, for blends"


class EmbeddingBlocks(Blocks):
    """Vectors made elsewhere and, where they came with them, the inner states of their encoder."""

    name = "embedding-blocks"
    modality = "embedding"
    summary = "embeddings and their encoder's inner states side by side, for blends"


for _kind in (SeriesBlocks, ImageBlocks, EmbeddingBlocks):
    ENCODERS.add(_kind.name, _kind)
