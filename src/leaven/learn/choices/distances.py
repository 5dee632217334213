"""Distances: how far the student's answer is from the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import part

__all__ = ["CrossEntropy", "Divergence", "Squared"]


@dataclass(frozen=True)
class _OnView:
    """The view that the student answers to."""

    view: str = "strong"

    def __post_init__(self) -> None:
        if self.view not in ("weak", "strong"):
            raise SettingError(f"view of {type(self).__name__}", "weak or strong", self.view)


@part("distance")
@dataclass(frozen=True)
class CrossEntropy(_OnView):
    """Cross-entropy of the student's output on a view against the target."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) nats."""
        return -(target * output.log_softmax(-1)).sum(-1)


@part("distance")
@dataclass(frozen=True)
class Divergence(_OnView):
    """Kullback-Leibler divergence from the student's output to the target, KL(target ‖ output).

    The gradient is that of the cross-entropy, since the target has none; the value is zero where
    the two agree.
    """

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) nats."""
        entropy: Tensor = torch.special.entr(target).sum(-1)
        return -entropy - (target * output.log_softmax(-1)).sum(-1)


@part("distance")
@dataclass(frozen=True)
class Squared(_OnView):
    """Mean squared difference of probabilities, over the classes."""

    view: str = "weak"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) mean over the k classes, as in Tarvainen & Valpola's code."""
        return (output.softmax(-1) - target).square().mean(-1)
