"""The choices of which consistency methods are composed: teacher, target, accept, distance.

Each is a small frozen class. Shapes: `guess` (u, k) probabilities from the teacher, `output`
(u, k) logits of the student, weights and losses (u,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = [
    "All",
    "AtLeast",
    "AveragedTeacher",
    "CrossEntropy",
    "Distance",
    "ExponentialRamp",
    "Hard",
    "LinearRamp",
    "SelfTeacher",
    "Soft",
    "Squared",
]


@dataclass(frozen=True)
class SelfTeacher:
    """The network itself, without gradient: on a `weak` view, or on the `same` the student sees."""

    view: str = "weak"


@dataclass(frozen=True)
class AveragedTeacher:
    """The exponential moving average of the weights, on a weak view of its own."""

    view: str = "weak"


@dataclass(frozen=True)
class Hard:
    """The likeliest class, as certain."""

    def __call__(self, guess: Tensor) -> Tensor:
        """(u, k) one-hot."""
        return torch.nn.functional.one_hot(guess.argmax(-1), guess.shape[-1]).to(guess.dtype)


@dataclass(frozen=True)
class Soft:
    """The probabilities as they are."""

    def __call__(self, guess: Tensor) -> Tensor:
        """(u, k) unchanged."""
        return guess


@dataclass(frozen=True)
class All:
    """Every record, with weight one."""

    def __call__(self, guess: Tensor) -> Tensor:
        """(u,) ones."""
        return torch.ones_like(guess[:, 0])


@dataclass(frozen=True)
class AtLeast:
    """Records whose largest probability reaches a fixed threshold."""

    threshold: float = 0.95

    def __call__(self, guess: Tensor) -> Tensor:
        """(u,) one or zero."""
        return (guess.max(-1).values >= self.threshold).to(guess.dtype)


class Distance(Protocol):
    """How far the student's output (u, k) on its `view` is from the target (u, k): (u,)."""

    @property
    def view(self) -> str:
        """`weak` or `strong`."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) the loss of each record."""


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of the student's output on a view against the target."""

    view: str = "strong"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) nats."""
        return -(target * output.log_softmax(-1)).sum(-1)


@dataclass(frozen=True)
class Squared:
    """Mean squared difference of probabilities, over the classes."""

    view: str = "weak"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) mean over the k classes, as in Tarvainen & Valpola's code."""
        return (output.softmax(-1) - target).square().mean(-1)


@dataclass(frozen=True)
class LinearRamp:
    """The unlabelled weight grows linearly from 0 between two shares of the training."""

    start: float = 0.0
    end: float = 0.4

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
        return min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)


@dataclass(frozen=True)
class ExponentialRamp:
    """exp(-5 (1 - t)²) over the first part of the training (Laine & Aila 2017, section 4)."""

    end: float = 0.4

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
        return math.exp(-5 * (1 - min(progress / self.end, 1.0)) ** 2)
