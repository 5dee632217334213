"""Alignment: the guesses of many records, held against what is known of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leaven.learn.choices.choice import Align, Seen, part, within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import decay_of

__all__ = ["Calibrated", "Tempered", "ToLabelled", "ToPrior", "ToUniform"]

_TINY = 1e-6


def _scaled(guess: Tensor, factor: Tensor) -> Tensor:
    """(u, k) the guesses times a factor a class, normed."""
    scaled = guess * factor
    return scaled / scaled.sum(-1, keepdim=True)


@part("align")
@dataclass(frozen=True)
class ToPrior(Align):
    """Guesses times p(y) / p̃(y): shares of the labels over the mean guess of the last batches.

    ReMixMatch's distribution alignment (Berthelot et al. 2020, arXiv:1911.09785, section 3.1):
    the mean is taken over the last `batches`, 128 in the paper. The labels' shares get one
    label more a class, so that a class without any is not ruled out.
    """

    batches: int = 128

    def __post_init__(self) -> None:
        within("batches of ToPrior", self.batches, 1, 100_000)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`means` (batches, k), how many of them are `filled`, and the `prior` (k,)."""
        memory = nn.Module()
        memory.register_buffer("means", torch.zeros(self.batches, problem.classes))
        memory.register_buffer("filled", torch.zeros((), dtype=torch.long))
        given = torch.from_numpy(problem.targets[problem.train])
        counts = torch.bincount(given, minlength=problem.classes).float() + 1
        memory.register_buffer("prior", counts / counts.sum())
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u, k); this batch's mean is among the last."""
        state.means[state.filled % self.batches] = seen.guess.mean(0).to(state.means.dtype)
        state.filled += 1
        # Places that no batch has filled yet are zero.
        mean = state.means.sum(0) / state.filled.clamp(max=self.batches)
        return _scaled(seen.guess, state.prior / mean.clamp_min(_TINY))


@part("align")
@dataclass(frozen=True)
class ToUniform(Align):
    """Guesses times (1/k) / p̃(y), p̃ a running mean of the guesses.

    SoftMatch's uniform alignment (Chen et al. 2023, arXiv:2301.10921, section 3.3): the aligned
    guesses decide the weights, the target is made of those that were not aligned. With `target`
    it is made of the aligned ones as well.
    """

    decay: float = 0.999
    target: bool = False

    def __post_init__(self) -> None:
        within("decay of ToUniform", self.decay, 0, 0.99999)

    @property
    def judges_only(self) -> bool:
        """As the paper has it, unless asked otherwise."""
        return not self.target

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`mean` (k,), even at first."""
        memory = nn.Module()
        memory.register_buffer("mean", torch.full((problem.classes,), 1 / problem.classes))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u, k); this batch is in the running mean."""
        state.mean.lerp_(
            seen.guess.mean(0).to(state.mean.dtype), 1 - decay_of(self.decay, seen.now)
        )
        return _scaled(seen.guess, 1 / state.mean.clamp_min(_TINY))


@part("align")
@dataclass(frozen=True)
class ToLabelled(Align):
    """Guesses times the mean answer to labelled records over the mean guess, both of this step.

    AdaMatch (Berthelot et al. 2022, arXiv:2106.04732, section 3.2, eq. 2): the network's answers,
    not the labels, so that the two means are sharp alike.
    """

    asks_labelled: ClassVar[bool] = True

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u, k)."""
        return _scaled(seen.guess, seen.labelled.mean(0) / seen.guess.mean(0).clamp_min(_TINY))


@part("align")
@dataclass(frozen=True)
class Tempered(Align):
    """Guesses at another temperature: above one less sure, and fewer pass a threshold."""

    temperature: float = 1.5

    def __post_init__(self) -> None:
        within("temperature of Tempered", self.temperature, 0.01, 100)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u, k)."""
        return (seen.guess.clamp_min(1e-30).log() / self.temperature).softmax(-1)


@part("align")
@dataclass(frozen=True)
class Calibrated(Align):
    """Guesses at a running temperature that holds confidence to accuracy.

    Each step asks the network about strong views of the labelled records, which it finds harder
    than what it was trained on. Where it is surer than right the temperature rises, where it is
    righter than sure it falls: log T ← log T + rate · (confidence - accuracy). Temperature
    scaling is Guo et al. 2017 (arXiv:1706.04599); the running form is ours. It stays within
    1/4 and 8.
    """

    rate: float = 0.1
    asks_network: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("rate of Calibrated", self.rate, 1e-4, 1)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`temperature`, its logarithm, 0 at first."""
        memory = nn.Module()
        memory.register_buffer("temperature", torch.zeros(()))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u, k) at the temperature after this step's correction."""
        now = seen.now
        with torch.no_grad():
            logits = now.network(now.draw.labelled("strong"))
            said = (logits / state.temperature.exp()).softmax(-1)
        right = (said.argmax(-1) == now.draw.targets).float().mean()
        state.temperature += self.rate * (said.max(-1).values.mean() - right)
        state.temperature.clamp_(-1.386, 2.079)
        scaled: Tensor = seen.guess.clamp_min(1e-30).log() / state.temperature.exp()
        return scaled.softmax(-1)
