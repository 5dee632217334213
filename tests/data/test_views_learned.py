"""CTAugment's draws and rates equal their definition, record by record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.data.views.choosing import Choice, Choose
from leaven.data.views.geometric import Rotate, TranslateX
from leaven.data.views.learned import LearnedChoose, Steering
from leaven.data.views.photometric import AutoContrast, Brightness, Solarise

OPERATIONS = (Rotate(), TranslateX(), Brightness(), Solarise(), AutoContrast())
LEARNED = LearnedChoose(OPERATIONS)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    records=st.integers(0, 30),
    count=st.integers(1, 3),
    seed=st.integers(0, 99),
    decay=st.sampled_from([0.5, 0.9, 0.99]),
)
@settings(deadline=None)
def test_rates_are_learnt_record_by_record(
    records: int, count: int, seed: int, decay: float
) -> None:
    chance = np.random.default_rng(seed)
    rates = chance.random((3, 4)).astype(np.float32)
    which = chance.integers(0, 3, (records, count))
    bins = chance.integers(0, 4, (records, count))
    match = chance.random(records).astype(np.float32)
    expected = rates.astype(np.float64)
    for i in range(records):
        for slot in range(count):
            place = which[i, slot], bins[i, slot]
            expected[place] = decay * expected[place] + (1 - decay) * match[i]
    steering = Steering(
        torch.from_numpy(which), torch.zeros(records, count), torch.from_numpy(bins)
    )
    given_rates = torch.from_numpy(rates.copy())
    learnt = steering.learn(given_rates, torch.from_numpy(match), decay)
    np.testing.assert_allclose(learnt, expected, atol=1e-5)
    np.testing.assert_array_equal(given_rates, rates)


def frequencies(drawn: Steering) -> torch.Tensor:
    """(operations, bins) how often each bin of an operation was drawn, of its draws."""
    place = (drawn.which * LEARNED.bins + drawn.bin).flatten()
    counts = torch.bincount(place, minlength=len(OPERATIONS) * LEARNED.bins).float()
    counts = counts.view(len(OPERATIONS), LEARNED.bins)
    return counts / counts.sum(1, keepdim=True)


def test_bins_are_drawn_by_the_rates_above_the_threshold() -> None:
    rates = torch.rand(len(OPERATIONS), LEARNED.bins, generator=rng(7)) * 0.5 + 0.5
    rates[3] = torch.linspace(0.1, 0.7, LEARNED.bins)  # none above: the best alone
    rates[4] = 0.0
    drawn = LEARNED.steer(torch.zeros(40_000, 1, 1, 1), rng(), rates)
    expected = np.where(rates.numpy() > 0.8, rates.numpy(), 0.0).astype(np.float64)
    expected[3, -1] = 1.0
    expected[4] = 1.0
    expected /= expected.sum(1, keepdims=True)
    found = frequencies(drawn).numpy()
    assert (found[expected == 0] == 0).all()
    # 16 000 draws an operation: the deviation is below 0.004.
    np.testing.assert_allclose(found, expected, atol=0.02)
    which = torch.bincount(drawn.which.flatten()) / drawn.which.numel()
    assert (which - 1 / len(OPERATIONS)).abs().max() < 0.01


def test_without_rates_all_bins_are_alike() -> None:
    for rates in (None, LEARNED.start()):
        found = frequencies(LEARNED.steer(torch.zeros(40_000, 1, 1, 1), rng(), rates))
        assert (found - 1 / LEARNED.bins).abs().max() < 0.01
    zeros = torch.zeros(8, 1, 1, 1)
    one, other = LEARNED.draw(zeros, rng()), LEARNED.steer(zeros, rng(), LEARNED.start())
    assert torch.equal(one.magnitude, other.magnitude)


def test_magnitudes_lie_in_their_bins_and_fill_them() -> None:
    drawn = LEARNED.steer(torch.zeros(20_000, 1, 1, 1), rng(), None)
    within = drawn.magnitude * LEARNED.bins - drawn.bin
    assert within.min() >= -1e-5
    assert within.max() <= 1 + 1e-5
    assert abs(within.mean().item() - 0.5) < 0.01
    assert within.std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_pixels_are_those_of_the_same_choice() -> None:
    pixels = torch.rand(20, 3, 9, 11, generator=rng(3))
    drawn = LEARNED.steer(pixels, rng(4), None)
    expected = Choose(OPERATIONS).apply(pixels, Choice(drawn.which, drawn.magnitude))
    assert torch.equal(LEARNED.apply(pixels, drawn), expected)
    assert torch.equal(LEARNED(pixels, rng(4)), expected)


def test_what_the_network_cannot_read_is_given_up_and_taken_up_again() -> None:
    pixels = torch.zeros(256, 1, 1, 1)
    rates = LEARNED.start()

    def after(rates: torch.Tensor, readable: int) -> torch.Tensor:
        for step in range(200):
            probe = LEARNED.steer(pixels, rng(step), None)
            match = (probe.bin < readable).all(1).float()
            match = torch.where(match > 0, 1.0, 0.25)
            rates = probe.learn(rates, match, decay=0.9)
        return rates

    # A record has two operations, and an easy one beside a hard one is blamed with it: what
    # stays is the order of the rates.
    hard = after(rates, 8)
    assert hard[:, :8].mean() > hard[:, 8:].mean() + 0.2
    drawn = LEARNED.steer(pixels, rng(), hard)
    assert (drawn.bin < 8).all()
    easy = after(hard, LEARNED.bins)
    assert (LEARNED.steer(pixels, rng(), easy).bin >= 8).float().mean() > 0.4
