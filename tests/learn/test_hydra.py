"""Hydra's features and quantiles of intervals, held against plain transcriptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leaven.data.arrays import Arrays
from leaven.learn.encoder import ENCODERS
from leaven.learn.models.hydra import Hydra, dilations
from leaven.learn.models.intervals import Intervals, quantiles, starts
from leaven.learn.standard_series import StandardSeries, own_steps, stretched


def records(n: int, steps: int, channels: int, uneven: bool = False) -> Arrays:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, steps, channels)).cumsum(1).astype(np.float32)
    there = np.ones_like(values, np.uint8)
    if uneven:
        own = rng.integers(2, steps + 1, n)
        there *= np.arange(steps)[:, None] < own[:, None, None]
    return Arrays({"values": values * there, "there": there})


def plain_hydra(series: np.ndarray, encoder: Hydra) -> np.ndarray:
    """(n, inputs) sums and counts of section 3 of the paper, step by step, without their roots."""
    n, channels, _ = series.shape
    weights = encoder.weights.double().numpy()[:, :, 0]
    found = []
    for number, (dilation, of_changes) in enumerate(encoder.passes):
        read = np.diff(series) if of_changes else series
        sums = np.zeros((2, n, encoder.a_pass, encoder.kernels))
        for one in range(n):
            for group in range(encoder.a_pass):
                chosen = encoder.chosen[number, group].tolist() if channels > 1 else [0]
                values = read[one, chosen].sum(0)
                for step in range(len(values)):
                    answers = np.zeros(encoder.kernels)
                    for kernel in range(encoder.kernels):
                        for tap in range(9):
                            place = step + (tap - 4) * dilation
                            if 0 <= place < len(values):
                                weight = weights[number, group * encoder.kernels + kernel, tap]
                                answers[kernel] += weight * values[place]
                    sums[0, one, group, answers.argmax()] += max(answers.max(), 0)
                    sums[1, one, group, answers.argmin()] += 1
        found += [sums[0].reshape(n, -1), sums[1].reshape(n, -1)]
    return np.concatenate(found, 1)


@pytest.mark.parametrize(("channels", "steps"), [(1, 21), (3, 18)])
def test_hydra_is_the_paper_s_but_for_what_is_best_by_a_hair(channels: int, steps: int):
    arrays = records(4, steps, channels)
    encoder = Hydra(channels, steps, kernels=4, groups=4, width=8)
    encoder.prepare(arrays, np.arange(4), 3)
    series = encoder.standard(arrays.batch(np.arange(4)))[0].transpose(1, 2)
    roots = encoder._counted(series).double().numpy()
    found = (roots + 1e-3**0.5) ** 2 - 1e-3  # as `rooted` takes them
    wanted = plain_hydra(series.double().numpy(), encoder)
    # A step where two kernels answer alike counts in part: here one of hundreds does.
    assert (np.abs(found - wanted) > 1e-3).mean() < 0.05
    np.testing.assert_allclose(found, wanted, atol=1.01)


def test_kernels_have_no_mean_and_dilations_fit():
    encoder = Hydra(2, 100, kernels=8, groups=8, width=16)
    encoder.prepare(records(20, 100, 2), np.arange(20), 0)
    torch.testing.assert_close(encoder.weights.sum(-1), torch.zeros(encoder.weights.shape[:3]))
    torch.testing.assert_close(encoder.weights.abs().sum(-1), torch.ones(encoder.weights.shape[:3]))
    for length in (1, 8, 9, 17, 128, 1024):
        assert 8 * max(dilations(length)) < max(length, 9)


def test_in_a_flat_series_no_kernel_is_the_best():
    encoder = Hydra(1, 40, kernels=8, groups=8, width=4)
    encoder.prepare(records(20, 40, 1), np.arange(20), 0)
    flat = torch.full((1, 1, 40), 5.0)
    counts = encoder._counted(flat).view(len(encoder.passes), 2, -1)[:, 1]
    assert counts[0].max() > 1  # at its ends something is found
    assert counts[1].max() < 1e-6  # its differences are zero everywhere
    assert encoder._counted(torch.zeros(1, 1, 40)).max() < 1e-6


@pytest.mark.parametrize("name", ["hydra", "intervals"])
@pytest.mark.parametrize("steps", [1, 2, 5, 9, 40])
def test_any_length_gives_finite_features(name: str, steps: int):
    arrays = records(12, steps, 2)
    kind = ENCODERS[name]
    encoder = kind(**kind.configure({"channels": 2, "length": steps, "usual": 0}))
    encoder.prepare(arrays, np.arange(12), 0)
    found = encoder(arrays.batch(np.arange(12)))
    assert found.shape == (12, encoder.width)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["hydra", "intervals"])
def test_series_of_unlike_lengths_are_read_stretched(name: str):
    arrays, rows = records(30, 25, 2, uneven=True), np.arange(30)
    kind = ENCODERS[name]
    encoder = kind(**kind.configure({"channels": 2, "length": 25, "usual": 14}))
    encoder.prepare(arrays, rows, 0)
    values, within = (one.transpose(1, 2) for one in encoder.standard(arrays.batch(rows)))
    even = stretched(values, own_steps(within), 14).transpose(1, 2)
    whole = Arrays({"values": even.numpy(), "there": np.ones(even.shape, np.uint8)})
    alike = kind(**kind.configure({"channels": 2, "length": 14, "usual": 0}))
    alike.load_state_dict(encoder.state_dict())
    alike.standard = StandardSeries(2)  # they are standardised already
    torch.testing.assert_close(
        encoder(arrays.batch(rows)), alike(whole.batch(rows)), atol=1e-4, rtol=0
    )


def test_intervals_are_quantiles_of_all_parts_of_all_readings():
    arrays, rows = records(20, 40, 2), np.arange(20)
    encoder = Intervals(2, 40, depth=4, each=4)
    encoder.prepare(arrays, rows, 0)
    series = encoder.standard(arrays.batch(rows))[0].transpose(1, 2).double().numpy()
    first = np.diff(series)
    padded = np.pad(first, ((0, 0), (0, 0), (2, 2)), mode="edge")
    smooth = np.stack([padded[..., i : i + 5].mean(-1) for i in range(first.shape[2])], -1)
    readings = [series, smooth, np.diff(first), np.abs(np.fft.rfft(series))]
    wanted = []
    for values in readings:
        for level in range(4):
            begins, size = starts(values.shape[2], level)
            number = 1 + (size - 1) // 4
            part = np.linspace(0, 1, number) if number > 1 else [0.5]
            parts = []
            for begin in begins.tolist():
                inside = values[..., begin : begin + size]
                told = np.moveaxis(np.quantile(inside, part, axis=-1), 0, -1)
                told[..., 1::2] -= inside.mean(-1, keepdims=True)
                parts.append(told)
            wanted.append(np.stack(parts, 2).reshape(20, -1))
    wanted = np.concatenate(wanted, 1)
    wanted = (wanted - wanted.mean(0)) / wanted.std(0) / wanted.shape[1] ** 0.5
    np.testing.assert_allclose(encoder(arrays.batch(rows)), wanted, atol=1e-4)


def test_intervals_of_a_level_cover_the_series_evenly():
    for length in (1, 2, 7, 32, 100):
        for level in range(6):
            begins, size = starts(length, level)
            assert int(begins[0]) == 0
            assert int(begins[-1]) + size == length
            assert (begins.diff() <= size).all()
    torch.testing.assert_close(quantiles(5, 4).sum(0), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("channels", [1, 9, 60, 500])
def test_intervals_are_not_too_many(channels: int):
    spec = {"channels": channels, "length": 1024, "usual": 0}
    encoder = Intervals(**Intervals.configure(spec))
    assert encoder.width <= max(2048, 4 * channels)
