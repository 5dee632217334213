"""A head over one block of the features."""

from __future__ import annotations

from leaven.learn.heads.block import BlockHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS, headed

__all__ = ["block"]


def block(features: Value, head: BlockHead) -> Value:
    """The answers of the head within, of its own columns."""
    return headed(features.cut(1, head.first, head.end), head.head)


HEAD_GRAPHS.add(BlockHead.kind, block)
