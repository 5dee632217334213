"""The wide residual network computes what its papers write, and judges by its latest passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.data.arrays import Arrays
from leaven.learn.head import LinearHead
from leaven.learn.method import Problem
from leaven.learn.models.wide_resnet import WideResNet
from leaven.learn.network import Network
from leaven.learn.objectives.adabn import adapt

Maps = npt.NDArray[np.float64]


def small(depth: int = 10) -> WideResNet:
    """A shallow one whose scales and shifts are not the initial ones."""
    torch.manual_seed(1)
    encoder = WideResNet(channels=3, depth=depth, widen=1)
    for name, tensor in encoder.named_parameters():
        if tensor.ndim == 1:
            torch.nn.init.normal_(tensor, 1.0 if name.endswith("weight") else 0.0, 0.3)
    return encoder


def pictures(n: int = 5, side: int = 8) -> torch.Tensor:
    return torch.rand((n, 3, side, side), generator=torch.Generator().manual_seed(2))


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
            result[:, i, j] = [(kernel * patch).sum() for kernel in weight]
    return result


def normalised(batch: list[Maps], of: dict[str, Maps], name: str, training: bool) -> list[Maps]:
    """(x - mean) / sqrt(variance + 0.001) · weight + bias, then max(x, 0.1 x)."""
    together = np.stack(batch)
    mean = together.mean((0, 2, 3)) if training else of[f"{name}.mean"]
    variance = together.var((0, 2, 3)) if training else of[f"{name}.variance"]
    result = []
    for maps in batch:
        scaled = (maps - mean[:, None, None]) / np.sqrt(variance + 1e-3)[:, None, None]
        moved = scaled * of[f"{name}.weight"][:, None, None] + of[f"{name}.bias"][:, None, None]
        result.append(np.maximum(moved, 0.1 * moved))
    return result


def transcribed(encoder: WideResNet, pixels: torch.Tensor, training: bool) -> Maps:
    """(n, width) features, for depth 10: one block a group."""
    of = {name: tensor.double().numpy() for name, tensor in encoder.state_dict().items()}
    batch = [
        convolved((one - of["mean"][0]) / of["deviation"][0], of["stem.weight"], 1)
        for one in pixels.double().numpy()
    ]
    for number, stride in enumerate((1, 2, 2)):
        name = f"blocks.{number}"
        active = normalised(batch, of, f"{name}.before", training)
        inner = [convolved(one, of[f"{name}.enter.weight"], stride) for one in active]
        inner = normalised(inner, of, f"{name}.between", training)
        inner = [convolved(one, of[f"{name}.leave.weight"], 1) for one in inner]
        kept = active if number == 0 else batch
        if f"{name}.shortcut.weight" in of:
            kept = [convolved(one, of[f"{name}.shortcut.weight"], stride) for one in kept]
        batch = [one + other for one, other in zip(kept, inner, strict=True)]
    batch = normalised(batch, of, "last", training)
    return np.stack([one.mean((1, 2)) for one in batch])


# --- Tests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_features_are_those_of_the_slow_transcription(training: bool):
    encoder, pixels = small(), pictures()
    encoder.mean.fill_(0.4)
    encoder.deviation.fill_(0.2)
    for _ in range(3):  # evaluation has statistics to use
        encoder({"pixels": pictures(7)})
    wanted = transcribed(encoder, pixels, training)
    encoder.train(training)
    with torch.no_grad():
        features = encoder({"pixels": pixels}).numpy()
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-4)


def test_it_has_as_many_weights_as_the_papers():
    encoder = WideResNet(**WideResNet.configure({"channels": 3, "height": 32, "width": 32}))
    # 16 → 32 → 64 → 128 channels, four blocks of two 3×3 convolutions a group.
    wanted = 3 * 16 * 9 + 2 * 128
    for before, after in ((16, 32), (32, 64), (64, 128)):
        wanted += before * after  # shortcut
        wanted += before * after * 9 + 7 * after * after * 9
        wanted += 2 * before + 7 * 2 * after
    assert sum(p.numel() for p in encoder.parameters()) == wanted == 1_466_320
    assert encoder.width == 128


def test_running_statistics_remember_a_tenth_of_the_passes():
    encoder = small()
    running_mean, running_variance = np.zeros(64), np.ones(64)
    for number in range(1, 31):
        encoder({"pixels": pictures(4) * number})
        share = 10 / (number + 9)
        running_mean += share * (encoder.last.seen_mean.double().numpy() - running_mean)
        running_variance += share * (encoder.last.seen_variance.double().numpy() - running_variance)
        if number == 1:
            np.testing.assert_allclose(encoder.last.mean, encoder.last.seen_mean, rtol=1e-6)
    np.testing.assert_allclose(encoder.last.mean, running_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(encoder.last.variance, running_variance, rtol=1e-4)


def test_the_decay_becomes_the_paper_s():
    encoder = small()
    encoder.passes.fill_(1_000_000)
    before = encoder.last.mean.clone()
    encoder({"pixels": pictures()})
    moved = (encoder.last.mean - before) / (encoder.last.seen_mean - before)
    np.testing.assert_allclose(moved.numpy(), 0.001, rtol=1e-3)


def test_evaluation_leaves_no_trace():
    encoder = small()
    encoder({"pixels": pictures()})
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.eval()({"pixels": pictures(3) * 9})
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())


def test_two_passes_before_one_backward_are_fine():
    encoder = small()
    features = encoder({"pixels": pictures()})
    alone = torch.autograd.grad(features.square().sum(), encoder.stem.weight, retain_graph=True)
    with torch.no_grad():
        encoder({"pixels": pictures(9) * 3})
    after = torch.autograd.grad(features.square().sum(), encoder.stem.weight)
    assert torch.equal(alone[0], after[0])


def test_bf16_is_near():
    encoder = small()
    with torch.no_grad():
        full = encoder({"pixels": pictures(16)})
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder({"pixels": pictures(16)})
    assert half.dtype == torch.float32
    assert float((full - half).abs().max()) < 0.1 * float(full.std())


@pytest.mark.parametrize(("setting", "value"), [("depth", 27), ("depth", 4), ("widen", 0)])
def test_impossible_settings_are_named(setting: str, value: int):
    config: dict[str, Any] = {"channels": 3, "depth": 28, "widen": 2} | {setting: value}
    with pytest.raises(SettingError, match=setting):
        WideResNet(**config)


def test_statistics_are_saved_and_loaded(tmp_path: Path):
    encoder, arrays = small(), Arrays({"pixels": (255 * pictures()).byte().numpy()})
    encoder({"pixels": pictures()})
    network = Network(encoder, LinearHead(encoder.width, 2))
    network.save(tmp_path)
    np.testing.assert_array_equal(Network.load(tmp_path).logits(arrays), network.logits(arrays))


def test_after_few_passes_evaluation_is_near_training():
    encoder, pixels = small(), pictures(64)
    with torch.no_grad():
        for _ in range(3):
            training = encoder({"pixels": pixels})
        judged = encoder.eval()({"pixels": pixels})
    # Apart from n / (n - 1) in the variances, of 256 places or more, they are the same.
    torch.testing.assert_close(judged, training, rtol=0.01, atol=0.01)


def test_its_statistics_can_be_adapted_to_other_records():
    encoder, arrays = small(), Arrays({"pixels": (255 * pictures(12)).byte().numpy()})
    problem = Problem(
        arrays=arrays,
        spec={"channels": 3, "height": 8, "width": 8},
        modality="image",
        task="classification",
        classes=2,
        targets=np.full(12, -1, np.int64),
        train=np.zeros(0, np.int64),
        unlabelled=np.arange(12),
        encoder="wrn-28-2",
    )
    adapt(Network(encoder.eval(), LinearHead(encoder.width, 2)), problem)
    pixels = arrays["pixels"].astype(np.float64) / 255
    stem = np.stack(
        [convolved(one, encoder.stem.weight.detach().double().numpy(), 1) for one in pixels]
    )
    mean, variance = encoder.blocks[0].before.statistics
    np.testing.assert_allclose(mean, stem.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(variance, stem.var((0, 2, 3)), rtol=1e-2)
    assert float(encoder.passes) == 0
