"""Whole fits, made once for all checks that ask for the same one, and what each must keep."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from leaven.learn.contracts.check import require
from leaven.learn.method import Problem, Step
from leaven.learn.network import Network

__all__ = ["Fit", "Fitting", "gains", "goes_on_exactly", "same", "whole_fit"]

_SEEDS, _CLEAR = 3, 0.08  # a gain of so much with one seed is no luck


class Fitting(Protocol):
    """A method or a pretext."""

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Yield each step; return the network."""


@dataclass(frozen=True)
class Fit:
    """A whole fit that was looked at on its way; a check reads it and changes nothing of it.

    Where steps have a state, `first` holds what is trained of `network` and `objective`, and all of
    `average`, as it stood after the first step, by name; `checkpoints` what was saved after which.
    """

    network: Network
    steps: list[Step]
    first: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    checkpoints: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, learner: Fitting, problem: Problem) -> Fit:
        """Fit, and save after the first step, half of them, and the last but one."""
        fit, stops = learner.fit(problem), _stops(problem)
        steps: list[Step] = []
        first: dict[str, dict[str, Tensor]] = {}
        checkpoints: dict[int, bytes] = {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.safetensors"
            while True:
                try:
                    step = next(fit)
                except StopIteration as done:
                    return cls(done.value, steps, first, checkpoints)
                steps.append(step)
                if step.state is None:
                    continue
                if len(steps) == 1:
                    first = {part: _copied(part, of) for part, of in _modules(step).items()}
                if step.number in stops:
                    step.state.save(path)
                    checkpoints[step.number] = path.read_bytes()

    def still(self, part: str) -> list[str]:
        """Names of the tensors of `first` that stand as they stood: without decay, no gradient."""
        if part not in self.first:
            return []
        now = dict(_modules(self.steps[0])[part].named_parameters())
        return [name for name, was in self.first[part].items() if torch.equal(was, now[name])]


def whole_fit(
    learner: Fitting, problem: Problem, checkpoint: Path | None = None
) -> tuple[Network, list[Step]]:
    """A whole fit: the network, and its steps."""
    steps, fit = [], learner.fit(problem, checkpoint)
    while True:
        try:
            steps.append(next(fit))
        except StopIteration as done:
            return done.value, steps


def gains(fitted: Callable[[int], float], what: str) -> None:
    """Require what `fitted` gains with a seed to be a point on average, over three at most.

    A mean that is clear ends it: of two seeds chance moves it less than of one, by a root of two.
    """
    found: list[float] = []
    for seed in range(_SEEDS):
        found.append(fitted(seed))
        if sum(found) / len(found) >= _CLEAR / len(found) ** 0.5:
            return
    told = ", ".join(f"{100 * gain:+.1f}" for gain in found)
    require(sum(found) / len(found) >= 0.01, f"gains over {what}: {told} points")


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules hold equal tensors, to the bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def goes_on_exactly(learner: Fitting, problem: Problem, whole: Fit) -> None:
    """Stopped after any step, the fit goes on to the weights of `whole`, which was let be."""
    for stop in _stops(problem):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.safetensors"
            checkpoint.write_bytes(whole.checkpoints[stop])
            resumed, steps = whole_fit(learner, problem, checkpoint)
        numbers = [step.number for step in steps]
        require(
            numbers == list(range(stop + 1, problem.steps + 1)),
            f"stopped after step {stop}, it goes on with the steps {numbers}",
        )
        require(
            same(whole.network, resumed), f"stopped after step {stop}, it ends on other weights"
        )


def _stops(problem: Problem) -> tuple[int, ...]:
    return (1, problem.steps // 2, problem.steps - 1)


def _modules(step: Step) -> dict[str, nn.Module]:
    state = step.state
    assert state is not None
    modules: dict[str, nn.Module] = {"network": state.network, "average": state.average}
    return modules if state.objective is None else modules | {"objective": state.objective}


def _copied(part: str, module: nn.Module) -> dict[str, Tensor]:
    named = module.named_parameters()
    return {n: p.detach().clone() for n, p in named if p.requires_grad or part == "average"}
