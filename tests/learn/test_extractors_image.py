"""Frozen image encoders, tiny ones with random weights made on the spot: nothing is downloaded."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.learn.extractor import find_extractor, open_extractor
from leaven.learn.picture_input import PictureInput

transformers = pytest.importorskip("transformers")

SIDE = 32
BODY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = BODY | {"intermediate_size": 24, "image_size": SIDE, "patch_size": 8}
WORDS = BODY | {"intermediate_size": 24, "vocab_size": 20, "max_position_embeddings": 8}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def made(kind: str) -> object:
    torch.manual_seed(0)
    t = transformers
    return {
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**VISION)),
        "dinov3": lambda: t.DINOv3ViTModel(t.DINOv3ViTConfig(**VISION, num_register_tokens=2)),
        "vit": lambda: t.ViTModel(t.ViTConfig(**VISION)),
        "mae": lambda: t.ViTMAEModel(t.ViTMAEConfig(**VISION)),
        "clip": lambda: t.CLIPModel(
            t.CLIPConfig(vision_config=VISION, text_config=WORDS, projection_dim=12)
        ),
        "clip-vision": lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**VISION)),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(vision_config=VISION, text_config=WORDS)),
        "siglip-vision": lambda: t.SiglipVisionModel(t.SiglipVisionConfig(**VISION)),
        "resnet": lambda: t.ResNetModel(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
        ),
    }[kind]()


def saved(kind: str, folder: Path, **said: object) -> tuple[Path, torch.nn.Module]:
    """The model, saved as the library saves it, and what it says of its pictures."""
    model = made(kind)
    model.save_pretrained(folder)
    settings = {"size": {"height": SIDE, "width": SIDE}, "resample": 3, "do_normalize": True}
    settings |= {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25], **said}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder, model.eval()


def pictures(n: int = 5) -> list[bytes]:
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        pixels = rng.integers(0, 256, (40 + 3 * i, 50, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((70, 48)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def dataset(files: list[bytes]) -> Dataset:
    import pandas as pd

    frame = pd.DataFrame({"image": files, "label": ["a", "b", None, None, None][: len(files)]})
    return Dataset.from_frame(frame, label="label", modality="image")


def documented(kind: str, model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """The features that the family's documentation names, by its own way."""
    if kind == "clip":
        pooled = model.vision_model(pixel_values=pixels).pooler_output
        return model.visual_projection(pooled)
    if kind == "siglip":
        return model.vision_model(pixel_values=pixels).pooler_output
    if kind == "mae":
        return model(pixels, noise=torch.arange(16.0).expand(len(pixels), -1)).last_hidden_state[
            :, 0
        ]
    seen = model(pixel_values=pixels)
    if kind in ("dinov2", "dinov3", "vit"):
        return seen.last_hidden_state[:, 0]
    if kind == "resnet":
        return seen.last_hidden_state.mean((2, 3))
    return seen.pooler_output


KINDS = ["dinov2", "dinov3", "vit", "mae", "clip", "clip-vision", "siglip", "siglip-vision"]


@pytest.mark.parametrize("kind", [*KINDS, "resnet"])
def test_features_are_what_the_family_documents(kind: str, tmp_path: Path):
    folder, model = saved(kind, tmp_path / "model")
    files = pictures()
    extractor = find_extractor(str(folder), "image")
    assert extractor is not None
    found = extractor.extract(dataset(files), {})
    wish = PictureInput.of_processor(json.loads((folder / "preprocessor_config.json").read_text()))
    pixels = torch.from_numpy(np.stack([wish(Image.open(io.BytesIO(f))) for f in files]))
    if kind == "mae":
        model.config.mask_ratio = 0.0
    with torch.no_grad():
        wanted = documented(kind, model, pixels)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert found.shape[1] == extractor.description["width"]
    assert found.std(0).max() > 1e-4  # pictures differ
    again = open_extractor(json.loads(json.dumps(extractor.description)))
    np.testing.assert_array_equal(again.extract(dataset(files), {}), found)


@pytest.mark.parametrize(
    ("said", "processor"),
    [
        ({"size": {"height": 24, "width": 20}, "resample": 2}, "ViTImageProcessorPil"),
        (
            {"size": {"shortest_edge": 30}, "crop_size": {"height": 24, "width": 24}},
            "CLIPImageProcessorPil",
        ),
        ({"size": 30, "crop_size": 24, "do_center_crop": True}, "CLIPImageProcessorPil"),
        ({"size": {"shortest_edge": 16}, "crop_size": 24}, "CLIPImageProcessorPil"),
    ],
)
def test_pictures_are_made_as_the_family_s_processors_make_them(said: dict, processor: str):
    told = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25], "resample": 3} | said
    theirs = getattr(transformers, processor)(**told)
    ours = PictureInput.of_processor(told)
    for file in pictures(3):
        picture = Image.open(io.BytesIO(file)).convert("RGB")
        for turned in (picture, picture.rotate(90, expand=True)):
            wanted = theirs(turned, return_tensors="np")["pixel_values"][0]
            np.testing.assert_allclose(ours(turned), wanted, atol=1e-5)


def test_a_picture_that_cannot_be_read_has_zeros_and_is_asked_for_again(tmp_path: Path):
    folder, _ = saved("dinov2", tmp_path / "model")
    files = pictures(3)
    files[1] = files[1][:60]
    extractor = find_extractor(str(folder), "image")
    found = extractor.extract(dataset(files), {})
    assert not found[1].any()
    assert found[0].any()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "preprocessor_config.json").unlink(), "no preprocessor_config.json"),
        (lambda f: (f / "preprocessor_config.json").write_text("{}"), "no one size"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told(damage, said: str, tmp_path: Path):
    folder, _ = saved("dinov2", tmp_path / "model")
    damage(folder)
    with pytest.raises(SettingError, match=said):
        find_extractor(str(folder), "image")


def test_an_encoder_of_texts_is_refused_for_pictures(tmp_path: Path):
    config = transformers.BertConfig(**WORDS)
    transformers.BertModel(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": 8, "crop_size": 8, "image_mean": [0] * 3, "image_std": [1] * 3})
    )
    with pytest.raises(SettingError, match="does not read pictures"):
        find_extractor(str(tmp_path), "image")
