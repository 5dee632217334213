"""Residual networks compute what their paper writes, normalised record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.learn.models.resnet import ResNet, ResNet50

Maps = npt.NDArray[np.float64]


def small(bottleneck: bool = False, large: bool = False) -> ResNet:
    """One block a stage, its scales and shifts not the initial ones."""
    torch.manual_seed(1)
    encoder = ResNet(channels=2, blocks=[1, 1, 1, 1], bottleneck=bottleneck, large=large)
    for name, tensor in encoder.named_parameters():
        if tensor.ndim == 1:
            torch.nn.init.normal_(tensor, 1.0 if name.endswith("weight") else 0.0, 0.3)
    encoder.mean.fill_(0.4)
    encoder.deviation.fill_(0.2)
    return encoder.eval()


def pictures(n: int, height: int, width: int) -> torch.Tensor:
    return torch.rand((n, 2, height, width), generator=torch.Generator().manual_seed(2))


# --- The slow transcription ---------------------------------------------------------------------


def convolved(maps: Maps, weight: Maps, stride: int) -> Maps:
    """One record (c, h, w), place by place, zeros around it."""
    outputs, _, size, _ = weight.shape
    edge = size // 2
    padded = np.pad(maps, ((0, 0), (edge, edge), (edge, edge)))
    height, width = (-(-side // stride) for side in maps.shape[1:])
    result = np.empty((outputs, height, width))
    for i in range(height):
        for j in range(width):
            patch = padded[:, i * stride : i * stride + size, j * stride : j * stride + size]
            result[:, i, j] = (weight * patch).sum((1, 2, 3))
    return result


def normed(maps: Maps, of: dict[str, Maps], name: str, stride: int) -> Maps:
    """Convolved; less the mean of all numbers of the record, by their deviation; scaled, moved."""
    maps = convolved(maps, of[f"{name}.0.weight"], stride)
    maps = (maps - maps.mean()) / np.sqrt(maps.var() + 1e-5)
    return maps * of[f"{name}.1.weight"][:, None, None] + of[f"{name}.1.bias"][:, None, None]


def largest(maps: Maps) -> Maps:
    """The maximum of 3×3 places, every second one."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = (-(-side // 2) for side in maps.shape[1:])
    return np.stack(
        [
            [padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2)) for j in range(width)]
            for i in range(height)
        ]
    ).transpose(2, 0, 1)


def transcribed(encoder: ResNet, picture: Maps) -> Maps:
    """(width,) features of one picture."""
    of = {name: tensor.double().numpy() for name, tensor in encoder.state_dict().items()}
    maps = (picture - of["mean"][0]) / of["deviation"][0]
    maps = np.maximum(normed(maps, of, "stem", 2 if encoder.config["large"] else 1), 0)
    if encoder.config["large"]:
        maps = largest(maps)
    # By the layer's place in the body: which convolutions have the stride.
    steps = {0: 1, 2: 2, 4: 1} if encoder.config["bottleneck"] else {0: 2, 2: 1}
    for number in range(4):
        name, inner = f"blocks.{number}", maps
        for place, stride in steps.items():
            inner = normed(inner, of, f"{name}.body.{place}", stride if number else 1)
            inner = np.maximum(inner, 0) if place != max(steps) else inner
        if f"{name}.shortcut.0.weight" in of:
            maps = normed(maps, of, f"{name}.shortcut", 2 if number else 1)
        maps = np.maximum(inner + maps, 0)
    return maps.mean((1, 2))


# --- Tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bottleneck", "large", "height", "width"),
    [(False, False, 9, 6), (True, False, 6, 6), (False, True, 13, 18)],
)
def test_features_are_those_of_the_slow_transcription(
    bottleneck: bool, large: bool, height: int, width: int
):
    encoder, pixels = small(bottleneck, large), pictures(2, height, width)
    with torch.no_grad():
        found = encoder({"pixels": pixels}).numpy()
    wanted = np.stack([transcribed(encoder, picture) for picture in pixels.double().numpy()])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "blocks", "width", "weights"),
    [
        # As the papers' without the last layer: 11.69 and 25.56 million less 512 and 2048 by 1000.
        (ResNet, [2, 2, 2, 2], 512, 11_176_512),
        (ResNet50, [3, 4, 6, 3], 2048, 23_508_032),
    ],
)
def test_it_has_as_many_weights_as_the_paper_s(
    kind: type[ResNet], blocks: list[int], width: int, weights: int
):
    config = kind.configure({"channels": 3, "height": 96, "width": 96})
    assert config["blocks"] == blocks
    with torch.device("meta"):
        encoder = kind(**config)
    assert sum(p.numel() for p in encoder.parameters()) == weights
    assert encoder.width == width


@pytest.mark.parametrize(("side", "quarter"), [(63, 1), (64, 4)])
def test_the_stem_quarters_large_pictures_only(side: int, quarter: int):
    config = ResNet.configure({"channels": 1, "height": 8, "width": side})
    encoder = ResNet(**config | {"blocks": [1, 1, 1, 1]})
    seen: list[tuple[int, ...]] = []
    encoder.blocks[0].register_forward_hook(lambda _, given, __: seen.append(given[0].shape[2:]))
    with torch.no_grad():
        encoder({"pixels": torch.rand(1, 1, side, side)})
    assert tuple(seen[0]) == (-(-side // quarter),) * 2


def test_pictures_half_as_large_are_taken():
    encoder = small(large=True)
    for side in (64, 32, 8):
        with torch.no_grad():
            features = encoder({"pixels": pictures(2, side, side)})
        assert features.shape == (2, 512)
        assert bool(features.isfinite().all())


def test_layers_hold_all_weights_in_their_order():
    encoder = small()
    listed = [id(p) for layer in encoder.layers() for p in layer.parameters()]
    assert listed == [id(p) for p in encoder.parameters()]
    assert len(encoder.layers()) == 5


def test_bf16_is_near():
    encoder, pixels = small(), pictures(8, 12, 12)
    with torch.no_grad():
        full = encoder({"pixels": pixels})
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder({"pixels": pixels})
    assert half.dtype == torch.float32
    assert float((full - half).abs().max()) < 0.1 * float(full.std())


@pytest.mark.parametrize("blocks", [[1, 1, 1], [1, 0, 1, 1]])
def test_impossible_stages_are_named(blocks: list[int]):
    config: dict[str, Any] = {"channels": 1, "bottleneck": False, "large": False}
    with pytest.raises(SettingError, match="blocks"):
        ResNet(blocks=blocks, **config)
