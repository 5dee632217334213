"""Teachers: whose answers the student is to agree with. None of them is given a gradient."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import Seen, Teacher, part, within
from leaven.learn.method import Problem
from leaven.learn.network import Network

__all__ = [
    "AveragedTeacher",
    "CommitteeTeacher",
    "FormerTeacher",
    "PastTeacher",
    "RepeatedTeacher",
    "SelfTeacher",
    "SnapshotTeacher",
]


def _view(name: str, view: str, *allowed: str) -> None:
    if view not in allowed:
        raise SettingError(f"view of {name}", " or ".join(allowed), view)


@torch.no_grad()
def _ask(network: Any, seen: Seen, view: str) -> Seen:
    """`seen` with the answer of a network to a new view."""
    output, features = network(seen.now.draw.unlabelled(view), features=True)
    return replace(seen, guess=seen.now.task.probabilities(output), features=features)


def _together(seen: Seen, answers: list[Tensor]) -> Seen:
    """`seen` with the mean of several answers and how far they are apart."""
    every = torch.stack(answers)  # (answers, u, k)
    mean = every.mean(0)
    named = mean.argmax(-1)[None, :, None].expand(len(every), -1, 1)
    spread = every.gather(2, named).squeeze(2).std(0, correction=0)
    return replace(seen, guess=mean, spread=spread)


@part("teacher")
@dataclass(frozen=True)
class SelfTeacher(Teacher):
    """The network itself: on a `weak` view of its own, or on the `same` that the student sees."""

    view: str = "weak"

    def __post_init__(self) -> None:
        _view("SelfTeacher", self.view, "weak", "strong", "plain", "same")

    def __call__(self, seen: Seen, state: None) -> Seen:
        """The answer to a second view, or the student's own."""
        return seen if self.view == "same" else _ask(seen.now.network, seen, self.view)


@part("teacher")
@dataclass(frozen=True)
class AveragedTeacher(Teacher):
    """The exponential moving average of the weights (Tarvainen & Valpola 2017), on its own view."""

    view: str = "weak"

    def __post_init__(self) -> None:
        _view("AveragedTeacher", self.view, "weak", "strong", "plain")

    def __call__(self, seen: Seen, state: None) -> Seen:
        """The average's answer."""
        return _ask(seen.now.average, seen, self.view)


@part("teacher")
@dataclass(frozen=True)
class PastTeacher(Teacher):
    """The running mean of the network's own past answers to each record.

    Temporal ensembling (Laine & Aila 2017, arXiv:1610.02242, section 2.2 and algorithm 2): after
    each visit Z ← decay·Z + (1 - decay)·z, and the target at the next one is Z / (1 - decay^t) of
    t visits. A record has no target before its second visit.
    """

    decay: float = 0.6

    def __post_init__(self) -> None:
        within("decay of PastTeacher", self.decay, 0, 0.999)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`sums` (unlabelled, k) and `visits` (unlabelled,)."""
        memory = nn.Module()
        size = len(problem.unlabelled)
        memory.register_buffer("sums", torch.zeros(size, problem.classes))
        memory.register_buffer("visits", torch.zeros(size))
        return memory

    def __call__(self, seen: Seen, state: Any) -> Seen:
        """The mean of the answers before this step, which is then added to it."""
        records, fresh = seen.now.draw.records, seen.guess.to(state.sums.dtype)
        before, visits = state.sums[records], state.visits[records]
        correction = (1 - self.decay**visits).clamp_min(1e-12).unsqueeze(-1)
        state.sums[records] = self.decay * before + (1 - self.decay) * fresh
        state.visits[records] = visits + 1
        known = (visits > 0).to(fresh.dtype)
        guess = torch.where(known.unsqueeze(-1) > 0, before / correction, fresh)
        return replace(seen, guess=guess, known=known)


@part("teacher")
@dataclass(frozen=True)
class RepeatedTeacher(Teacher):
    """The network asked several times: other views, other units dropped out (MC dropout).

    Gal & Ghahramani 2016, arXiv:1506.02142, section 4: the mean is the prediction and the
    deviation its uncertainty. Encoders without dropout differ by their views alone.
    """

    times: int = 4
    view: str = "weak"
    repeats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("times of RepeatedTeacher", self.times, 2, 64)
        _view("RepeatedTeacher", self.view, "weak", "strong", "plain")

    def __call__(self, seen: Seen, state: None) -> Seen:
        """Mean and deviation of the answers."""
        asked = [_ask(seen.now.network, seen, self.view) for _ in range(self.times)]
        return _together(asked[-1], [one.guess for one in asked])


@part("teacher")
@dataclass(frozen=True)
class CommitteeTeacher(Teacher):
    """The network and its average, each on a weak view of its own: an ensemble of two."""

    repeats: ClassVar[bool] = True

    def __call__(self, seen: Seen, state: None) -> Seen:
        """Mean and deviation of the two."""
        one = _ask(seen.now.network, seen, "weak")
        other = _ask(seen.now.average, seen, "weak")
        return _together(other, [one.guess, other.guess])


class _Copies(nn.Module):
    """Copies of a network that do not learn, and how many of them have been taken."""

    def __init__(self, network: Network, count: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            copy.deepcopy(network).requires_grad_(False).eval() for _ in range(count)
        )
        self.register_buffer("taken", torch.zeros((), dtype=torch.long))
        self.taken: Tensor

    def take(self, weights: nn.Module, due: int) -> int:
        """Copy the weights once `due` copies should have been taken; returns how many were."""
        taken = int(self.taken)
        if due > taken:
            member = self.members[taken % len(self.members)]
            with torch.no_grad():
                for own, new in zip(_tensors(member), _tensors(weights), strict=True):
                    own.copy_(new)
            self.taken.fill_(due)
        return int(self.taken)

    def train(self, mode: bool = True) -> _Copies:
        """They stay in evaluation mode."""
        return self


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@part("teacher")
@dataclass(frozen=True)
class FormerTeacher(Teacher):
    """The averaged network as it was when the round began, on records without noise.

    Noisy Student's teacher (Xie et al. 2020, arXiv:1911.04252, algorithm 1): the first of
    `rounds` + 1 equal parts of the training has none; each later part learns from a copy that
    was taken at its beginning.
    """

    rounds: int = 3
    view: str = "plain"

    def __post_init__(self) -> None:
        within("rounds of FormerTeacher", self.rounds, 1, 100)
        _view("FormerTeacher", self.view, "weak", "strong", "plain")

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """One copy of the network."""
        return _Copies(network, 1)

    def __call__(self, seen: Seen, state: Any) -> Seen:
        """The copy's answer; none in the first part."""
        due = int(seen.now.progress * (self.rounds + 1))
        if not state.take(seen.now.average, due):
            return replace(seen, known=torch.zeros_like(seen.guess[:, 0]))
        return _ask(state.members[0], seen, self.view)


@part("teacher")
@dataclass(frozen=True)
class SnapshotTeacher(Teacher):
    """An ensemble of the averaged network at several times of the same training.

    Huang et al. 2017, arXiv:1704.00109: one training, many members. A snapshot is taken after
    each tenth of the training; the last `members` of them answer, together with the average of
    now.
    """

    members: int = 3
    view: str = "weak"
    repeats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        within("members of SnapshotTeacher", self.members, 1, 10)
        _view("SnapshotTeacher", self.view, "weak", "strong", "plain")

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The copies."""
        return _Copies(network, self.members)

    def __call__(self, seen: Seen, state: Any) -> Seen:
        """Mean and deviation of the members' answers, each to a view of its own."""
        taken = state.take(seen.now.average, int(seen.now.progress * 10))
        answer = _ask(seen.now.average, seen, self.view)
        others = [_ask(m, seen, self.view).guess for m in state.members[: min(taken, self.members)]]
        return _together(answer, [answer.guess, *others])
