"""What a label means: how it is encoded, predicted, scored and guessed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from leaven.core.registry import Registry
from leaven.learn.head import LinearHead

__all__ = ["TASKS", "Task"]


class Task(ABC):
    """One kind of label. `k` below is the number of outputs."""

    name: str

    @abstractmethod
    def head(self, width: int, k: int) -> LinearHead:
        """From features (batch, width) to outputs (batch, k)."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch,) loss of each record."""

    @abstractmethod
    def probabilities(self, output: Tensor) -> Tensor:
        """(batch, k) what the output says of each class."""


TASKS: Registry[Task] = Registry("task", "leaven.learn.tasks")
