"""One label out of k classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.head import LinearHead
from leaven.learn.task import TASKS, Task

__all__ = ["Classification"]


@TASKS.register("classification")
@dataclass(frozen=True)
class Classification(Task):
    """Softmax over k classes, cross-entropy against the class's number.

    A share `smoothing` of each label is spread evenly over all classes, its own among them
    (Szegedy et al. 2016, arXiv:1512.00567, section 7).
    """

    name: ClassVar[str] = "classification"
    smoothing: float = 0.0

    def smoothed(self, share: float) -> Classification:
        """With that share."""
        return replace(self, smoothing=share)

    def head(self, width: int, k: int) -> LinearHead:
        """A linear layer that starts at zero, so that training starts at even probabilities."""
        head = LinearHead(width, k)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch,) cross-entropy in nats."""
        return F.cross_entropy(output, target, reduction="none", label_smoothing=self.smoothing)

    def shares(self, target: Tensor, k: int) -> Tensor:
        """(batch, k) one for the label's class, or what smoothing makes of it."""
        whole = F.one_hot(target, k).float()
        return whole * (1 - self.smoothing) + self.smoothing / k

    def probabilities(self, output: Tensor) -> Tensor:
        """(batch, k) softmax."""
        return output.softmax(-1)
