"""A head that reads one block of the features, whatever kind of head it is."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from leaven.learn.head import HEADS, Head

__all__ = ["BlockHead"]


class BlockHead(Head):
    """The answers of `inner`, which reads the columns from `first` until before `end`."""

    kind = "block"

    def __init__(self, first: int, end: int, inner: dict[str, Any]) -> None:
        super().__init__()
        self.first, self.end = first, end
        self.inner: nn.Module = HEADS[inner["kind"]](**inner["config"])

    @classmethod
    def of(cls, head: Head, first: int, end: int) -> BlockHead:
        """Of a fitted head, which is kept as it is."""
        block = cls(first, end, {"kind": head.kind, "config": head.config})
        block.inner = head
        return block

    @property
    def head(self) -> Head:
        """The head within."""
        assert isinstance(self.inner, Head)
        return self.inner

    @property
    def config(self) -> dict[str, Any]:
        """The columns, and the kind and configuration of the head within."""
        inner = {"kind": self.head.kind, "config": self.head.config}
        return {"first": self.first, "end": self.end, "inner": inner}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.head.outputs

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes)."""
        answers: Tensor = self.inner(features[:, self.first : self.end])
        return answers


HEADS.add(BlockHead.kind, BlockHead)
