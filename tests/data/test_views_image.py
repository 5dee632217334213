"""Batched image operations equal their definition record by record, and Pillow's where it has one.

Each oracle takes one record as NumPy and the parameters that were drawn for it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageEnhance, ImageOps

from leaven.data.views.choosing import Choice, Choose, RandAugment
from leaven.data.views.draws import compose, others, uniform
from leaven.data.views.geometric import (
    Geometric,
    Rotate,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
)
from leaven.data.views.image_ops import Cutout, Flip, Shift, unit
from leaven.data.views.photometric import (
    AutoContrast,
    Brightness,
    Colour,
    Contrast,
    Equalise,
    Identity,
    Photometric,
    Posterise,
    Sharpness,
    Solarise,
)

Floats = npt.NDArray[np.float64]

PHOTOMETRIC: tuple[Photometric, ...] = (
    Identity(),
    AutoContrast(),
    Brightness(),
    Colour(),
    Contrast(),
    Equalise(),
    Posterise(),
    Sharpness(),
    Solarise(),
)
GEOMETRIC: tuple[Geometric, ...] = (Rotate(), ShearX(), ShearY(), TranslateX(), TranslateY())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, channels: int = 3, height: int = 12, width: int = 10) -> torch.Tensor:
    shape = (n, channels, height, width)
    return torch.randint(0, 256, shape, generator=rng(5)).to(torch.uint8)


def pillow(pixels: torch.Tensor) -> Image.Image:
    """One record (c, h, w) in [0, 1] as a Pillow picture."""
    array = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def levels(pixels: torch.Tensor) -> npt.NDArray[np.int64]:
    return np.rint(pixels.numpy().astype(np.float64) * 255).astype(np.int64)


def oracle_photometric(operation: Photometric, picture: Image.Image, value: float) -> Image.Image:
    """What Pillow makes of it."""
    match operation:
        case AutoContrast():
            return ImageOps.autocontrast(picture)
        case Equalise():
            return ImageOps.equalize(picture)
        case Posterise():
            return ImageOps.posterize(picture, int(value))
        case Brightness():
            return ImageEnhance.Brightness(picture).enhance(value)
        case Colour():
            return ImageEnhance.Color(picture).enhance(value)
        case Contrast():
            return ImageEnhance.Contrast(picture).enhance(value)
        case Sharpness():
            return ImageEnhance.Sharpness(picture).enhance(value)
        case Solarise():
            # Pillow's threshold is a level: x is inverted where x >= threshold.
            return ImageOps.solarize(picture, math.ceil(value * 255))
    return picture


@pytest.mark.parametrize("operation", PHOTOMETRIC, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("channels", [1, 3])
def test_photometric_equals_pillow(operation: Photometric, channels: int) -> None:
    pixels = unit(pictures(24, channels))
    pixels[0] = 0.4  # a flat record
    parameter = uniform((24,), rng(1), operation.low, operation.high)
    batched = operation.apply(pixels, parameter)
    assert batched.dtype == torch.float32
    assert batched.min() >= 0
    assert batched.max() <= 1
    for record, value, got in zip(pixels, parameter.tolist(), batched, strict=True):
        expected = np.asarray(oracle_photometric(operation, pillow(record), value)).astype(int)
        expected = expected[None] if channels == 1 else expected.transpose(2, 0, 1)
        # Pillow rounds its blends to whole levels, and a mean or a smoothing before them.
        assert np.abs(levels(got) - expected).max() <= 2


def test_exact_operations_are_exact() -> None:
    pixels = unit(pictures(40, 3, 40, 50))  # enough pixels for Equalise to have levels to fill
    parameter = uniform((40,), rng(2), 4, 9)
    for operation in (Equalise(), Posterise()):
        for record, value, got in zip(
            pixels, parameter.tolist(), operation.apply(pixels, parameter), strict=True
        ):
            expected = np.asarray(oracle_photometric(operation, pillow(record), value))
            assert (levels(got) == expected.transpose(2, 0, 1)).all()


def test_posterise_keeps_four_to_eight_bits() -> None:
    bits = uniform((4000,), rng(), Posterise().low, Posterise().high).floor()
    assert set(bits.tolist()) == {4.0, 5.0, 6.0, 7.0, 8.0}


def oracle_warp(record: Floats, matrix: Floats) -> Floats:
    """Bilinear reading at matrix @ place, edges repeated; loops over pixels."""
    h, w = record.shape[1:]
    out = np.zeros_like(record)
    for i in range(h):
        for j in range(w):
            x, y, _ = matrix @ np.array([j + 0.5 - w / 2, i + 0.5 - h / 2, 1.0])
            column = min(max(x + w / 2 - 0.5, 0), w - 1)
            row = min(max(y + h / 2 - 0.5, 0), h - 1)
            left, top = int(column), int(row)
            right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
            across, down = column - left, row - top
            out[:, i, j] = (1 - down) * (
                (1 - across) * record[:, top, left] + across * record[:, top, right]
            ) + down * ((1 - across) * record[:, bottom, left] + across * record[:, bottom, right])
    return out


def oracle_matrix(operation: Geometric, value: float, height: int, width: int) -> Floats:
    matrix = np.eye(3)
    match operation:
        case Rotate():
            turn = math.radians(value)
            matrix[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        case ShearX():
            matrix[0, 1] = value
        case ShearY():
            matrix[1, 0] = value
        case TranslateX():
            matrix[0, 2] = value * width
        case TranslateY():
            matrix[1, 2] = value * height
    return matrix


def test_choose_equals_its_definition_record_by_record() -> None:
    operations = (*PHOTOMETRIC, *GEOMETRIC)
    choose = Choose(operations)
    pixels = unit(pictures(60))
    drawn = choose.draw(pixels, rng(3))
    batched = choose.apply(pixels, drawn)
    for i in range(len(pixels)):
        which, magnitude = drawn.which[i].tolist(), drawn.magnitude[i].tolist()
        chosen = [operations[k] for k in which]
        values = [o.low + (o.high - o.low) * m for o, m in zip(chosen, magnitude, strict=True)]
        matrix = np.eye(3)
        for operation, value in zip(chosen, values, strict=True):
            if isinstance(operation, Geometric):
                matrix = matrix @ oracle_matrix(operation, value, 12, 10)
        warped = oracle_warp(pixels[i].double().numpy(), matrix)
        record = torch.from_numpy(warped).float()[None]
        discontinuous = False
        for operation, value in zip(chosen, values, strict=True):
            if isinstance(operation, Photometric):
                record = operation.apply(record, torch.tensor([value]))
                discontinuous |= isinstance(operation, Equalise | Posterise | Solarise)
        far = (record[0] - batched[i]).abs() > 1e-4
        # A rounding at the edge of a level or threshold may fall to either side.
        assert far.float().mean() <= (0.1 if discontinuous else 0)


def test_choose_one_record_at_a_time_is_the_same() -> None:
    choose = Choose((*PHOTOMETRIC, *GEOMETRIC))
    pixels = unit(pictures(30, 3, 9, 13))
    drawn = choose.draw(pixels, rng(4))
    batched = choose.apply(pixels, drawn)
    alone = [
        choose.apply(pixels[i : i + 1], Choice(drawn.which[i : i + 1], drawn.magnitude[i : i + 1]))
        for i in range(30)
    ]
    assert torch.allclose(torch.cat(alone), batched, atol=1e-5)
    assert torch.equal(pixels, unit(pictures(30, 3, 9, 13))), "the input must stay as it was"


def test_choose_draws_every_operation_about_equally() -> None:
    drawn = Choose((*PHOTOMETRIC, *GEOMETRIC)).draw(torch.zeros(7000, 1, 1, 1), rng())
    counts = torch.bincount(drawn.which.flatten(), minlength=14)
    assert (counts - 1000).abs().max() < 150  # 14 000 draws over 14; five standard deviations
    # Each record has its own.
    assert len({tuple(row) for row in drawn.which.tolist()}) == 14 * 14


def test_choose_of_any_count_joins_maps_in_the_order_drawn() -> None:
    operations = (Rotate(), TranslateX())
    pixels = unit(pictures(2, 1, 11, 11))
    drawn = Choice(torch.tensor([[0, 1, 1], [1, 0, 1]]), torch.tensor([[0.9, 0.7, 0.1]] * 2))
    got = Choose(operations, count=3).apply(pixels, drawn)
    for i in range(2):
        matrix = np.eye(3)
        for k, m in zip(drawn.which[i].tolist(), drawn.magnitude[i].tolist(), strict=True):
            operation = operations[k]
            value = operation.low + (operation.high - operation.low) * m
            matrix = matrix @ oracle_matrix(operation, value, 11, 11)
        np.testing.assert_allclose(
            got[i], oracle_warp(pixels[i].double().numpy(), matrix), atol=1e-5
        )


@pytest.mark.parametrize("magnitude", [0.0, 0.3, 1.0])
def test_randaugment_has_one_magnitude(magnitude: float) -> None:
    operations = (*GEOMETRIC, *PHOTOMETRIC)
    augment = RandAugment(operations, 3, magnitude)
    drawn = augment.draw(torch.zeros(4000, 1, 1, 1), rng())
    assert drawn.which.shape == (4000, 3)
    counts = torch.bincount(drawn.which.flatten(), minlength=14)
    assert (counts - 12_000 / 14).abs().max() < 150
    geometric = drawn.which < len(GEOMETRIC)
    # From the middle of a range to either end; a photometric range is hardest at its low end.
    away = (drawn.magnitude[geometric] - 0.5) * 2
    assert torch.allclose(away.abs(), torch.tensor(magnitude))
    assert magnitude == 0 or abs((away > 0).float().mean().item() - 0.5) < 0.05
    assert torch.allclose(drawn.magnitude[~geometric], torch.tensor(1 - magnitude))


def test_randaugment_goes_from_nothing_to_the_hardest() -> None:
    pixels = unit(pictures(200).clamp_(max=254))  # even the mildest Solarise inverts white
    steered = (*GEOMETRIC, Posterise(), Solarise(), Brightness(0.0, 1.0), Contrast(0.0, 1.0))
    mild = RandAugment(steered, 2, 0.0)(pixels, rng())
    assert torch.allclose(mild, pixels, atol=1e-5)
    apart = [
        (RandAugment(steered, 2, magnitude)(pixels, rng()) - pixels).square().mean().item()
        for magnitude in (0.25, 0.5, 1.0)
    ]
    assert apart == sorted(apart)
    black = RandAugment((Brightness(0.0, 1.0),), 1, 1.0)(pixels, rng())
    assert (black == 0).all()


@given(
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    channels=st.sampled_from([1, 3]),
    share=st.floats(0, 1),
)
def test_shift_equals_reflection_padding(
    height: int, width: int, channels: int, share: float
) -> None:
    pixels = pictures(5, channels, height, width)
    shift = Shift(share)
    drawn = shift.draw(pixels, rng(6))
    moved = shift.apply(pixels, drawn)
    assert moved.dtype == torch.uint8
    for record, (down, right), got in zip(pixels.numpy(), drawn.tolist(), moved, strict=True):
        assert abs(down) <= min(round(height * share), height - 1)
        assert abs(right) <= min(round(width * share), width - 1)
        padded = np.pad(record, ((0, 0), (height - 1,) * 2, (width - 1,) * 2), mode="reflect")
        top, left = height - 1 + down, width - 1 + right
        assert (got.numpy() == padded[:, top : top + height, left : left + width]).all()


def test_shift_reaches_every_step_equally() -> None:
    drawn = Shift(0.125).draw(torch.zeros(9000, 1, 32, 32), rng())
    steps, counts = drawn[:, 0].unique(return_counts=True)
    assert steps.tolist() == list(range(-4, 5))
    assert (counts - 1000).abs().max() < 150


def test_flip_mirrors_half() -> None:
    pixels = pictures(2000, 1, 2, 3)
    drawn = Flip().draw(pixels, rng())
    flipped = Flip().apply(pixels, drawn)
    for record, mirrored, got in zip(pixels[:50], drawn.tolist(), flipped, strict=False):
        expected = ImageOps.mirror(pillow(unit(record))) if mirrored else pillow(unit(record))
        assert ImageChops.difference(expected, pillow(unit(got))).getbbox() is None
    assert abs(drawn.float().mean().item() - 0.5) < 0.05


def test_cutout_covers_one_square_with_the_mean() -> None:
    pixels = unit(pictures(300, 3, 16, 20))
    cutout = Cutout(0.5)
    drawn = cutout.draw(pixels, rng())
    covered = cutout.apply(pixels, drawn)
    sides = set()
    for record, (top, bottom, left, right), got in zip(
        pixels.numpy(), drawn.tolist(), covered.numpy(), strict=True
    ):
        assert bottom - top == right - left
        sides.add(bottom - top)
        expected = record.copy()
        rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
        expected[:, rows, columns] = record.mean((1, 2))[:, None, None]
        np.testing.assert_allclose(got, expected, atol=1e-5)
    assert sides == set(range(9))


def test_others_is_uniform_and_never_oneself() -> None:
    drawn = others((5, 8000), rng())
    counts = torch.stack([torch.bincount(row, minlength=5) for row in drawn])
    assert (counts.diagonal() == 0).all()
    assert (counts[~torch.eye(5, dtype=torch.bool)] - 2000).abs().max() < 200
    assert others((1, 3), rng()).tolist() == [[0, 0, 0]]


def test_compose_repeats_with_the_seed_and_leaves_its_input() -> None:
    pixels = unit(pictures(8))
    before = pixels.clone()
    operations = (Shift(0.2), Flip(), Choose((*PHOTOMETRIC, *GEOMETRIC)), Cutout(0.5))
    first = compose(operations, pixels, rng(1))
    assert torch.equal(first, compose(operations, pixels, rng(1)))
    assert not torch.equal(first, compose(operations, pixels, rng(2)))
    assert torch.equal(pixels, before)
