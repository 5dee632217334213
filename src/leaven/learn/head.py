"""The noun behind every encoder: a head turns features into outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import nn

from leaven.core.registry import Registry

__all__ = ["HEADS", "Head", "LinearHead"]


class Head(nn.Module, ABC):
    """Features (batch, width) to outputs (batch, k), of which a softmax makes probabilities.

    All that it has learnt is in parameters and buffers, so that it is saved without pickle;
    `config` is the plain JSON that its constructor rebuilds their shapes from.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The number of classes, k."""


HEADS: Registry[type[Head]] = Registry("head", "leaven.learn.heads")


class LinearHead(nn.Linear, Head):
    """Features to outputs by one matrix."""

    kind = "linear"

    @property
    def config(self) -> dict[str, Any]:
        """Width and number of classes."""
        return {"in_features": self.in_features, "out_features": self.out_features}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.out_features


HEADS.add(LinearHead.kind, LinearHead)
