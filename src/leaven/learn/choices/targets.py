"""Targets: what is made of a guess before the student learns it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from leaven.learn.choices.choice import part, within

__all__ = ["Hard", "Sharpen", "Soft"]


@part("target")
@dataclass(frozen=True)
class Hard:
    """The likeliest class, as certain."""

    def __call__(self, guess: Tensor) -> Tensor:
        """(u, k) one-hot."""
        return torch.nn.functional.one_hot(guess.argmax(-1), guess.shape[-1]).to(guess.dtype)


@part("target")
@dataclass(frozen=True)
class Soft:
    """The probabilities as they are."""

    def __call__(self, guess: Tensor) -> Tensor:
        """(u, k) unchanged."""
        return guess


@part("target")
@dataclass(frozen=True)
class Sharpen:
    """The probabilities to the power 1 / temperature, normed (MixMatch eq. 7, UDA section 2.2)."""

    temperature: float = 0.5

    def __post_init__(self) -> None:
        within("temperature of Sharpen", self.temperature, 0.01, 10)

    def __call__(self, guess: Tensor) -> Tensor:
        """(u, k) of row sum 1."""
        return (guess.clamp_min(1e-30).log() / self.temperature).softmax(-1)
