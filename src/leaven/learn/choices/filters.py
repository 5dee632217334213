"""Filters beside confidence: entropy, uncertainty, neighbours, curriculum, balance.

They may stand alone or together with a threshold: weights of several are multiplied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import Accept, Seen, part, within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import decay_of

__all__ = [
    "Balanced",
    "Certain",
    "Easiest",
    "EasiestOfEach",
    "LowEntropy",
    "NeighboursAgree",
    "Steady",
]


@part("accept")
@dataclass(frozen=True)
class LowEntropy(Accept):
    """Guesses whose entropy is at most a share of that of even odds, ln k."""

    share: float = 0.3

    def __post_init__(self) -> None:
        within("share of LowEntropy", self.share, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        entropy: Tensor = torch.special.entr(seen.guess).sum(-1)
        most = self.share * math.log(seen.guess.shape[-1])
        return (entropy <= most).to(seen.guess.dtype)


@part("accept")
@dataclass(frozen=True)
class Certain(Accept):
    """All guesses, weighted by how far their entropy is below that of even odds.

    Weight 1 - H(q) / ln k (Iscen et al. 2019, arXiv:1904.04717, eq. 9).
    """

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) in [0, 1]."""
        entropy: Tensor = torch.special.entr(seen.guess).sum(-1)
        return (1 - entropy / math.log(seen.guess.shape[-1])).clamp(0, 1)


@part("accept")
@dataclass(frozen=True)
class Steady(Accept):
    """Guesses on which the teacher's several answers agree: deviation at most `most`.

    UPS (Rizve et al. 2021, arXiv:2101.06329, eq. 4): the deviation of the probability of the
    class that is named, 0.05 there. Needs a teacher that answers several times.
    """

    most: float = 0.05
    asks_spread: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("most of Steady", self.most, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        assert seen.spread is not None
        return (seen.spread <= self.most).to(seen.guess.dtype)


@part("accept")
@dataclass(frozen=True)
class NeighboursAgree(Accept):
    """Guesses that the nearest labelled records of the step share, by cosine of the features.

    At least `share` of the `count` nearest have the label that is guessed.
    """

    count: int = 3
    share: float = 0.5
    asks_features: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("count of NeighboursAgree", self.count, 1, 1000)
        within("share of NeighboursAgree", self.share, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero."""
        own, labelled = F.normalize(seen.features), F.normalize(seen.labelled_features)
        near = (own @ labelled.T).topk(min(self.count, len(labelled)), dim=-1).indices
        named = seen.guess.argmax(-1, keepdim=True)
        agree = (seen.now.draw.targets[near] == named).to(seen.guess.dtype).mean(-1)
        return (agree >= self.share).to(seen.guess.dtype)


@part("accept")
@dataclass(frozen=True)
class Easiest(Accept):
    """A curriculum: the surest part of each batch, a part that grows from `first` to `last`.

    Curriculum labelling by percentiles (Cascante-Bonilla et al. 2021, arXiv:2001.06001, section
    3), its steps drawn out into a line.
    """

    first: float = 0.2
    last: float = 1.0

    def __post_init__(self) -> None:
        within("first of Easiest", self.first, 0, 1)
        within("last of Easiest", self.last, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero; at least one record."""
        share = self.first + (self.last - self.first) * seen.now.progress
        confidence = seen.guess.max(-1).values
        kept = max(math.ceil(share * len(confidence)), 1)
        return (confidence >= confidence.topk(kept).values[-1]).to(confidence.dtype)


@part("accept")
@dataclass(frozen=True)
class EasiestOfEach(Accept):
    """As `Easiest`, but of each class: the surest part of the guesses that name it.

    Class-balanced self-training (Zou et al. 2018, arXiv:1810.07911, section 4.2): a class that is
    guessed with little confidence is taught all the same, and none that is learnt first takes the
    records of the others.
    """

    first: float = 0.2
    last: float = 1.0

    def __post_init__(self) -> None:
        within("first of EasiestOfEach", self.first, 0, 1)
        within("last of EasiestOfEach", self.last, 0, 1)

    def __call__(self, seen: Seen, state: None) -> Tensor:
        """(u,) one or zero; at least one record of each class that is named."""
        share = self.first + (self.last - self.first) * seen.now.progress
        confidence, named = seen.guess.max(-1)
        accepted = torch.zeros_like(confidence)
        for label in range(seen.guess.shape[-1]):
            own = confidence[named == label]
            if len(own):
                kept = max(math.ceil(share * len(own)), 1)
                accepted[named == label] = (own >= own.topk(kept).values[-1]).to(own.dtype)
        return accepted


@part("accept")
@dataclass(frozen=True)
class Balanced(Accept):
    """Weights that make all classes count alike: (1/k) / the running share of each among guesses.

    Noisy Student's balancing (Xie et al. 2020, arXiv:1911.04252, section 3.1) repeats records of
    rare classes and drops those of frequent ones; a weight does the same in expectation. At most
    `most`.
    """

    decay: float = 0.99
    most: float = 4.0

    def __post_init__(self) -> None:
        within("decay of Balanced", self.decay, 0, 0.99999)
        within("most of Balanced", self.most, 1, 1000)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`shares` (k,), even at first."""
        memory = nn.Module()
        memory.register_buffer("shares", torch.full((problem.classes,), 1 / problem.classes))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) at most `most`."""
        k = seen.guess.shape[-1]
        named = seen.guess.argmax(-1)
        shares = torch.bincount(named, minlength=k).to(state.shares.dtype) / len(named)
        state.shares.lerp_(shares, 1 - decay_of(self.decay, seen.now))
        weights: Tensor = (1 / (k * state.shares.clamp_min(1e-6))).clamp(max=self.most)
        return weights[named]
