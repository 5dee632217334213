"""Terms against a collapse into few classes, beside the unlabelled loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import Fairness, Seen, part, within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import decay_of

__all__ = ["EvenMean", "SelfAdaptiveFairness"]

_TINY = 1e-12


@part("fairness")
@dataclass(frozen=True)
class SelfAdaptiveFairness(Fairness):
    """FreeMatch's fairness term (Wang et al. 2023, arXiv:2205.07246, eq. 9 to 11).

    -weight · H(norm(p̃ / h̃), norm(p̄ / h̄)): p̄ the mean answer to accepted strong views and h̄ the
    shares of the classes they name; p̃, h̃ the running ones of the guesses. H is the
    cross-entropy, so the term drives the mean answer away from what the guesses already favour.
    """

    weight: float = 0.01
    decay: float = 0.999

    def __post_init__(self) -> None:
        within("weight of SelfAdaptiveFairness", self.weight, 0, 100)
        within("decay of SelfAdaptiveFairness", self.decay, 0, 0.99999)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`guessed` and `named` (k,), even at first."""
        memory = nn.Module()
        for name in ("guessed", "named"):
            memory.register_buffer(name, torch.full((problem.classes,), 1 / problem.classes))
        return memory

    def __call__(self, seen: Seen, output: Tensor, weights: Tensor, state: Any) -> Tensor:
        """A scalar; `output` (u, k) are the student's logits, `weights` (u,) as accepted."""
        fresh = 1 - decay_of(self.decay, seen.now)
        state.guessed.lerp_(seen.guess.mean(0).to(state.guessed.dtype), fresh)
        named = _shares(seen.guess, torch.ones_like(weights))
        state.named.lerp_(named.to(state.named.dtype), fresh)
        accepted = (weights > 0).to(output.dtype)
        answers, number = output.softmax(-1), accepted.sum().clamp_min(1)
        # A class that no accepted answer names has one answer's share, or it would have all weight.
        shares = _shares(answers, accepted).clamp_min(1 / number)
        now = _normed((accepted.unsqueeze(-1) * answers).sum(0) / number / shares)
        past = _normed(state.guessed / state.named.clamp_min(1e-6))
        reached = accepted.amax()  # without an accepted answer there is no term
        return reached * self.weight * (past * now.clamp_min(_TINY).log()).sum()


@part("fairness")
@dataclass(frozen=True)
class EvenMean(Fairness):
    """weight · KL(p̄ ‖ even odds): the mean answer to unlabelled records is to be even.

    The regulariser of Tanaka et al. 2018 (arXiv:1803.11364, eq. 9). For classes that are about
    equally frequent.
    """

    weight: float = 0.1

    def __post_init__(self) -> None:
        within("weight of EvenMean", self.weight, 0, 100)

    def __call__(self, seen: Seen, output: Tensor, weights: Tensor, state: None) -> Tensor:
        """A scalar."""
        mean = output.softmax(-1).mean(0)
        return self.weight * (mean * (mean.clamp_min(_TINY) * len(mean)).log()).sum()


def _shares(answers: Tensor, counted: Tensor) -> Tensor:
    """(k,) how often each class is the likeliest, among the records that are counted."""
    named = F.one_hot(answers.argmax(-1), answers.shape[-1]).to(answers.dtype)
    return (counted.unsqueeze(-1) * named).sum(0) / counted.sum().clamp_min(1)


def _normed(values: Tensor) -> Tensor:
    return values / values.sum().clamp_min(_TINY)
