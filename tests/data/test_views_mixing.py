"""Mixing equals the papers' formulas record by record, and its draws have the told distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaven.data.views.mixing import CutMix, Mix, Mixing, MixUp

SHAPES = [(6, 3, 8, 10), (6, 9, 4), (6, 7)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=rng(5))


def to_beta(shares: torch.Tensor, alpha: float, low: float = 0.0) -> tuple[float, float]:
    """The largest gap to Beta(alpha, alpha) above `low`, and what 1 of 100 samples exceeds.

    Between 0.001 and 0.999: nearer to 1, where much of Beta(0.2, 0.2) lies, float32 has no numbers.
    """
    grid = np.linspace(max(low, 0.001), 0.999, 999)
    found = np.searchsorted(np.sort(shares.numpy()), grid, side="right") / len(shares)
    wanted = stats.beta.cdf(grid, alpha, alpha)
    if low:
        wanted = 2 * wanted - 1
    return float(np.abs(found - wanted).max()), 1.63 / len(shares) ** 0.5


@pytest.mark.parametrize("alpha", [0.2, 0.75, 1.0, 4.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    values = torch.zeros(40_000, 1)
    shares = MixUp(alpha).draw(values, rng(1)).share
    gap, most = to_beta(shares, alpha)
    assert gap < most
    kept = MixUp(alpha, keep=True).draw(values, rng(2)).share
    assert kept.min() >= 0.5
    gap, most = to_beta(kept, alpha, low=0.5)
    assert gap < most


@pytest.mark.parametrize("alpha", [0.01, 0.1, 100.0])
def test_extreme_alphas_give_numbers(alpha: float) -> None:
    shares = MixUp(alpha).draw(torch.zeros(5000, 1), rng()).share
    assert ((shares >= 0) & (shares <= 1)).all()
    assert abs(shares.mean().item() - 0.5) < 0.03
    assert abs(shares.var().item() - 1 / (4 * (2 * alpha + 1))) < 0.01


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep", [False, True])
def test_mixup_by_definition(shape: tuple[int, ...], keep: bool) -> None:
    values = numbers(shape)
    before = values.clone()
    mix = MixUp(0.75, keep).draw(values, rng())
    assert sorted(mix.partner.tolist()) == list(range(6))
    got = MixUp(0.75, keep).apply(values, mix)
    own = values.double().numpy()
    for i, (j, share) in enumerate(zip(mix.partner.tolist(), mix.share.tolist(), strict=True)):
        np.testing.assert_allclose(got[i], share * own[i] + (1 - share) * own[j], atol=1e-6)
    assert torch.equal(values, before)


def oracle_box(own: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box of cells that are not a record's own, along each axis."""
    return tuple(
        slice(int(places.min()), int(places.max()) + 1) if len(places) else slice(0)
        for places in np.nonzero(~own)
    )


@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
        st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(1, 3)),
        st.tuples(st.integers(1, 5), st.integers(1, 12)),
    ),
    alpha=st.sampled_from([0.2, 1.0, 4.0]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_cutmix_exchanges_one_box(shape: tuple[int, ...], alpha: float, seed: int) -> None:
    values = numbers(shape)
    before = values.clone()
    mix = CutMix(alpha).draw(values, rng(seed))
    got = CutMix(alpha).apply(values, mix).numpy()
    assert mix.own is not None
    own = mix.own.numpy()
    # An image's channels and a place's width go together: the mask has one for all of them.
    cells = {4: own[:, 0], 3: own[..., 0], 2: own}[len(shape)] if len(shape) > 2 else own
    for i, j in enumerate(mix.partner.tolist()):
        box = oracle_box(cells[i])
        assert not cells[i][box].any(), "what is exchanged is one box"
        kept = 1 - np.zeros(cells[i].shape)[box].size / cells[i].size
        assert mix.share[i].item() == pytest.approx(kept, abs=1e-6)
        expected = before[i].numpy().copy()
        where = {4: (slice(None), *box), 3: (*box, slice(None)), 2: box}[len(shape)]
        expected[where] = before[j].numpy()[where]
        np.testing.assert_array_equal(got[i], expected)
    assert torch.equal(values, before)


@pytest.mark.parametrize(("shape", "axes"), [((3, 16, 20), 2), ((25, 3), 1), ((40,), 1)])
def test_cutmix_shares_are_the_papers(shape: tuple[int, ...], axes: int) -> None:
    """Against eq. 2 of the paper, drawn by NumPy a record at a time, with the cut at the edges."""
    chance = np.random.default_rng(0)
    sides = shape[1:] if len(shape) == 3 else shape[:1]
    wanted = []
    for _ in range(6000):
        kept = chance.beta(1.0, 1.0)
        area = 1.0
        for side in sides:
            size = round(side * (1 - kept) ** (1 / axes))
            centre = int(chance.integers(side))
            first, last = centre - size // 2, centre - size // 2 + size
            area *= max(min(last, side) - max(first, 0), 0) / side
        wanted.append(1 - area)
    got = CutMix(1.0).draw(torch.zeros(6000, *shape), rng()).share.numpy()
    levels = np.linspace(0.05, 0.95, 19)
    step = 1.01 / shape[0] if axes == 1 else 0.03  # shares of a row are whole cells
    np.testing.assert_allclose(np.quantile(got, levels), np.quantile(wanted, levels), atol=step)
    assert abs(got.mean() - np.mean(wanted)) < 0.01


MIXINGS: tuple[Mixing, ...] = (MixUp(0.75), MixUp(0.75, keep=True), CutMix(1.0))


@pytest.mark.parametrize("mixing", MIXINGS, ids=str)
def test_targets_are_blended_by_the_same_shares(mixing: Mixing) -> None:
    targets = torch.eye(4)[torch.tensor([0, 1, 2, 3, 0, 1])]
    mix = mixing.draw(numbers((6, 3, 8, 8)), rng(3))
    blended = mixing.blend(targets, mix).numpy()
    for i, (j, share) in enumerate(zip(mix.partner.tolist(), mix.share.tolist(), strict=True)):
        expected = share * targets[i].numpy() + (1 - share) * targets[j].numpy()
        np.testing.assert_allclose(blended[i], expected, atol=1e-6)
    np.testing.assert_allclose(blended.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("mixing", MIXINGS, ids=str)
def test_mixing_repeats_with_its_generator_and_passes_gradients(mixing: Mixing) -> None:
    values = numbers((8, 2, 6, 6)).requires_grad_()
    torch.manual_seed(1)
    first = mixing.apply(values, mixing.draw(values, rng(1)))
    torch.manual_seed(2)
    assert torch.equal(first, mixing.apply(values, mixing.draw(values, rng(1))))
    assert not torch.equal(first, mixing.apply(values, mixing.draw(values, rng(2))))
    first.sum().backward()
    # Each record is itself once and a partner once, with shares that sum to one a cell.
    assert values.grad is not None
    assert values.grad.sum().item() == pytest.approx(values.numel(), rel=1e-5)


def test_a_mix_of_shares_holds_for_any_layer() -> None:
    mix = Mix(torch.tensor([1, 0]), torch.tensor([0.25, 1.0]))
    for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5)):
        values = numbers(shape)
        mixed = MixUp(1.0).apply(values, mix)
        assert torch.allclose(mixed[0], 0.25 * values[0] + 0.75 * values[1])
        assert torch.equal(mixed[1], values[1])
