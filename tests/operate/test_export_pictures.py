"""Picture encoders from elsewhere, tiny ones with random weights: the same as a graph."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import leaven
from leaven import exporting
from leaven.core.errors import MissingExtraError, SettingError
from leaven.data.dataset import Column, Dataset
from leaven.data.portable.framing import Framing
from leaven.data.portable.model import runtime
from leaven.learn.predictor import Predictor
from leaven.operate.export import traced as tracing
from leaven.operate.export.graph import Graph
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import on_made, on_records, required
from leaven.operate.export.runtime import opened
from leaven.operate.export.traced import traced
from tests.operate.frozen_encoders import CLASSES, frozen
from tests.operate.test_export import ASK, process

transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

SIDE = 32
VISION = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "image_size": SIDE, "patch_size": 8,
}  # fmt: skip
WORDS = VISION | {"vocab_size": 20, "max_position_embeddings": 8}
#: By the type that configurations name, and few, for tracing takes seconds: places that are those
#: of another size, as of all that DINOv2 has published; a model of words besides that pools by
#: attention. A network of maps is the run's below; those of timm are of more kinds.
FAMILIES: dict[str, dict[str, Any]] = {
    "dinov2": VISION | {"image_size": 64},
    "siglip": {"vision_config": VISION, "text_config": WORDS},
}
#: … with matrices large enough for 8 bits.
MAPS = {"hidden_sizes": [16, 32], "depths": [1, 1], "embedding_size": 16, "layer_type": "basic"}
TIMM: dict[str, dict[str, Any]] = {
    "resnet10t": {"channels": (8, 8, 16, 16), "stem_width": 8},
    "vit_tiny_patch16_224": {
        "img_size": SIDE, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2,
    },
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "swin_tiny_patch4_window7_224": {
        "img_size": SIDE, "window_size": 4, "embed_dim": 8, "depths": (2, 1), "num_heads": (2, 2),
    },
}  # fmt: skip
#: How a preprocessor says it: the shorter side scaled and the middle cut out.
CUT = {
    "size": {"shortest_edge": 40}, "crop_size": {"height": SIDE, "width": SIDE}, "resample": 3,
    "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25],
}  # fmt: skip

#: … or whatever its shape made as large as it must be.
SQUEEZED = {"size": {"height": SIDE, "width": SIDE}, "crop_size": None, "rescale_factor": 1 / 127.5}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def saved(family: str, folder: Path) -> str:
    """A folder of a model of the family."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **FAMILIES.get(family, MAPS))
    model = transformers.AutoModel.from_config(config)
    _shaken(model)
    model.save_pretrained(folder)
    said = CUT if family != "siglip" else CUT | SQUEEZED
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return str(folder)


def saved_timm(architecture: str, folder: Path) -> str:
    timm = pytest.importorskip("timm")
    from timm.models import save_for_hf

    torch.manual_seed(0)
    size = TIMM[architecture]
    model = timm.create_model(architecture, pretrained=False, num_classes=3, **size)
    _shaken(model)
    model.pretrained_cfg["input_size"] = (3, SIDE, SIDE)
    save_for_hf(model, folder, model_args=size | {"num_classes": 3}, safe_serialization=True)
    return f"timm/{folder}"


def _shaken(model: torch.nn.Module) -> None:
    """With weights so large that pictures differ."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                torch.nn.init.normal_(weights, std=0.2)


def files(count: int = 24) -> list[bytes]:
    """Colour and grey ones of several shapes and formats; the last two cannot be read."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(20, 90, 2))
        coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((width, height))
        kind = ("RGB", "L", "P", "RGBA")[number % 4]
        file = io.BytesIO()
        picture.convert(kind).save(file, "JPEG" if number % 8 == 0 else "PNG")
        found.append(file.getvalue())
    return [*found, found[1][:60], b"none"]


def dataset(given: list[bytes] | None = None) -> Dataset:
    table = pa.table({"scan": files() if given is None else given})
    columns = [Column("scan", "image")]
    return Dataset.from_frame(table, label=False, columns=columns, modality="image")


def exported(predictor: Predictor, records: Dataset) -> Any:
    about = json.loads(json.dumps(described(predictor, records.columns)))
    return opened(graph_of(predictor), about)


def _answers_alike(name: str) -> None:
    records = dataset()
    predictor = frozen(name, records)
    model = exported(predictor, records)
    real, made = required(on_records(predictor, model, records)), on_made(predictor, model)
    assert real.records == len(records) - 2
    assert required(made).records == 64
    spread = predictor.predict(records)[1].std(0).max()
    assert spread > 100 * max(real.largest, made.largest)  # or equal answers would say nothing
    _is_asked_a_few_at_a_time(model)


def _is_asked_a_few_at_a_time(model: Any) -> None:
    given, most, session, asked = files(), model.spec["together"], model._session, []

    class Counted:
        def run(self, outputs: None, feeds: dict[str, Any]) -> Any:
            asked.append(len(feeds["pixels"]))
            return session.run(outputs, feeds)

    model._session = Counted()
    together, why = model.probabilities(given)
    assert max(asked) <= most < len(given) / 2
    assert sorted(why) == [24, 25]
    assert np.isnan(together[24:]).all()
    alone = np.concatenate([model.probabilities([one])[0] for one in given])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_alike(family: str, tmp_path: Path) -> None:
    _answers_alike(saved(family, tmp_path / family))


@pytest.mark.parametrize("architecture", TIMM)
def test_a_model_of_timm_answers_alike(architecture: str, tmp_path: Path) -> None:
    _answers_alike(saved_timm(architecture, tmp_path / "model"))


def test_a_run_is_exported_and_answers_without_its_encoder(tmp_path: Path) -> None:
    given = files(60)[:-2]
    labels = [CLASSES[number % 3] if number < 18 else None for number in range(len(given))]
    table, columns = pa.table({"scan": given, "label": labels}), [Column("scan", "image")]
    records = Dataset.from_frame(table, label="label", columns=columns, modality="image")
    folder = Path(saved("resnet", tmp_path / "resnet"))
    run = leaven.fit(
        records, encoder=str(folder), method="logistic", out=tmp_path / "runs", budget="5s"
    )
    told = exporting.export(run, "edge", data=dataset(given))
    assert told["parity"]["largest"] < 1e-5
    assert told["bytes"]["int8"] < told["bytes"]["float"]
    assert told["loss"]["agreement"]["value"] > 0.8
    wanted = run.predict(records)
    folder.rename(tmp_path / "gone")  # the encoder is in the graph
    sent = [{"scan": base64.b64encode(one).decode()} for one in given]
    found, modules = process(Path(told["folder"]), ASK, sent)
    np.testing.assert_allclose(found, wanted, atol=0.2)  # in 8 bits
    assert not {"transformers", "onnx", "scipy"} & set(modules)
    with pytest.raises(SettingError, match="There is no such folder"):
        exporting.export(run, data=records)


@pytest.mark.parametrize("lying", [True, False])
def test_of_a_very_long_picture_only_the_middle_is_scaled(
    lying: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    row = np.repeat(rng.integers(0, 256, (1, 500, 3), np.uint8), 6, 1)
    picture = Image.fromarray(row if lying else row.transpose(1, 0, 2).copy())
    framing = Framing(8, 6, scaled=10, resample=3, rounded=False)
    sizes, resize = [], Image.Image.resize

    def counted(own: Image.Image, size: tuple[int, int], *more: Any) -> Image.Image:
        sizes.append(size)
        return resize(own, size, *more)

    monkeypatch.setattr(Image.Image, "resize", counted)
    bounded = framing(picture)
    monkeypatch.setattr("leaven.data.portable.framing._LONG", 10**9)
    whole = framing(picture)
    assert np.prod(sizes[0]) < 100
    assert np.prod(sizes[1]) == 10 * 30_000
    assert bounded.shape == whole.shape == (3, 8, 6)
    np.testing.assert_allclose(bounded.astype(int), whole, atol=2)


class _Branch(torch.nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values if values.sum() > 0 else -values


class _Fixed(torch.nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.reshape(4, 3, 2)


@pytest.mark.parametrize("kind", [_Branch, _Fixed])
def test_what_cannot_be_traced_is_named(
    kind: Callable[[], torch.nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    graph = Graph()
    values = {"values": graph.input("values", np.float32, ["n", 6])}
    with pytest.raises(SettingError, match="an/encoder, which cannot be traced: .+has no exported"):
        traced(
            graph, kind(), values, {"values": torch.rand(4, 6)}, {"values": {0: "n"}}, "an/encoder"
        )
    assert capsys.readouterr() == ("", "")


class _Difference(torch.nn.Module):
    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return one.cumsum(1) - 3 * other


def test_inputs_go_by_name_and_axes_are_free() -> None:
    graph = Graph()
    given = {name: graph.input(name, np.float32, ["n", "time"]) for name in ("other", "one")}
    free = {name: {0: "n", 1: "time"} for name in given}
    example = {name: torch.rand(2, 5) for name in given}
    told = traced(graph, _Difference(), given, example, free)
    session = runtime().InferenceSession(graph.model(told * 2.0, "found", ["n", "time"]))
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 8)):
        one, other = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
        found = session.run(None, {"one": one, "other": other})[0]
        np.testing.assert_allclose(found, 2 * (one.cumsum(1) - 3 * other), atol=1e-5)


def test_what_is_missing_or_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph()
    values = {"values": graph.input("values", np.float32, ["n", 6])}
    ask = (graph, torch.nn.Linear(6, 6), values, {"values": torch.rand(2, 6)}, {}, "an/encoder")
    with monkeypatch.context() as small:
        small.setattr(tracing, "MOST_BYTES", 100)
        with pytest.raises(SettingError, match="an/encoder, which has more than 2 GB of numbers"):
            traced(*ask)
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="'an/encoder' needs the extra 'export'"):
        traced(*ask)
