"""Frozen audio encoders, tiny ones with random weights made on the spot: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.sounds import wave_file
from leaven.learn.extractor import find_extractor, open_extractor

transformers = pytest.importorskip("transformers")

RATE = 16_000
SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def saved(kind: str, folder: Path) -> tuple[Path, torch.nn.Module]:
    """The model and its feature extractor, saved as the library saves them."""
    torch.manual_seed(0)
    t = transformers
    body = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 60}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    wide = {"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_mel_bins": 8}
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    ast = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_length": 64}
    model, reader = {
        "wav2vec2": lambda: (
            t.Wav2Vec2Model(t.Wav2Vec2Config(**SPEECH)),
            t.Wav2Vec2FeatureExtractor(),
        ),
        "hubert": lambda: (t.HubertModel(t.HubertConfig(**SPEECH)), t.Wav2Vec2FeatureExtractor()),
        "whisper": lambda: (
            t.WhisperModel(
                t.WhisperConfig(**body, **heads, **wide, **ends, max_source_positions=100)
            ),
            t.WhisperFeatureExtractor(feature_size=8, chunk_length=2),
        ),
        "ast": lambda: (
            t.ASTModel(t.ASTConfig(**ast, intermediate_size=24, num_mel_bins=32)),
            t.ASTFeatureExtractor(num_mel_bins=32, max_length=64),
        ),
    }[kind]()
    model.save_pretrained(folder)
    reader.save_pretrained(folder)
    return folder, model.eval()


def sounds() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = (0.3, 0.5, 0.9)
    return [(0.1 * rng.standard_normal(int(s * RATE))).astype(np.float32) for s in lengths]


def dataset(files: list[bytes]) -> Dataset:
    import pandas as pd

    frame = pd.DataFrame({"audio": files, "label": ["a", "b", None][: len(files)]})
    return Dataset.from_frame(frame, label="label", modality="audio")


def documented(kind: str, model: torch.nn.Module, samples: np.ndarray, reader: object):
    """The features that the family's documentation names, by its own way."""
    read = reader(samples, sampling_rate=RATE, return_tensors="pt")
    if kind == "whisper":
        states = model.encoder(read["input_features"]).last_hidden_state[0]
        return states[: round(len(samples) / RATE / 0.02)].mean(0)  # a state is 20 ms
    states = model(read["input_values"]).last_hidden_state[0]
    return states[:2].mean(0) if kind == "ast" else states.mean(0)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "whisper", "ast"])
@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_features_are_what_the_family_documents(kind: str, tmp_path: Path):
    folder, model = saved(kind, tmp_path / "model")
    records = dataset([wave_file(s, RATE, exact=True) for s in sounds()])
    extractor = find_extractor(str(folder), "audio")
    assert extractor is not None
    found = extractor.extract(records, {})
    reader = transformers.AutoFeatureExtractor.from_pretrained(folder)
    with torch.no_grad():
        wanted = np.stack([documented(kind, model, s, reader) for s in sounds()])
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert found.std(0).max() > 1e-4
    again = open_extractor(json.loads(json.dumps(extractor.description)))
    np.testing.assert_array_equal(again.extract(records, {}), found)


def test_a_very_short_sound_is_filled_up_and_a_broken_one_has_zeros(tmp_path: Path):
    folder, _ = saved("wav2vec2", tmp_path / "model")
    files = [wave_file(sounds()[0][:20], RATE, exact=True), b"RIFF0000WAVEnothing"]
    found = find_extractor(str(folder), "audio").extract(dataset(files), {})
    assert found[0].any()
    assert not found[1].any()


def test_a_folder_that_reads_no_sounds_is_told(tmp_path: Path):
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.ViTModel(
        transformers.ViTConfig(**vision, image_size=8, patch_size=4)
    ).save_pretrained(tmp_path)
    with pytest.raises(SettingError, match="cannot be loaded"):
        find_extractor(str(tmp_path), "audio")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(SettingError, match="does not read sounds"):
        find_extractor(str(tmp_path), "audio")
