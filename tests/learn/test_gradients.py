"""Directions of edges, held against a plain transcription."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leaven.data.arrays import Arrays
from leaven.learn.models.gradients import Gradients


def plain_edges(pixels: np.ndarray) -> np.ndarray:
    """(8, h, w) of a picture (channels, h, w), pixel by pixel, by angles."""
    _, height, width = pixels.shape
    found = np.zeros((8, height, width))
    for row in range(height):
        for column in range(width):
            for one in pixels:
                left, right = one[row, max(column - 1, 0)], one[row, min(column + 1, width - 1)]
                above, below = one[max(row - 1, 0), column], one[min(row + 1, height - 1), column]
                strength = np.hypot(right - left, below - above)
                angle = np.arctan2(below - above, right - left)
                for direction in range(8):
                    near = np.cos(2 * (angle - direction * np.pi / 8))
                    found[direction, row, column] += max(near, 0) ** 3 * strength
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_edges_are_the_definition(channels: int):
    rng = np.random.default_rng(0)
    pixels = rng.uniform(size=(2, channels, 9, 11))
    found = Gradients(9, 11)._edges(torch.from_numpy(pixels).float())
    np.testing.assert_allclose(found, [plain_edges(one) for one in pixels], atol=1e-4)


def test_a_turned_picture_has_its_edges_in_the_other_direction():
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[..., ::4] = 1
    stripes[..., 1::4] = 1
    encoder = Gradients(16, 16)
    upright, lying = encoder._edges(stripes), encoder._edges(stripes.transpose(2, 3))
    assert upright.sum((0, 2, 3)).argmax() == 0
    assert lying.sum((0, 2, 3)).argmax() == 4
    assert not encoder._edges(torch.ones(1, 1, 16, 16)).abs().max() > 1e-3  # nothing is no edge


def test_strength_elsewhere_does_not_outvote_a_faint_region():
    rng = np.random.default_rng(0)
    pixels = (rng.uniform(size=(40, 1, 28, 28)) * 255).astype(np.uint8)
    arrays = Arrays({"pixels": pixels})
    encoder = Gradients(28, 28)
    encoder.prepare(arrays, np.arange(40), 0)
    assert encoder(arrays.batch(np.arange(40))).shape == (40, 256)
    told = encoder._told(torch.from_numpy(pixels[:1] / 255).float()).view(-1)
    fainter = torch.from_numpy(pixels[:1] / 255).float()
    fainter[..., :14] *= 0.4
    again = encoder._told(fainter).view(-1)
    # Four by four regions, as they are and by their own length.
    (whole, own), (fewer, kept) = ((one[:128], one[128:256]) for one in (told, again))
    assert (fewer / whole).view(8, 4, 4)[..., 0].max() < 0.45
    assert (kept / own).view(8, 4, 4)[..., 0].min() > 0.75
