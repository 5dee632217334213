"""Acceptance by confidence: which guesses count, and how much. The papers' own rules.

A guess's confidence is its largest probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import Accept, Seen, part, within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import decay_of

__all__ = [
    "All",
    "AtLeast",
    "FallingLoss",
    "Gaussian",
    "LearningStatus",
    "PerClass",
    "Relative",
    "Scheduled",
    "SelfAdaptive",
]


def _reached(guess: Tensor, threshold: float | Tensor) -> Tensor:
    """(u,) one where the confidence reaches the threshold."""
    return (guess.max(-1).values >= threshold).to(guess.dtype)


@part("accept")
@dataclass(frozen=True)
class All(Accept):
    """Every record, with weight one."""

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) ones."""
        return torch.ones_like(seen.guess[:, 0])


@part("accept")
@dataclass(frozen=True)
class AtLeast(Accept):
    """Records whose largest probability reaches a fixed threshold (FixMatch)."""

    threshold: float = 0.95

    def __post_init__(self) -> None:
        within("threshold of AtLeast", self.threshold, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        return _reached(seen.guess, self.threshold)


@part("accept")
@dataclass(frozen=True)
class PerClass(Accept):
    """A fixed threshold for each class, in the order of the classes' names."""

    thresholds: tuple[float, ...] = (0.95,)

    def __post_init__(self) -> None:
        for threshold in self.thresholds:
            within("thresholds of PerClass", threshold, 0, 1)

    def state(self, problem: Problem, network: Network) -> None:
        """None; raises SettingError unless there is one threshold a class, or one for all."""
        if len(self.thresholds) not in (1, problem.classes):
            raise SettingError(
                "thresholds of PerClass", f"{problem.classes} numbers, one a class",
                f"{len(self.thresholds)} numbers",
            )  # fmt: skip

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        wanted = seen.guess.new_tensor(self.thresholds).expand(seen.guess.shape[-1])
        return _reached(seen.guess, wanted[seen.guess.argmax(-1)])


@part("accept")
@dataclass(frozen=True)
class Scheduled(Accept):
    """A threshold that moves linearly from one value to another over part of the training."""

    first: float = 0.99
    last: float = 0.8
    end: float = 1.0

    def __post_init__(self) -> None:
        within("first of Scheduled", self.first, 0, 1)
        within("last of Scheduled", self.last, 0, 1)
        within("end of Scheduled", self.end, 0.001, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        share = min(seen.now.progress / self.end, 1.0)
        return _reached(seen.guess, self.first + (self.last - self.first) * share)


@part("accept")
@dataclass(frozen=True)
class LearningStatus(Accept):
    """A threshold a class, lower for classes of which few records were confident so far.

    FlexMatch (Zhang et al. 2021, arXiv:2110.08263, eq. 5 to 9 and 11): σ(c) counts the
    unlabelled records whose last confident guess was c; β(c) = σ(c) / max(max σ, number without
    one), the latter being the warm-up; the threshold is M(β(c)) · τ with the convex M(x) =
    x / (2 - x).
    """

    threshold: float = 0.95

    def __post_init__(self) -> None:
        within("threshold of LearningStatus", self.threshold, 0, 1)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`last` (unlabelled,) the class of each record's last confident guess, k for none."""
        memory = nn.Module()
        none = torch.full((len(problem.unlabelled),), problem.classes)
        memory.register_buffer("last", none)
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) one or zero, by the counts before this step."""
        k = seen.guess.shape[-1]
        counts = torch.bincount(state.last, minlength=k + 1).to(seen.guess.dtype)
        beta = counts[:k] / counts.max().clamp_min(1)
        confidence, named = seen.guess.max(-1)
        accepted = _reached(seen.guess, self.threshold * (beta / (2 - beta))[named])
        sure = confidence >= self.threshold
        records = seen.now.draw.records[sure]
        state.last[records] = named[sure]
        return accepted


@part("accept")
@dataclass(frozen=True)
class SelfAdaptive(Accept):
    """A running global threshold, lowered for classes that are guessed rarely.

    FreeMatch (Wang et al. 2023, arXiv:2205.07246, eq. 5 to 8): τ is the running mean confidence,
    p̃(c) the running mean guess, both from 1/k; the threshold is τ · p̃(c) / max p̃. This batch
    is in the means that judge it, as in the paper's algorithm.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        within("decay of SelfAdaptive", self.decay, 0, 0.99999)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`threshold`, and `shares` (k,)."""
        memory = nn.Module()
        memory.register_buffer("threshold", torch.tensor(1 / problem.classes))
        memory.register_buffer("shares", torch.full((problem.classes,), 1 / problem.classes))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) one or zero."""
        fresh = 1 - decay_of(self.decay, seen.now)
        confidence, named = seen.guess.max(-1)
        state.threshold.lerp_(confidence.mean().to(state.threshold.dtype), fresh)
        state.shares.lerp_(seen.guess.mean(0).to(state.shares.dtype), fresh)
        local = state.threshold * state.shares / state.shares.max()
        return _reached(seen.guess, local[named])


@part("accept")
@dataclass(frozen=True)
class Gaussian(Accept):
    """Weights that fall off as a Gaussian under the running mean confidence, and no threshold.

    SoftMatch (Chen et al. 2023, arXiv:2301.10921, eq. 5 to 8): weight exp(-(c - μ)² / 2σ²) for a
    confidence c below μ, else one; μ from 1/k and the unbiased σ² from 1 are running. We take the
    paper's formula; its code divides σ² by four.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        within("decay of Gaussian", self.decay, 0, 0.99999)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`mean` and `variance` of the confidence."""
        memory = nn.Module()
        memory.register_buffer("mean", torch.tensor(1 / problem.classes))
        memory.register_buffer("variance", torch.ones(()))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) in (0, 1]; this batch is in the means."""
        fresh = 1 - decay_of(self.decay, seen.now)
        confidence = seen.guess.max(-1).values
        state.mean.lerp_(confidence.mean().to(state.mean.dtype), fresh)
        if len(confidence) > 1:
            state.variance.lerp_(confidence.var().to(state.variance.dtype), fresh)
        below = (confidence - state.mean).clamp(max=0)
        weights: Tensor = (-below.square() / (2 * state.variance.clamp_min(1e-12))).exp()
        return weights


@part("accept")
@dataclass(frozen=True)
class Relative(Accept):
    """A share of the mean confidence on the labelled records of the step.

    AdaMatch's relative threshold (Berthelot et al. 2022, arXiv:2106.04732, eq. 3): the weak
    views' confidence there, times `share`.
    """

    share: float = 0.9
    asks_labelled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("share of Relative", self.share, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        return _reached(seen.guess, self.share * seen.labelled.max(-1).values.mean())


@part("accept")
@dataclass(frozen=True)
class FallingLoss(Accept):
    """Guesses whose own loss, -log confidence, is under a bound that falls over the training.

    Dash (Xu et al. 2021, arXiv:2109.00650, eq. 8 and algorithm 1): the bound is C·γ^-(t-1)·ρ,
    ρ the mean loss on labelled records at the end of a warm-up, C = 1.0001 and γ = 1.27. The
    paper leaves open how often t moves: here `falls` times over the training. The bound stays
    above 0.05, as in the authors' experiments. Nothing is accepted during the warm-up, a share of
    the training in which ρ is measured as a running mean.
    """

    gamma: float = 1.27
    warm_up: float = 0.05
    falls: int = 20
    least: float = 0.05
    asks_labelled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("warm_up of FallingLoss", self.warm_up, 0, 0.9)
        within("gamma of FallingLoss", self.gamma, 1, 100)
        within("falls of FallingLoss", self.falls, 1, 10_000)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`loss`, the running mean on labelled records, ln k at first."""
        memory = nn.Module()
        memory.register_buffer("loss", torch.tensor(float(problem.classes)).log())
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) one or zero."""
        now = seen.now
        if now.progress < self.warm_up:
            right = seen.labelled.gather(1, now.draw.targets.unsqueeze(1)).clamp_min(1e-30)
            state.loss.lerp_(-right.log().mean().to(state.loss.dtype), 0.2)
            return torch.zeros_like(seen.guess[:, 0])
        fallen = int((now.progress - self.warm_up) / (1 - self.warm_up) * self.falls)
        bound = (1.0001 * self.gamma**-fallen * state.loss).clamp_min(self.least)
        loss: Tensor = -seen.guess.max(-1).values.log()
        under: Tensor = loss <= bound
        return under.to(seen.guess.dtype)
