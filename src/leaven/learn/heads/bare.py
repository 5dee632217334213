"""No head: the features themselves."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from leaven.learn.head import HEADS, Head

__all__ = ["BareHead"]


class BareHead(Head):
    """Features as they are, for a network that is pretrained and answers nothing yet."""

    kind = "bare"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @property
    def config(self) -> dict[str, Any]:
        """The width."""
        return {"width": self.width}

    @property
    def outputs(self) -> int:
        """The width, for want of classes."""
        return self.width

    def forward(self, features: Tensor) -> Tensor:
        """(batch, width)."""
        return features


HEADS.add(BareHead.kind, BareHead)
