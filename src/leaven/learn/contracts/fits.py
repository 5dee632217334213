"""Whole fits, and what a fit of any kind must keep: that it goes on exactly where it stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from leaven.learn.contracts.check import require
from leaven.learn.method import Problem, Step
from leaven.learn.network import Network

__all__ = ["Fitting", "gains", "goes_on_exactly", "same", "whole_fit"]

_SEEDS, _CLEAR = 3, 0.08  # a gain of so much with the first seed is no luck


class Fitting(Protocol):
    """A method or a pretext."""

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Yield each step; return the network."""


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
    """Require what `fitted` gains with a seed to be a point on average, over three at most."""
    found: list[float] = []
    for seed in range(_SEEDS):
        found.append(fitted(seed))
        if sum(found) / len(found) >= _CLEAR:
            return
    told = ", ".join(f"{100 * gain:+.1f}" for gain in found)
    require(sum(found) / len(found) >= 0.01, f"gains over {what}: {told} points")


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules hold equal tensors, to the bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def goes_on_exactly(learner: Fitting, problem: Problem) -> None:
    """Stopped after any step, the fit goes on to the weights of one that was let be."""
    whole, _ = whole_fit(learner, problem)
    for stop in (1, problem.steps // 2, problem.steps - 1):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.safetensors"
            for step in (fit := learner.fit(problem)):
                if step.number == stop:
                    assert step.state is not None
                    step.state.save(checkpoint)
                    fit.close()
            resumed, steps = whole_fit(learner, problem, checkpoint)
        numbers = [step.number for step in steps]
        require(
            numbers == list(range(stop + 1, problem.steps + 1)),
            f"stopped after step {stop}, it goes on with the steps {numbers}",
        )
        require(same(whole, resumed), f"stopped after step {stop}, it ends on other weights")
