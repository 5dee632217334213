"""The dilated network over series: what it reads, how far it sees, and what it can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, SequenceEncoder
from leaven.learn.standard_series import StandardSeries


def batch_of(*records: object) -> tuple[dict, dict]:
    dataset = Dataset.from_arrays(list(records), modality="series")
    views = MODALITIES["series"]
    spec = views.describe(dataset) | {"length": max(np.shape(r)[-1] for r in records)}
    arrays, _ = views.decode(dataset, spec)
    return arrays.batch(np.arange(len(records))), spec


def built(spec: dict, name: str = "tcn") -> SequenceEncoder:
    torch.manual_seed(0)
    return ENCODERS[name](**ENCODERS[name].configure(spec)).eval()


def test_standard_series_know_measured_values_alone():
    dataset = Dataset.from_arrays(
        [np.array([[1.0, np.nan, 5.0, 3.0], [7.0, 7.0, 7.0, 7.0]]), np.array([[3.0], [7.0]])],
        modality="series",
    )
    views = MODALITIES["series"]
    arrays, _ = views.decode(dataset, {"column": "series", "channels": 2, "length": 4})
    standard = StandardSeries(2)
    standard.learn(arrays, np.arange(2), 0)
    measured = np.array([1.0, 5.0, 3.0, 3.0])
    np.testing.assert_allclose(standard.mean, [measured.mean(), 7.0])
    np.testing.assert_allclose(standard.deviation, [measured.std(), 1.0], rtol=1e-6)
    values, within = standard(arrays.batch(np.arange(2)))
    np.testing.assert_allclose(values[0, :, 0] * measured.std(), [-2, 0, 2, 0], atol=1e-5)
    assert within[..., 0].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert not values[1, 1:].any()


def test_what_enters_is_values_flags_and_whether_there_is_a_step():
    batch, spec = batch_of([[1.0, np.nan, 3.0]], [[2.0]])
    entered = built(spec).enter(batch)
    assert tuple(entered.shape) == (2, 3, 3)
    assert entered[..., 1].tolist() == [[1, 0, 1], [1, 0, 0]]
    assert entered[..., 2].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("name", ["tcn", "tcn-tiny", "tcn-large"])
def test_padding_changes_nothing(name: str):
    rng = np.random.default_rng(0)
    short, long = rng.normal(size=(1, 20)), rng.normal(size=(1, 33))
    together, spec = batch_of(short, long)
    encoder = built(spec, name)
    with torch.no_grad():
        found = encoder(together)[0]
        cut = encoder.represent(encoder.enter(together)[:1, :20])[0]
    torch.testing.assert_close(found, cut, atol=1e-5, rtol=1e-5)


def test_causal_states_do_not_look_ahead():
    batch, spec = batch_of(np.random.default_rng(0).normal(size=(1, 40)))
    encoder = built(spec)
    entered = encoder.enter(batch)
    changed = entered.clone()
    changed[:, 25:, 0] += 1
    with torch.no_grad():
        for causal in (True, False):
            one, other = (encoder.states(e, causal=causal)[:, :25] for e in (entered, changed))
            assert torch.equal(one, other) == causal


def test_every_step_reaches_the_first_state():
    batch, spec = batch_of(np.random.default_rng(0).normal(size=(1, 100)))
    encoder = built(spec)
    entered = encoder.enter(batch).requires_grad_()
    encoder.states(entered)[0, 0].sum().backward()
    assert entered.grad is not None
    assert bool((entered.grad[0, :, 0] != 0).all())


def test_pool_is_the_largest_state_of_the_steps_that_are_there():
    batch, spec = batch_of([[1.0, 2.0, 3.0]], [[1.0, 2.0]])
    encoder = built(spec)
    entered = encoder.enter(batch)
    states = torch.randn(2, 3, encoder.width)
    found = encoder.pool(states, entered)
    torch.testing.assert_close(found[0], states[0].amax(0))
    torch.testing.assert_close(found[1], states[1, :2].amax(0))


def test_there_are_as_many_blocks_as_doublings():
    depths = [
        ENCODERS["tcn"].configure({"channels": 1, "length": length})["blocks"]
        for length in (1, 8, 9, 128, 1024)
    ]
    assert depths == [3, 3, 4, 7, 10]
