"""How a training is paced: rates, gradients that add up, batches that shrink, early ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leaven.core.recipe import Training
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.stages import Pace, Stage, fit_stage
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.schedule import rate_factor
from leaven.learn.train import LoopMethod, train


def slow_rate(step: int, total: int, warm: int, cycles: int) -> float:
    """Loshchilov & Hutter 2017, eq. 5, with equal cycles and a linear beginning."""
    if step < warm:
        return (step + 1) / warm
    length = (total - warm) / cycles
    within = (step - warm) % length
    return (1 + math.cos(math.pi * within / length)) / 2


@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_the_cosine_and_its_restarts_are_the_papers(cycles: int):
    training = Training(restarts=cycles, warm_up=0.1)
    for step in range(200):
        told = rate_factor(step, 210, training)
        assert told == pytest.approx(slow_rate(step, 210, 21, cycles), abs=1e-6)


def test_other_schedules():
    constant = Training(schedule="constant", warm_up=0.1)
    assert [rate_factor(s, 100, constant) for s in (0, 9, 10, 99)] == [0.1, 1.0, 1.0, 1.0]


def fitted(problem: Problem, method: LoopMethod) -> tuple[Network, list[Step]]:
    steps, fit = [], train(problem, method.objective)
    while True:
        try:
            steps.append(next(fit))
        except StopIteration as done:
            return done.value, steps


def changed(problem: Problem, **settings: Any) -> Problem:
    return replace(problem, training=problem.training.model_copy(update=settings))


def loop(name: str) -> LoopMethod:
    method = METHODS[name]
    assert isinstance(method, LoopMethod)
    return method


def test_gradients_of_several_batches_add_up_to_those_of_one():
    """Of all records at once: two halves give the gradient of the whole, when nothing is drawn."""
    method = loop("supervised")
    problem = made_problem(method, steps=1).problem
    whole = changed(problem, labelled_batch=8, warm_up=0.0)
    halves = changed(problem, labelled_batch=4, accumulate=2, warm_up=0.0)

    @dataclass(frozen=True)
    class Plain(type(method.objective)):  # type: ignore[misc]
        def loss(self, now: Moment) -> Loss:
            now.network.eval()
            output = now.network(now.draw.view(now.draw.labelled_records, "plain"))
            return Loss({"supervised": now.task.loss(output, now.draw.targets).mean()})

    plain = replace(method, objective=Plain())
    one, _ = fitted(whole, plain)
    other, steps = fitted(halves, plain)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert len(steps) == 1


def test_what_all_parts_taught_is_told():
    method = loop("fixmatch")
    problem = changed(made_problem(method, steps=2).problem, accumulate=3)
    _, steps = fitted(problem, method)
    batch = problem.training.labelled_batch * problem.training.unlabelled_ratio
    assert steps[0].taught is not None
    assert len(steps[0].taught.records) == 3 * batch
    assert len(set(steps[0].taught.records.tolist())) > batch


def test_a_batch_that_memory_does_not_hold_is_split(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    method = loop("supervised")
    problem = changed(made_problem(method, steps=6).problem, labelled_batch=8)
    inner, sizes = type(method.objective).loss, []

    def hungry(self: Any, now: Moment) -> Loss:
        sizes.append(len(now.draw.targets))
        if len(now.draw.targets) > 2:
            raise torch.OutOfMemoryError
        return inner(self, now)

    monkeypatch.setattr(type(method.objective), "loss", hungry)
    network, steps = fitted(problem, method)
    assert len(steps) == 6
    assert sizes[:2] == [8, 4]
    assert set(sizes[2:]) == {2}
    assert steps[-1].state is not None
    assert steps[-1].state.split == 4
    monkeypatch.setattr(type(method.objective), "loss", inner)
    split_by_hand, _ = fitted(changed(problem, labelled_batch=2, accumulate=4), method)
    for mine, theirs in zip(network.parameters(), split_by_hand.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_batch_that_cannot_be_split_further_ends_the_fit(monkeypatch: pytest.MonkeyPatch):
    method = loop("supervised")
    problem = made_problem(method, steps=2).problem

    def never(self: Any, now: Moment) -> Loss:
        raise torch.OutOfMemoryError("no memory at all")

    monkeypatch.setattr(type(method.objective), "loss", never)
    with pytest.raises(torch.OutOfMemoryError, match="no memory at all"):
        fitted(problem, method)


def test_a_loss_that_does_not_fall_ends_the_fit_early(tmp_path: Path):
    method = METHODS["supervised"]
    made = made_problem(method)
    problem = changed(made.problem, rate=1e-9)
    none = np.zeros(0, np.int64)
    stage = Stage("one", "one", "supervised", "supervised", problem.train, none, none, True)

    def steps(patience: float, name: str) -> int:
        with RunFolder(tmp_path / name) as folder:
            asked = changed(problem, patience=patience)
            doing = fit_stage(stage, asked, folder, Pace(400, {}))
            while True:
                try:
                    next(doing)
                except StopIteration as done:
                    return int(done.value[1]["steps"])

    assert steps(0.0, "never") == 400
    assert steps(0.2, "soon") < 250
    learning = changed(made.problem, rate=2e-3)
    problem = learning
    assert steps(0.9, "learning") == 400
