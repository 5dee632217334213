"""Operations on cells do what they say, at the rate they say."""

from __future__ import annotations

import pytest
import torch

from leaven.data.views.table_ops import DropColumns, MixRows, Noise, SwapCells, cells


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.1), (0.3, 0.6), (0.6, 0.6), (0.0, 0.0)])
def test_swap_rate_is_the_told_one(low: float, high: float) -> None:
    size, count = 600, 100
    lenders = SwapCells(low, high).draw(size, count, rng())
    # A lender is another record, so each swapped cell shows.
    swapped = lenders != torch.arange(size)[:, None]
    shares = swapped.float().mean(1)
    assert abs(shares.mean().item() - (low + high) / 2) < 0.01
    if high > low:
        # One rate a record: the records' shares spread over the range.
        assert shares.std() > (high - low) / 12**0.5
    values = torch.arange(size * count).view(size, count).float()
    changed = SwapCells(low, high).apply(values, lenders)
    assert torch.equal(changed != values, swapped)


def test_a_rate_of_two_fifths_replaces_two_fifths_and_not_three() -> None:
    """A toolkit of the field corrupts what its rate says should stay."""
    values = torch.arange(500 * 40).view(500, 40)
    swap = SwapCells(0.4, 0.4)
    replaced = swap.apply(values, swap.draw(500, 40, rng())) != values
    # 20 000 cells: the deviation is 0.0035.
    assert abs(replaced.float().mean().item() - 0.4) < 0.015


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.3), (0.2, 1.0)])
def test_mixed_rows_by_definition(low: float, high: float) -> None:
    numbers = torch.randn(60, 5, generator=rng(1))
    numbers[torch.rand(60, 5, generator=rng(2)) < 0.2] = float("nan")
    levels = torch.randint(0, 9, (60, 3), generator=rng(3)).int()
    mix = MixRows(low, high)
    partner, share = drawn = mix.draw(60, rng())
    assert (partner != torch.arange(60)).all()
    assert share.min() >= low
    assert share.max() < high
    assert len(share.unique()) > 50, "one share a record"
    mixed, kept = mix.apply(numbers, drawn), mix.apply(levels, drawn)
    assert kept.dtype == levels.dtype
    for i, (j, part) in enumerate(zip(partner.tolist(), share.flatten().tolist(), strict=True)):
        nearer = i if part < 0.5 else j
        assert torch.equal(kept[i], levels[nearer])
        for column in range(5):
            one, other = numbers[i, column].item(), numbers[j, column].item()
            expected = (1 - part) * one + part * other
            if one != one or other != other:
                expected = numbers[nearer, column].item()
            assert mixed[i, column].item() == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_swap_takes_the_same_column_of_the_lender_and_keeps_marginals() -> None:
    size = 4000
    values = torch.stack([torch.randn(size, generator=rng(1)), torch.arange(size) % 4], 1)
    lenders = SwapCells(0.6, 0.6).draw(size, 2, rng())
    changed = SwapCells(0.6, 0.6).apply(values, lenders)
    for i in range(0, size, 97):
        for j in range(2):
            assert changed[i, j] == values[lenders[i, j], j]
    quantiles = torch.linspace(0.05, 0.95, 10)
    gap = changed[:, 0].quantile(quantiles) - values[:, 0].quantile(quantiles)
    assert gap.abs().max() < 0.12
    counts = torch.bincount(changed[:, 1].long())
    assert (counts - 1000).abs().max() < 150
    # … but a row's cells no longer belong together.
    assert abs((lenders[:, 0] == lenders[:, 1]).float().mean().item() - 0.16) < 0.03


def test_swap_in_a_batch_of_one_and_of_none() -> None:
    one = torch.tensor([[1.0, float("nan")]])
    swap = SwapCells(1.0, 1.0)
    assert torch.equal(swap.apply(one, swap.draw(1, 2, rng())).isnan(), one.isnan())
    assert swap.apply(torch.zeros(4, 0), swap.draw(4, 0, rng())).shape == (4, 0)


def test_cells_widths() -> None:
    assert cells([1, 2, 1], torch.device("cpu")).tolist() == [0, 1, 1, 2]
    assert cells([], torch.device("cpu")).shape == (0,)


def test_noise_follows_each_columns_deviation() -> None:
    values = torch.randn(5000, 3, generator=rng(1)) * torch.tensor([1.0, 10.0, 0.0])
    added = Noise(0.3)(values, rng()) - values
    ratio = added.std(0)[:2] / values.std(0)[:2]
    assert (ratio - 0.3).abs().max() < 0.02
    assert (added[:, 2] == 0).all()
    assert torch.equal(Noise(0.3)(values[:1], rng()), values[:1])


def test_drop_columns_sets_the_mean_at_the_told_rate() -> None:
    values = torch.randn(400, 200, generator=rng(1)) + 5
    drawn = DropColumns(0.2, 0.5).draw(values, rng())
    dropped = DropColumns(0.2, 0.5).apply(values, drawn)
    assert abs(drawn.float().mean().item() - 0.35) < 0.02
    assert torch.equal(dropped[~drawn], values[~drawn])
    assert torch.allclose(dropped[drawn], values.mean(0).expand_as(values)[drawn])
