"""The parts of the one loop: what it draws, how fast it steps, what it averages and keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import RunError
from leaven.core.recipe import Training
from leaven.learn.contracts import made_problem
from leaven.learn.head import LinearHead
from leaven.learn.method import METHODS
from leaven.learn.network import Network
from leaven.learn.schedule import rate_factor
from leaven.learn.state import TrainState
from leaven.learn.train import _groups


def test_the_rate_warms_up_and_falls_to_zero():
    rates = [rate_factor(step, 1000, Training(warm_up=0.05)) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 50)
    assert rates[49] == rates[50] == 1.0
    assert (np.diff(rates[:50]) > 0).all()
    assert (np.diff(rates[50:]) < 0).all()
    assert rates[525] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-4


@pytest.mark.parametrize("total", [1, 2, 3, 10])
@pytest.mark.parametrize("warm_up", [0.0, 0.05, 0.9])
def test_short_trainings_have_a_rate_too(total: int, warm_up: float):
    rates = [rate_factor(step, total, Training(warm_up=warm_up)) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1


def _state() -> TrainState:
    """A network of a trainable layer and a frozen one, and its optimiser."""
    problem = replace(made_problem(METHODS["supervised"]).problem, seed=5)
    torch.manual_seed(0)
    network = Network(problem.build_encoder(), LinearHead(288, 4))
    network.encoder.get_parameter("body.2.weight").requires_grad_(False)
    optimiser = torch.optim.AdamW(_groups([network], 1e-3, 0.1), betas=(0.9, 0.99))
    return TrainState(network, optimiser, None, 100)


def test_the_average_is_its_formula():
    state = _state()
    wanted = {n: p.detach().clone() for n, p in state.network.named_parameters()}
    for step in range(30):
        with torch.no_grad():
            for parameter in state.network.parameters():
                parameter += torch.randn_like(parameter)
            state.network.encoder.get_buffer("centre").add_(1.0)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, weight in state.network.named_parameters():
            if weight.requires_grad:
                wanted[name] = decay * wanted[name] + (1 - decay) * weight.detach()
        state.update_average(0.9)
        state.step += 1
    averaged = dict(state.average.named_parameters())
    for name, value in wanted.items():
        torch.testing.assert_close(averaged[name], value, rtol=1e-4, atol=1e-5)
    assert torch.equal(
        state.average.encoder.get_buffer("centre"), state.network.encoder.get_buffer("centre")
    )


def test_vectors_do_not_decay_and_frozen_tensors_are_not_trained():
    state = _state()
    frozen = state.network.encoder.get_parameter("body.2.weight")
    for group in state.optimiser.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
            assert parameter is not frozen


def test_the_end_may_be_brought_forward():
    fit = METHODS["supervised"].fit(made_problem(METHODS["supervised"], steps=50).problem)
    numbers = []
    for step in fit:
        numbers.append(step.number)
        assert step.state is not None
        if step.number == 7:
            step.state.total = 9
    assert numbers == list(range(1, 10))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "another network"])
def test_a_damaged_checkpoint_is_an_error_and_not_a_new_start(tmp_path: Path, damage: str):
    method, path = METHODS["fixmatch"], tmp_path / "checkpoint.safetensors"
    problem = made_problem(method).problem
    fit = method.fit(problem)
    state = next(fit).state
    assert state is not None
    state.save(path)
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    if damage == "garbage":
        path.write_bytes(b"\xff" * 1000)
    if damage == "empty":
        path.write_bytes(b"")
    if damage == "another network":
        problem = replace(problem, classes=5)
    with pytest.raises(RunError, match=r"(?s)cannot be read: .*Delete it"):
        next(method.fit(problem, path))


def test_a_note_is_kept_with_the_state(tmp_path: Path):
    one, other = _state(), _state()
    one.note, one.step, one.total = {"history": [{"step": 1}], "seconds": 2.5}, 8, 90
    one.save(tmp_path / "checkpoint.safetensors")
    other.load(tmp_path / "checkpoint.safetensors")
    assert (other.note, other.step, other.total) == (one.note, 8, 90)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]
