"""Several encoders side by side."""

from __future__ import annotations

from leaven.learn.models.blocks import Blocks, EmbeddingBlocks, ImageBlocks, SeriesBlocks
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value

__all__ = ["blocks"]


def blocks(arrays: Entered, encoder: Blocks) -> Value:
    """The features of all, one block after the other."""
    parts = [ENCODER_GRAPHS[name](arrays, part) for name, part in encoder.encoders.items()]
    return parts[0].graph.concat(*parts, axis=1)


for _kind in (SeriesBlocks, ImageBlocks, EmbeddingBlocks):
    ENCODER_GRAPHS.add(_kind.name, blocks)
