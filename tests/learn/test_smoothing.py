"""Label smoothing and dropout before the head: settings that every method of the loop takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import SettingError
from leaven.learn.task import TASKS, Task
from tests.learn.adapt_parts import begun, fit, made, seen


@given(st.integers(2, 6), st.floats(0, 0.99), st.integers(0, 99))
def test_label_smoothing_is_its_formula(k: int, share: float, seed: int):
    rng = np.random.default_rng(seed)
    output, target = rng.normal(size=(5, k)), rng.integers(0, k, 5)
    task = TASKS["classification"].smoothed(share)
    said = task.loss(torch.from_numpy(output), torch.from_numpy(target)).numpy()
    shares = task.shares(torch.from_numpy(target), k).numpy()
    for i in range(5):
        log = output[i] - np.log(np.exp(output[i]).sum())
        each = [(1 - share) * (j == target[i]) + share / k for j in range(k)]
        np.testing.assert_allclose(shares[i], each, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(said[i], -(np.array(each) * log).sum(), rtol=1e-7)


def test_a_task_without_classes_cannot_be_smoothed():
    task = TASKS["classification"]
    assert Task.smoothed(task, 0.0) is task
    with pytest.raises(SettingError, match="label_smoothing"):
        Task.smoothed(task, 0.1)


@pytest.mark.parametrize("method", ["supervised", "fixmatch", "mixmatch", "remixmatch"])
def test_smoothing_reaches_the_supervised_term(method: str):
    terms = []
    for share in (0.0, 0.3):
        # From the second step on, the outputs being zero at the first.
        _, steps = fit(made("mlp", steps=2, label_smoothing=share, rate=0.1), method)
        terms.append([float(step.terms["supervised"]) for step in steps])
    assert terms[0][1] != terms[1][1]


def test_dropout_is_of_the_features_in_training_alone():
    problem = made("mlp", dropout=0.5)
    _, state = begun(problem)
    network, batch = state.network, seen(problem)
    network.held = (network.encoder,)  # whose own dropout would hide it
    network.train()
    output, features = network(batch, features=True)
    assert torch.equal(features, network.encoder(batch))
    assert not torch.equal(output, network.head(features))
    network.eval()
    assert torch.equal(network(batch), network.head(features))
    average = state.average
    assert not average.training
    assert torch.equal(average(batch), average.head(average.encoder(batch)))
