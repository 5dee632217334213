"""What a label means: how it is encoded, predicted, scored and guessed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from leaven.core.errors import SettingError
from leaven.core.registry import Registry
from leaven.learn.head import LinearHead

__all__ = ["TASKS", "Task"]


class Task(ABC):
    """One kind of label. `k` below is the number of outputs."""

    name: ClassVar[str]

    def smoothed(self, share: float) -> Task:
        """The same, where a share in [0, 1) of each label is spread over all classes.

        SettingError where there are no classes to spread it over.
        """
        if share:
            wanted = f"0, for a label of {self.name} cannot be spread"
            raise SettingError("training.label_smoothing", wanted, share)
        return self

    @abstractmethod
    def head(self, width: int, k: int) -> LinearHead:
        """From features (batch, width) to outputs (batch, k)."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch,) loss of each record."""

    @abstractmethod
    def shares(self, target: Tensor, k: int) -> Tensor:
        """(batch, k) what the labels themselves say of each class, in float32."""

    @abstractmethod
    def probabilities(self, output: Tensor) -> Tensor:
        """(batch, k) what the output says of each class."""


TASKS: Registry[Task] = Registry("task", "leaven.learn.tasks")
