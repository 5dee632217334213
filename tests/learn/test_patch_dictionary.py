"""Codes of patches of pictures: what they are, what changes them, and what they are good for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from leaven.data.arrays import Arrays
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.patch_codes import PatchCodes, SoftComponents, overlapping

Bytes = npt.NDArray[np.uint8]


def _drawn(n: int, channels: int, height: int, width: int) -> Bytes:
    """Blobs of one or two sizes, unlike noise: dictionaries have something to find."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    pictures = np.zeros((n, channels, height, width))
    for picture in pictures:
        for _ in range(4):
            y, x = rng.uniform(0, (height, width))
            near = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / rng.uniform(2, 20))
            picture += rng.uniform(0, 1, (channels, 1, 1)) * near
    return (pictures / pictures.max() * 255).astype(np.uint8)


def _prepared(pixels: Bytes, name: str = "patch-dictionary", seed: int = 0) -> Encoder:
    kind = ENCODERS[name]
    _, channels, height, width = pixels.shape
    encoder = kind(
        **kind.configure({"channels": channels, "height": height, "width": width})
    ).eval()
    encoder.prepare(Arrays({"pixels": pixels}), np.arange(len(pixels)), seed)
    return encoder


def _features(encoder: Encoder, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        found: npt.NDArray[np.float32] = encoder(
            {"pixels": torch.from_numpy(pixels.astype(np.float32) / 255)}
        ).numpy()
    return found


def test_codes_are_those_of_a_slow_transcription():
    rng = torch.Generator().manual_seed(0)
    maps = torch.from_numpy(_drawn(6, 3, 9, 8).astype(np.float32) / 255)
    codes = PatchCodes(3, (4, 3), 5, contrast=0.02, whitening=0.1, threshold=0.3)
    codes.learn(maps, rng)
    down, along = overlapping(6, 2), overlapping(6, 3)
    found = codes(maps, down, along).numpy()

    # The direction of an atom in the space of normalised patches, and its constant.
    filters, biases = codes.filters.numpy().astype(np.float64), codes.biases.numpy()
    wanted = np.zeros_like(found)
    for n, picture in enumerate(maps.numpy().astype(np.float64)):
        for row in range(6):
            for column in range(6):
                patch = picture[:, row : row + 4, column : column + 3]
                normal = (patch - patch.mean()) / np.sqrt(patch.var() + 0.02)
                for atom in range(5):
                    far = (filters[atom] * normal).sum() - biases[atom]
                    weight = np.outer(down[:, row], along[:, column])
                    wanted[n, atom] += weight * max(far - 0.3, 0)
                    wanted[n, 5 + atom] += weight * max(-far - 0.3, 0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_projections_of_whitened_patches_have_no_common_direction():
    maps = torch.from_numpy(_drawn(200, 1, 12, 12).astype(np.float32) / 255)
    codes = PatchCodes(1, (3, 3), 9, contrast=0.01, whitening=1e-4)
    codes.learn(maps, torch.Generator().manual_seed(0))
    far = codes.projected(maps).flatten(2).transpose(1, 2).flatten(0, 1)
    # Unit directions in a space where every direction has variance one.
    assert far.mean(0).abs().max() < 0.1
    assert 0.5 < far.var(0).mean() < 1.5


def test_components_are_uncorrelated_and_softened():
    values = torch.randn(300, 12, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.arange(12.0, 0, -1)
    )
    for softness in (0.0, 0.5, 1.0):
        part = SoftComponents(12, 5, softness)
        part.learn(values, torch.ones(12))
        found = part(values)
        covariance = found.T @ found / 299
        raw = torch.linalg.eigvalsh(torch.cov(values.T)).flip(0)[:5]
        torch.testing.assert_close(
            covariance, torch.diag(raw ** (1 - softness)), atol=2e-2, rtol=1e-3
        )
    few = SoftComponents(12, 10)
    few.learn(values[:6], torch.ones(12))
    many = SoftComponents(12, 5)
    many.learn(values[:6].repeat(3, 1), torch.ones(12))
    ratio = few(values)[:, :5].abs() / many(values).abs()
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), atol=1e-2, rtol=1e-2)


def test_regions_share_out_every_place():
    for places, regions in ((28, 4), (5, 2), (3, 4), (1, 4)):
        weights = overlapping(places, regions)
        assert weights.shape == (regions, places)
        torch.testing.assert_close(weights.sum(1), torch.ones(regions))
        assert (weights.sum(0) > 0).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_and_contrast_change_little(channels: int):
    pixels = _drawn(150, channels, 20, 20)
    encoder = _prepared(pixels)
    before = _features(encoder, pixels)
    between = np.linalg.norm(before - before[::-1], axis=1).mean()
    for after in (pixels * 0.7, pixels * 0.7 + 60):
        moved = np.linalg.norm(_features(encoder, after) - before, axis=1).mean()
        assert moved < 0.3 * between


def test_seeded_and_saved():
    pixels = _drawn(80, 1, 16, 16)
    one, again, other = _prepared(pixels), _prepared(pixels), _prepared(pixels, seed=1)
    np.testing.assert_array_equal(_features(one, pixels), _features(again, pixels))
    assert not np.array_equal(_features(one, pixels), _features(other, pixels))
    loaded = type(one)(**one.config).eval()
    loaded.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(_features(one, pixels), _features(loaded, pixels))


@pytest.mark.parametrize(
    ("channels", "height", "width"),
    [(1, 8, 8), (3, 8, 40), (3, 224, 224), (1, 96, 8), (1, 2, 2)],
)
def test_any_size_and_flat_pictures(channels: int, height: int, width: int):
    pixels = _drawn(12, channels, height, width)
    pixels[:3] = 0
    pixels[3:5] = 255
    encoder = _prepared(pixels)
    found = _features(encoder, pixels)
    assert found.shape == (12, encoder.width)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    flat = np.full_like(pixels, 77)
    assert np.isfinite(_features(_prepared(flat), pixels)).all()
    assert np.isfinite(_features(_prepared(pixels[:1]), pixels)).all()


def test_neighbours_of_shifted_digits_are_better_than_by_pixels():
    digits, classes = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    framed = np.pad(digits.reshape(-1, 8, 8) / 16 * 255, ((0, 0), (3, 3), (3, 3)))
    moved = np.stack([shift(one, rng.integers(-2, 3, 2), order=0) for one in framed])
    pixels = moved[:, None].clip(0, 255).astype(np.uint8)
    right = {}
    for name in ("pixel-components", "patch-dictionary"):
        found = _features(_prepared(pixels[:1300], name), pixels)
        nearest = KNeighborsClassifier(1).fit(found[:300], classes[:300])
        right[name] = nearest.score(found[1300:], classes[1300:])
    assert right["patch-dictionary"] > right["pixel-components"] + 0.05, right
