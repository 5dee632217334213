"""A head of one hidden layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from leaven.learn.head import HEADS, Head

__all__ = ["MLPHead"]


class MLPHead(Head):
    """Features to outputs by a matrix, the positive part of its answer, and a second matrix."""

    kind = "mlp"

    def __init__(self, in_features: int, hidden: int, out_features: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, hidden)
        self.last = nn.Linear(hidden, out_features)

    @property
    def config(self) -> dict[str, Any]:
        """Widths, and the number of classes."""
        return {
            "in_features": self.first.in_features,
            "hidden": self.first.out_features,
            "out_features": self.outputs,
        }

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.last.out_features

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes)."""
        answer: Tensor = self.last(self.first(features).relu())
        return answer


HEADS.add(MLPHead.kind, MLPHead)
