"""One label out of k classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.head import LinearHead
from leaven.learn.task import TASKS, Task

__all__ = ["Classification"]


@TASKS.register("classification")
class Classification(Task):
    """Softmax over k classes, cross-entropy against the class's number."""

    name = "classification"

    def head(self, width: int, k: int) -> LinearHead:
        """A linear layer that starts at zero, so that training starts at even probabilities."""
        head = LinearHead(width, k)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(batch,) cross-entropy in nats."""
        return F.cross_entropy(output, target, reduction="none")

    def probabilities(self, output: Tensor) -> Tensor:
        """(batch, k) softmax."""
        return output.softmax(-1)
