"""Frozen time series encoders, tiny ones with random weights: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.extractor import find_extractor, open_extractor

transformers = pytest.importorskip("transformers")

STEPS = 32


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def made(kind: str, channels: int) -> torch.nn.Module:
    torch.manual_seed(0)
    t = transformers
    patches = {"context_length": STEPS, "patch_length": 8, "patch_stride": 8, "d_model": 16}
    wide = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    wide |= {"num_attention_heads": 2, "patch_length": 8, "context_length": STEPS}
    return {
        "patchtst": lambda: t.PatchTSTModel(
            t.PatchTSTConfig(
                **patches, num_input_channels=channels, num_hidden_layers=1,
                num_attention_heads=2, ffn_dim=16, do_mask_input=True, random_mask_ratio=0.5,
            )
        ),
        "patchtsmixer": lambda: t.PatchTSMixerModel(
            t.PatchTSMixerConfig(**patches, num_input_channels=channels, num_layers=1)
        ),
        "timesfm": lambda: t.TimesFmModel(t.TimesFmConfig(**wide, horizon_length=8)),
        "timesfm2_5": lambda: t.TimesFm2_5Model(
            t.TimesFm2_5Config(**wide, num_key_value_heads=2)
        ),
    }[kind]()  # fmt: skip


def series(channels: int, steps: int = STEPS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, channels, steps)).cumsum(2).astype(np.float32)


def features(folder: Path, values: np.ndarray) -> np.ndarray:
    dataset = Dataset.from_arrays(values, [0, 1, -1, -1], modality="series")
    spec = MODALITIES["series"].describe(dataset)
    found = find_extractor(str(folder), "series")
    assert found is not None
    extractor = found.prepared(dataset, spec)
    extracted = extractor.extract(dataset, spec)
    assert extracted.shape == (len(values), extractor.description["width"])
    again = open_extractor(json.loads(json.dumps(extractor.description)))
    np.testing.assert_array_equal(again.extract(dataset, spec), extracted)
    return extracted


@pytest.mark.parametrize("kind", ["patchtst", "patchtsmixer"])
@pytest.mark.parametrize("channels", [1, 2])
def test_features_are_the_mean_states_over_time(kind: str, channels: int, tmp_path: Path):
    model = made(kind, channels).eval()
    model.save_pretrained(tmp_path)
    if kind == "patchtst":
        model.do_mask_input, model.masking = False, torch.nn.Identity()
    values = series(2)
    wanted = []
    for one in torch.from_numpy(values):  # channels of a model of one channel, one by one
        reads = [one] if channels == 2 else [one[:1], one[1:]]
        with torch.no_grad():
            states = [model(past_values=r.t()[None]).last_hidden_state[0] for r in reads]
        wanted.append(torch.cat(states).mean(1).flatten().numpy())
    np.testing.assert_allclose(features(tmp_path, values), np.stack(wanted), atol=2e-5)


@pytest.mark.parametrize("kind", ["timesfm", "timesfm2_5"])
def test_forecasters_give_their_decoder_s_states(kind: str, tmp_path: Path):
    model = made(kind, 1).eval()
    model.save_pretrained(tmp_path)
    values = series(1)
    flat = torch.from_numpy(values[:, 0])
    more = {"past_values_padding": torch.zeros_like(flat, dtype=torch.long)}
    if kind == "timesfm":
        more["freq"] = torch.zeros(len(flat), 1, dtype=torch.long)
    with torch.no_grad():
        wanted = model(past_values=flat, **more).last_hidden_state.mean(1).numpy()
    np.testing.assert_allclose(features(tmp_path, values), wanted, atol=2e-5)


def test_series_of_another_length_are_scaled_in_time(tmp_path: Path):
    made("patchtst", 1).save_pretrained(tmp_path)
    short = np.linspace(0, 1, 9, dtype=np.float32)[None, None].repeat(4, 0)
    long = np.linspace(0, 1, STEPS, dtype=np.float32)[None, None].repeat(4, 0)
    short[1:], long[1:] = short[1:] ** 2, 0.5
    np.testing.assert_allclose(features(tmp_path, short)[0], features(tmp_path, long)[0], atol=1e-4)


def test_other_channels_are_refused(tmp_path: Path):
    made("patchtst", 3).save_pretrained(tmp_path)
    with pytest.raises(SettingError, match="a model of 1 or 2 channels"):
        features(tmp_path, series(2))


def test_a_model_of_something_else_is_refused(tmp_path: Path):
    body = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.BertModel(transformers.BertConfig(**body, vocab_size=9)).save_pretrained(tmp_path)
    with pytest.raises(SettingError, match="does not read series"):
        find_extractor(str(tmp_path), "series")
