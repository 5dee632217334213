"""Frozen timm models: a tiny one with random weights, where timm is installed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from leaven.core.errors import MissingExtraError, SettingError
from leaven.data.dataset import Dataset
from leaven.learn.extractor import find_extractor, open_extractor


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def saved(folder: Path) -> torch.nn.Module:
    timm = pytest.importorskip("timm")
    from timm.models import save_for_hf

    torch.manual_seed(0)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=3, **size)
    model.pretrained_cfg["input_size"] = (3, 32, 32)
    save_for_hf(model, folder, model_args=size | {"num_classes": 3}, safe_serialization=True)
    return model.eval()


def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    files = []
    for _ in range(3):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
    frame = pd.DataFrame({"image": files, "label": ["a", "b", None]})
    return Dataset.from_frame(frame, label="label", modality="image")


def test_features_are_the_pooled_ones_on_pictures_as_timm_makes_them(tmp_path: Path):
    model = saved(tmp_path / "model")
    from timm.data import create_transform, resolve_data_config

    transforms = create_transform(**resolve_data_config({}, model=model))
    extractor = find_extractor(f"timm/{tmp_path / 'model'}", "image")
    assert extractor is not None
    found = extractor.extract(dataset(), {})
    files = dataset().records["image"].to_pylist()
    pixels = torch.stack([transforms(Image.open(io.BytesIO(file))) for file in files])
    with torch.no_grad():
        wanted = model.forward_head(model.forward_features(pixels), pre_logits=True)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    again = open_extractor(extractor.description)
    np.testing.assert_array_equal(again.extract(dataset(), {}), found)


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SettingError, match="no config.json and model.safetensors"):
        find_extractor(f"timm/{tmp_path}", "image")
    with pytest.raises(SettingError, match="cannot be fetched"):
        find_extractor("timm/no-such-model", "image")
    with pytest.raises(SettingError, match="reads text records"):
        find_extractor("timm/vit_tiny_patch16_224", "text")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match="extra 'vision'"):
        find_extractor(f"timm/{tmp_path}", "image")
