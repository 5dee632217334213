"""Contrastive and local views equal their definitions record by record, and draw what they say."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leaven.data.arrays import Batch
from leaven.data.modality import MODALITIES
from leaven.data.views.corrupting import CorruptCells
from leaven.data.views.cropping import CropResized, smaller
from leaven.data.views.jitter import Blur, Inverted, Jitter

Floats = npt.NDArray[np.float64]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, channels: int = 3, height: int = 12, width: int = 10) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=rng(5))


def oracle_crop(record: Floats, box: list[float], height: int, width: int) -> Floats:
    """Bilinear reading of a rectangle (left, top, width, height), edges repeated."""
    channels, h, w = record.shape
    out = np.zeros((channels, height, width))
    for i in range(height):
        for j in range(width):
            column = (box[0] + box[2] * (j + 0.5) / width) * w - 0.5
            row = (box[1] + box[3] * (i + 0.5) / height) * h - 0.5
            column, row = min(max(column, 0), w - 1), min(max(row, 0), h - 1)
            left, top = int(column), int(row)
            right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
            across, down = column - left, row - top
            out[:, i, j] = (1 - down) * (
                (1 - across) * record[:, top, left] + across * record[:, top, right]
            ) + down * ((1 - across) * record[:, bottom, left] + across * record[:, bottom, right])
    return out


@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    side=st.integers(1, 9),
    least=st.floats(0.05, 0.9),
)
def test_crop_equals_its_definition(height: int, width: int, side: int, least: float) -> None:
    pixels = pictures(3, 2, height, width)
    crop = CropResized(least)
    drawn = crop.draw(pixels, rng(1))
    for shape in ((height, width), (side, side + 1)):
        got = crop.apply(pixels, drawn, shape)
        for record, box, one in zip(pixels, drawn.tolist(), got, strict=True):
            np.testing.assert_allclose(one, oracle_crop(record.double().numpy(), box, *shape), atol=1e-4)  # fmt: skip  # noqa: E501
    assert torch.equal(crop.apply(pixels, drawn), crop.apply(pixels, drawn, (height, width)))


def test_crop_draws_area_ratio_and_place() -> None:
    drawn = CropResized(0.05, 0.2).draw(torch.zeros(4000, 1, 8, 8), rng())
    left, top, width, height = drawn.double().T
    area, slant = width * height, width / height
    assert area.min() >= 0.05 - 1e-6
    assert area.max() < 0.2
    assert abs(area.mean() - 0.125) < 0.003
    assert slant.min() >= 3 / 4 - 1e-5
    assert slant.max() <= 4 / 3 + 1e-5
    assert abs((slant > 1).double().mean() - 0.5) < 0.03
    assert abs(slant.log().std() - 2 * math.log(4 / 3) / math.sqrt(12)) < 0.01
    for start, size in ((left, width), (top, height)):
        assert start.min() >= 0
        assert (start + size).max() <= 1 + 1e-6
        assert abs((start / (1 - size)).mean() - 0.5) < 0.02
    assert len(drawn.unique(dim=0)) == 4000, "one rectangle a record"
    whole = CropResized(1.0, 1.0).draw(torch.zeros(50, 1, 8, 8), rng())
    assert (whole[:, 2:].amax(1) == 1).all(), "what is longer than the picture is cut to it"


def oracle_jitter(record: Floats, values: list[float]) -> Floats:
    """Light, contrast, and colour turned in YUV, of which YIQ is a turn; pixel by pixel."""
    bright, contrast, saturation, turn = values
    weights = np.array([0.299, 0.587, 0.114])
    lit = record * bright
    mean = np.mean([weights @ pixel if len(pixel) == 3 else pixel[0] for pixel in lit.reshape(len(lit), -1).T])  # fmt: skip  # noqa: E501
    lit = mean + contrast * (lit - mean)
    if len(record) == 3:
        for i in range(record.shape[1]):
            for j in range(record.shape[2]):
                red, _, blue = lit[:, i, j]
                light = weights @ lit[:, i, j]
                v, u = 0.877 * (red - light) * saturation, 0.492 * (blue - light) * saturation
                cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
                v, u = cos * v - sin * u, sin * v + cos * u
                red, blue = light + v / 0.877, light + u / 0.492
                green = (light - weights[0] * red - weights[2] * blue) / weights[1]
                lit[:, i, j] = red, green, blue
    return lit.clip(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_equals_its_definition(channels: int) -> None:
    pixels = pictures(12, channels, 5, 6)
    before = pixels.clone()
    jitter = Jitter()
    drawn = jitter.draw(pixels, rng(2))
    got = jitter.apply(pixels, drawn)
    for record, values, one in zip(pixels, drawn.tolist(), got, strict=True):
        expected = oracle_jitter(record.double().numpy(), values)
        np.testing.assert_allclose(one, expected, atol=3e-3)  # NTSC's numbers are rounded
    alone = [jitter.apply(pixels[i : i + 1], drawn[i : i + 1]) for i in range(12)]
    torch.testing.assert_close(torch.cat(alone), got)
    assert torch.equal(pixels, before), "the input must stay as it was"


def test_jitter_draws_what_it_says() -> None:
    drawn = Jitter(0.4, 0.3, 0.2, 0.1, chance=0.8, grey=0.2).draw(torch.zeros(8000, 3, 1, 1), rng())
    none = (drawn[:, :2] == 1).all(1) & (drawn[:, 3] == 0)
    assert abs(none.float().mean() - 0.2) < 0.02
    assert abs((drawn[:, 2] == 0).float().mean() - 0.2) < 0.02
    changed, coloured = drawn[~none], drawn[~none & (drawn[:, 2] > 0)]
    for values, middle, reach in (
        (changed[:, 0], 1, 0.4),
        (changed[:, 1], 1, 0.3),
        (coloured[:, 2], 1, 0.2),
        (changed[:, 3], 0, 0.1),
    ):
        away = values - middle
        assert away.abs().max() <= reach + 1e-6
        assert abs(away.mean()) < 0.05 * reach
        assert abs(away.std() - reach / math.sqrt(3)) < 0.03 * reach


def test_a_grey_record_has_no_colour_and_keeps_its_light() -> None:
    pixels = pictures(1).mul(0.8).add(0.1)
    grey = Jitter().apply(pixels, torch.tensor([[1.0, 1.0, 0.0, 0.07]]))
    light = 0.299 * pixels[:, 0] + 0.587 * pixels[:, 1] + 0.114 * pixels[:, 2]
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], light, atol=1e-3, rtol=0)
    same = Jitter().apply(pixels, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    torch.testing.assert_close(same, pixels)


def test_blur_equals_its_definition() -> None:
    pixels = pictures(4, 1, 6, 7)
    drawn = torch.tensor([0.0, 0.1, 0.2, 0.25])
    got = Blur().apply(pixels, drawn)
    for record, s, one in zip(pixels[:, 0].double().numpy(), drawn.tolist(), got[:, 0], strict=True):  # fmt: skip  # noqa: E501
        padded = np.pad(record, 1, mode="edge")
        kernel = np.outer([s, 1 - 2 * s, s], [s, 1 - 2 * s, s])
        expected = [
            [(padded[i : i + 3, j : j + 3] * kernel).sum() for j in range(7)] for i in range(6)
        ]
        np.testing.assert_allclose(one, expected, atol=1e-6)
    often = Blur(0.5).draw(torch.zeros(4000, 1, 1, 1), rng())
    assert abs((often > 0).float().mean() - 0.5) < 0.03
    assert 0.24 < often.max() < 0.25


def test_inverted_equals_its_definition() -> None:
    pixels = pictures(400, 1, 2, 2)
    drawn = Inverted(0.3).draw(pixels, rng())
    for record, which, one in zip(pixels, drawn.tolist(), Inverted().apply(pixels, drawn), strict=True):  # fmt: skip  # noqa: E501
        for before, after in zip(record.flatten().tolist(), one.flatten().tolist(), strict=True):
            expected = 1 - before if which and before >= 0.5 else before
            assert after == pytest.approx(expected, abs=1e-6)
    assert abs(drawn.mean() - 0.3) < 0.08


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (28, 20), (9, 40)])
def test_image_views_have_their_shape_and_range(channels: int, height: int, width: int) -> None:
    image = MODALITIES["image"]
    pixels = (255 * pictures(40, channels, height, width)).to(torch.uint8)
    spec = {"channels": channels, "height": height, "width": width}
    whole = image.contrastive({"pixels": pixels}, spec, rng(1))["pixels"]
    part = image.local({"pixels": pixels}, spec, rng(1))["pixels"]
    assert whole.shape == pixels.shape
    assert part.shape == (40, channels, smaller(height), smaller(width))
    for view in (whole, part):
        assert view.dtype == torch.float32
        assert view.min() >= 0
        assert view.max() <= 1
        assert len(view.flatten(1).unique(dim=0)) == 40
    again = image.contrastive({"pixels": pixels}, spec, rng(1))["pixels"]
    assert torch.equal(whole, again)
    other = image.contrastive({"pixels": pixels}, spec, rng(2))["pixels"]
    assert not torch.equal(whole, other)


def test_smaller_sides_are_half_and_can_be_divided_by_four() -> None:
    for side in range(8, 100):
        half = smaller(side)
        assert half % 4 == 0 or half == side
        assert 8 <= half <= side
        assert half - side / 2 <= 4


def test_colour_pictures_are_mirrored_and_grey_ones_are_not() -> None:
    """Light falls from the left, whatever is cut out and however it is lit."""
    image = MODALITIES["image"]
    slope = torch.linspace(60, 180, 16).expand(400, 3, 16, 16).to(torch.uint8)
    shares = []
    for channels in (1, 3):
        spec = {"channels": channels, "height": 16, "width": 16}
        seen = image.contrastive({"pixels": slope[:, :channels]}, spec, rng())["pixels"]
        rises = seen[:, :, :, -1].mean((1, 2)) > seen[:, :, :, 0].mean((1, 2))
        shares.append(rises.float().mean().item())
    assert shares[0] == 1
    assert 0.4 < shares[1] < 0.6


@given(
    count=st.integers(1, 30),
    tenths=st.integers(1, 10),
    seed=st.integers(0, 9),
)
def test_exactly_the_stated_share_of_each_row_is_corrupted(
    count: int, tenths: int, seed: int
) -> None:
    lenders = CorruptCells(tenths / 10).draw(20, count, rng(seed))
    changed = (lenders != torch.arange(20)[:, None]).sum(1)
    assert (changed == max(1, tenths * count // 10)).all()


def test_six_tenths_are_corrupted_and_not_four() -> None:
    """A toolkit of the field keeps the share that it is told to corrupt."""
    values = torch.arange(300 * 10).view(300, 10)
    corrupt = CorruptCells(0.6)
    changed = corrupt.apply(values, corrupt.draw(300, 10, rng())) != values
    assert (changed.sum(1) == 6).all()
    # Each column as often as the others: 300 rows, the deviation is 8.5.
    assert (changed.sum(0) - 180).abs().max() < 40


def test_corrupted_values_are_as_the_column_holds_them_and_not_even_over_its_range() -> None:
    """A toolkit of the field draws evenly between the smallest and the largest value."""
    values = torch.randn(3000, 2, generator=rng(1)).mul(2).exp()
    corrupt = CorruptCells(1.0)
    lenders = corrupt.draw(3000, 2, rng())
    changed = corrupt.apply(values, lenders)
    for i in range(0, 3000, 101):
        for j in range(2):
            assert changed[i, j] == values[lenders[i, j], j]
    quantiles = torch.linspace(0.1, 0.9, 9)
    gap = changed[:, 0].log().quantile(quantiles) - values[:, 0].log().quantile(quantiles)
    assert gap.abs().max() < 0.25  # evenly drawn, the median would be 5 higher
    assert (lenders[:, 0] == lenders[:, 1]).float().mean() < 0.01, "each cell has its own lender"


def test_the_contrastive_view_of_a_table_corrupts_whole_cells() -> None:
    """64 buckets of a text are one cell of five, beside two numbers and two categories."""
    tabular = MODALITIES["tabular"]
    spec = {"numeric": ["a", "b"], "categorical": {"c": [], "d": []}, "text": ["e"]}
    own = torch.arange(50)[:, None]
    batch: Batch = {"numeric": own.float().expand(50, 66), "codes": own.int().expand(50, 2)}
    view = tabular.contrastive(batch, spec, rng())
    numbers, codes = view["numeric"].long(), view["codes"].long()
    assert (numbers[:, 2:] == numbers[:, 2:3]).all()
    cells = torch.cat([numbers[:, :3], codes], 1)
    assert ((cells != own).sum(1) == 3).all()


def test_the_contrastive_view_of_a_text_keeps_the_order_and_more_words_than_the_strong_one() -> (
    None
):
    text = MODALITIES["text"]
    tokens = torch.arange(1, 41, dtype=torch.int32).expand(300, 40)
    mild = text.contrastive({"tokens": tokens}, {}, rng())["tokens"]
    strong = text.strong({"tokens": tokens}, {}, rng())["tokens"]
    assert mild.shape == tokens.shape
    kept = [row[row > 0] for row in mild]
    assert all((row[1:] > row[:-1]).all() for row in kept)
    assert 0.7 < np.mean([len(row) / 40 for row in kept]) < 0.85
    assert (strong > 0).sum() < (mild > 0).sum()
    # Some words are gone together: a span.
    assert max(int((row[1:] - row[:-1]).max()) for row in kept) >= 5
    assert torch.equal(mild, text.contrastive({"tokens": tokens}, {}, rng())["tokens"])
