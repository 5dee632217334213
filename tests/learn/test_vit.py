"""The vision transformer computes what its paper writes, on any of the patches of a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.learn.models.vit import VisionTransformer, VisionTransformerTiny

Numbers = npt.NDArray[np.float64]


def small() -> VisionTransformer:
    """Two layers, none of its weights the initial ones."""
    torch.manual_seed(1)
    encoder = VisionTransformer(channels=2, rows=3, columns=2, patch=4, width=12, layers=2, heads=3)
    for name, tensor in encoder.named_parameters():
        torch.nn.init.normal_(tensor, 1.0 if "norm.weight" in name else 0.0, 0.3)
    encoder.mean.fill_(0.4)
    encoder.deviation.fill_(0.2)
    return encoder.eval()


def pictures(n: int, height: int, width: int) -> torch.Tensor:
    return torch.rand((n, 2, height, width), generator=torch.Generator().manual_seed(2))


# --- The slow transcription ---------------------------------------------------------------------


def linear(x: Numbers, of: dict[str, Numbers], name: str) -> Numbers:
    return of[f"{name}.weight"] @ x + of[f"{name}.bias"]


def normed(x: Numbers, of: dict[str, Numbers], name: str) -> Numbers:
    scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return scaled * of[f"{name}.weight"] + of[f"{name}.bias"]


def gelu(x: Numbers) -> Numbers:
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def attended(states: list[Numbers], of: dict[str, Numbers], name: str, heads: int) -> list[Numbers]:
    """softmax(q kᵀ / √d) v, head by head and place by place."""
    asked = [
        np.split(linear(normed(x, of, f"{name}.before"), of, f"{name}.asked"), 3) for x in states
    ]
    size = len(states[0]) // heads
    answers = []
    for query, _, _ in asked:
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = np.array([query[own] @ key[own] / math.sqrt(size) for _, key, _ in asked])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            values = [value[own] for _, _, value in asked]
            parts.append(sum(s * v for s, v in zip(shares, values, strict=True)))
        answers.append(linear(np.concatenate(parts), of, f"{name}.answered"))
    return answers


def transcribed(encoder: VisionTransformer, picture: Numbers) -> list[Numbers]:
    """The last state of each patch of one picture."""
    of = {name: tensor.double().numpy() for name, tensor in encoder.state_dict().items()}
    entered = (picture - of["mean"][0]) / of["deviation"][0]
    states = []
    for row in range(3):
        for column in range(2):
            cut = entered[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            place = of["embedding.positions"][2 * row + column]
            states.append(linear(cut.ravel(), of, "embedding.project") + place)
    for number in range(2):
        name = f"blocks.{number}"
        states = [x + seen for x, seen in zip(states, attended(states, of, name, 3), strict=True)]
        states = [
            x
            + linear(
                gelu(linear(normed(x, of, f"{name}.between"), of, f"{name}.perceptron.0")),
                of,
                f"{name}.perceptron.2",
            )
            for x in states
        ]
    return [normed(x, of, "norm") for x in states]


# --- Tests --------------------------------------------------------------------------------------


def test_features_are_those_of_the_slow_transcription():
    encoder, pixels = small(), pictures(3, 12, 8)
    with torch.no_grad():
        found = encoder({"pixels": pixels}).numpy()
    for picture, features in zip(pixels.double().numpy(), found, strict=True):
        wanted = np.mean(transcribed(encoder, picture), 0)
        np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-4)


def test_the_fused_attention_of_devices_is_the_same():
    from leaven.learn.models.vit import _attended

    query, key, value = torch.randn((3, 2, 3, 7, 4), generator=torch.Generator().manual_seed(0))
    fused = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(_attended(query, key, value), fused)


def test_any_patches_can_be_seen_in_any_order():
    encoder, pixels = small(), pictures(2, 12, 8)
    with torch.no_grad():
        entered = encoder.enter({"pixels": pixels})
        patches, positions = encoder.patches(entered), encoder.positions(12, 8)
        whole = encoder.states(patches, positions)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        turned = encoder.states(patches[:, order], positions[order])
        torch.testing.assert_close(turned, whole[:, order])
        # Those of each record by themselves, as another record would show others.
        own = torch.tensor([[0, 4], [5, 2]])
        rows = torch.arange(2).unsqueeze(1)
        some = encoder.states(patches[rows, own], positions[own])
        for u in range(2):
            alone = encoder.states(patches[u : u + 1, own[u]], positions[own[u]])
            torch.testing.assert_close(some[u : u + 1], alone)
    assert float((some - whole[rows, own]).abs().max()) > 0.01  # the others are not seen


def test_features_do_not_hang_on_where_positions_are_not_learnt_for():
    """Pictures of another size have interpolated positions; of the same size their own."""
    encoder = small()
    assert encoder.positions(12, 8) is encoder.embedding.positions
    with torch.no_grad():
        # A plane is what a bicubic interpolation leaves a plane, away from the edges.
        row, column = np.mgrid[0:8, 0:8]
        wide = VisionTransformer(channels=1, rows=8, columns=8, patch=4, width=4, layers=1, heads=1)
        plane = torch.tensor(2.0 * row + 3.0 * column, dtype=torch.float32).reshape(64, 1)
        wide.embedding.positions.copy_(plane.expand(64, 4))
        half = wide.positions(16, 16).reshape(4, 4, 4)[..., 0].double().numpy()
    # Place i of four lies at 2 i + 0.5 of eight.
    inner = np.array([[2 * (2 * i + 0.5) + 3 * (2 * j + 0.5) for j in (1, 2)] for i in (1, 2)])
    np.testing.assert_allclose(half[1:3, 1:3], inner, atol=1e-4)


@pytest.mark.parametrize("shape", [(24, 16), (12, 8), (6, 4), (5, 7), (3, 3)])
def test_pictures_of_other_sizes_are_taken(shape: tuple[int, int]):
    encoder = small()
    with torch.no_grad():
        features = encoder({"pixels": pictures(2, *shape)})
    assert features.shape == (2, 12)
    assert bool(features.isfinite().all())


@pytest.mark.parametrize(
    ("height", "width", "patch", "rows", "columns"),
    [(48, 30, 4, 12, 8), (49, 49, 8, 7, 7), (96, 64, 8, 12, 8), (97, 12, 16, 7, 1)],
)
def test_patches_grow_with_the_picture(
    height: int, width: int, patch: int, rows: int, columns: int
):
    config = VisionTransformer.configure({"channels": 1, "height": height, "width": width})
    assert (config["patch"], config["rows"], config["columns"]) == (patch, rows, columns)


def test_tiny_has_as_many_weights_as_deit_s():
    spec = {"channels": 3, "height": 224, "width": 224}
    with torch.device("meta"):
        encoder = VisionTransformerTiny(**VisionTransformerTiny.configure(spec))
    weights = sum(p.numel() for p in encoder.parameters())
    # 5,717,416 with the class token, its position and the last layer to 1,000 classes.
    assert weights == 5_717_416 - 2 * 192 - (192 * 1000 + 1000)


def test_layers_hold_all_weights_in_their_order():
    encoder = small()
    listed = [id(p) for layer in encoder.layers() for p in layer.parameters()]
    assert listed == [id(p) for p in encoder.parameters()]
    assert len(encoder.layers()) == 4


def test_bf16_is_near():
    encoder, pixels = small(), pictures(8, 12, 8)
    with torch.no_grad():
        full = encoder({"pixels": pixels})
        with torch.autocast("cpu", torch.bfloat16):
            half = encoder({"pixels": pixels})
    assert half.dtype == torch.float32
    assert float((full - half).abs().max()) < 0.1 * float(full.std())


@pytest.mark.parametrize(
    ("setting", "value"), [("width", 10), ("width", 9), ("layers", 0), ("patch", 0), ("heads", 0)]
)
def test_impossible_settings_are_named(setting: str, value: int):
    config: dict[str, Any] = {
        "channels": 1,
        "rows": 2,
        "columns": 2,
        "patch": 4,
        "width": 12,
        "layers": 1,
        "heads": 3,
    }
    with pytest.raises(SettingError, match=setting):
        VisionTransformer(**config | {setting: value})
