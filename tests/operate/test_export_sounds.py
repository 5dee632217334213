"""Sound encoders from elsewhere, tiny ones with random weights: read and asked without torch."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leaven
from leaven import exporting
from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.portable.hearing import SEED, heard
from leaven.data.sounds import wave_file
from leaven.learn.extractor import find_extractor
from leaven.operate.export.bundle import write_code, write_description
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import on_made, on_records, required
from leaven.operate.export.runtime import opened
from tests.learn.test_extractors_audio import RATE, SPEECH, saved
from tests.operate.frozen_encoders import frozen
from tests.operate.test_export import ASK, process

t = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def waves(*seconds: float, rate: int = RATE) -> list[np.ndarray]:
    """Tones that fade, in noise."""
    rng = np.random.default_rng(0)
    found = []
    for number, long in enumerate(seconds):
        at = np.arange(int(long * rate)) / rate
        tone = 0.2 * np.sin(2 * np.pi * (300 + 90 * number) * at) * np.exp(-at)
        found.append((tone + 0.02 * rng.standard_normal(len(at))).astype(np.float32))
    return found


def sounds() -> Dataset:
    """Of several lengths and rates; one very short, one longer than some encoders hear."""
    import pandas as pd

    files = [wave_file(one, RATE, exact=True) for one in waves(0.3, 0.02, 0.5, 0.9, 0.44, 2.4)]
    files += [wave_file(one, 8000, exact=False) for one in waves(0.7, 1.1, rate=8000)]
    return Dataset.from_frame(pd.DataFrame({"audio": files}), label=False, modality="audio")


def clap(*, fused: bool) -> Any:
    torch.manual_seed(0)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 16, "vocab_size": 30}
    audio = {"num_mel_bins": 64, "spec_size": 256, "window_size": 4, "hidden_size": 32}
    audio |= {"patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2]}
    audio |= {"patch_stride": [4, 4], "num_hidden_layers": 2, "enable_fusion": fused}
    audio |= {"projection_dim": 8}
    config = t.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    told = {"feature_size": 64, "sampling_rate": RATE, "hop_length": 160, "max_length_s": 1}
    told |= {"fft_window_size": 400, "frequency_max": 8000}
    reader = t.ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc", **told)
    return t.ClapModel(config), reader


def made(kind: str, folder: Path) -> Path:
    """A folder of a model of the kind."""
    if kind != "clap":
        return saved(kind, folder)[0]
    for part in clap(fused=True):
        part.save_pretrained(folder)
    return folder


WHISPER = {"kind": "whisper", "points": 400, "hop": 160, "states": 100}
AST = {"kind": "ast", "mean": -4.2677393, "deviation": 2 * 4.5689974}
CLAP = {"kind": "clap", "mels": 64, "points": 400, "hop": 160, "samples": RATE}
CLAP |= {"low": 0.0, "high": 8000.0}


def by_clap(padding: str, truncation: str) -> Any:
    told = {"sampling_rate": RATE, "hop_length": 160, "max_length_s": 1, "fft_window_size": 400}
    return t.ClapFeatureExtractor(
        frequency_max=8000, padding=padding, truncation=truncation, **told
    )


READERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "waveform": (t.Wav2Vec2FeatureExtractor(), {"kind": "waveform", "normalised": True}),
    "waveform as it is": (
        t.Wav2Vec2FeatureExtractor(do_normalize=False), {"kind": "waveform", "normalised": False}
    ),
    "whisper": (
        t.WhisperFeatureExtractor(feature_size=80, chunk_length=2),
        WHISPER | {"mels": 80, "samples": 2 * RATE},
    ),
    "whisper of 128 bands": (
        t.WhisperFeatureExtractor(feature_size=128, chunk_length=3),
        WHISPER | {"mels": 128, "samples": 3 * RATE},
    ),
    "ast": (
        t.ASTFeatureExtractor(num_mel_bins=64, max_length=64), AST | {"mels": 64, "frames": 64}
    ),
    "ast as it is": (
        t.ASTFeatureExtractor(num_mel_bins=40, max_length=500, do_normalize=False),
        AST | {"mels": 40, "frames": 500, "mean": 0.0, "deviation": 1.0},
    ),
    "clap": (
        by_clap("repeatpad", "rand_trunc"), CLAP | {"fused": False, "padding": "repeatpad"}
    ),
    "clap, repeated to the end": (
        by_clap("repeat", "rand_trunc"), CLAP | {"fused": False, "padding": "repeat"}
    ),
    "clap, fused": (by_clap("pad", "fusion"), CLAP | {"fused": True, "padding": "pad"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", READERS)
def test_sounds_are_read_as_the_family_reads_them(kind: str) -> None:
    reader, told = READERS[kind]
    # Among the lengths one that CLAP counts as whole, one that it draws from, and a quiet one.
    for wave in [*waves(0.1, 0.43, 1.0, 1.005, 2.7), 1e-3 * waves(0.8)[0]]:
        np.random.seed(SEED)
        read = reader(wave, sampling_rate=RATE, return_tensors="np")
        wanted = np.asarray(read.get("input_values", read.get("input_features")))[0]
        found = heard(wave, told | {"rate": RATE})
        [name] = found.keys() - {"states"}
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-4)
        if told["kind"] == "whisper":
            assert found["states"] == min(100, round(len(wave) / told["samples"] * 100))


def test_the_parts_of_a_long_sound_that_are_heard_are_the_same_each_time(tmp_path: Path) -> None:
    dataset, encoder = sounds(), find_extractor(str(made("clap", tmp_path / "m")), "audio")
    np.random.seed(1)
    first = [found for _, found in encoder.compute(dataset, {})]
    assert np.random.randint(1 << 30) == np.random.RandomState(1).randint(1 << 30)
    again = [found for _, found in encoder.compute(dataset, {})]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("kind", ["wav2vec2", "clap"])
def test_a_family_answers_alike_without_torch(kind: str, tmp_path: Path) -> None:
    dataset = sounds()
    predictor = frozen(made(kind, tmp_path / "m"), dataset)
    graph, about = graph_of(predictor), described(predictor, dataset.columns)
    model = opened(graph, about)
    real, invented = on_records(predictor, model, dataset), on_made(predictor, model)
    assert required(real).records == len(dataset)
    assert required(invented).records == 16
    wanted = predictor.predict(dataset)[1]
    assert wanted.std(0).max() > 100 * max(real.largest, invented.largest)
    if kind == "wav2vec2":
        _without_leaven(tmp_path / "there", graph, about, dataset, wanted)


def _without_leaven(
    there: Path, graph: bytes, about: dict[str, Any], dataset: Dataset, wanted: np.ndarray
) -> None:
    """A process that asks the exported folder, of a broken sound too."""
    there.mkdir()
    (there / "model.onnx").write_bytes(graph)
    write_description(there, about)
    write_code(there, about, "onnx", "0")
    needs = {"numpy>=1.26", "onnxruntime>=1.18", "soundfile>=0.12", "scipy>=1.13"}
    assert set((there / "requirements.txt").read_text().split()) == needs
    files = [*dataset.records["audio"].to_pylist(), b"RIFF0000WAVEnothing"]
    sent = [{"audio": base64.b64encode(one).decode()} for one in files]
    found, modules = process(there, ASK, sent)
    np.testing.assert_allclose(found[:-1], wanted, atol=1e-4)
    assert np.isnan(found[-1]).all()
    assert "transformers" not in modules


@pytest.mark.filterwarnings("ignore:.*")
def test_a_run_is_exported_with_its_encoder(tmp_path: Path) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    pitch = [(300, 1500)[number % 2] for number in range(64)]
    waves = [np.sin(2 * np.pi * f * np.arange(4000) / RATE + rng.uniform(0, 6)) for f in pitch]
    files = [wave_file(0.3 * one + 0.02 * rng.standard_normal(4000), RATE, exact=True)
             for one in waves]  # fmt: skip
    labels = ["low" if f == 300 else "high" for f in pitch]
    given = [label if number < 16 else None for number, label in enumerate(labels)]
    frame = pd.DataFrame({"audio": files, "label": given})
    folder = made("whisper", tmp_path / "m")
    run = leaven.fit(
        Dataset.from_frame(frame, label="label", modality="audio", name="tones"),
        encoder=str(folder), method="logistic", out=tmp_path / "runs", budget="2s",
    )  # fmt: skip
    records = Dataset.from_frame(frame[["audio"]], label=False, modality="audio")
    told = exporting.export(run, "edge", data=records)
    assert told["parity"]["largest"] < 1e-5
    assert told["bytes"]["int8"] <= told["bytes"]["float"]
    wanted = run.predict(records)[:8]
    folder.rename(tmp_path / "gone")  # the encoder is in the graph
    for graph, atol in (("model.onnx", 1e-5), ("model.int8.onnx", 0.5)):
        about = json.loads((Path(told["folder"]) / "preprocess.json").read_text())
        found, why = opened((Path(told["folder"]) / graph).read_bytes(), about).probabilities(
            files[:8]
        )
        assert not why
        np.testing.assert_allclose(found, wanted, atol=atol)


def test_what_has_no_exported_form_is_named(tmp_path: Path) -> None:
    dataset = sounds()
    folder = made("wav2vec2", tmp_path / "m")
    t.SpeechT5FeatureExtractor().save_pretrained(folder)
    with pytest.raises(SettingError, match="SpeechT5FeatureExtractor'. This feature extractor"):
        graph_of(frozen(folder, dataset))
    folder = made("whisper", tmp_path / "n")
    told = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(told | {"dither": 0.1}))
    with pytest.raises(SettingError, match="one of Whisper that adds noise"):
        graph_of(frozen(folder, dataset))
    small = {"squeeze_factor": 2} | SPEECH
    t.SEWModel(t.SEWConfig(**small)).save_pretrained(tmp_path / "s")
    t.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "s")
    with pytest.raises(SettingError, match="sew, which branches on the length of a sound"):
        graph_of(frozen(tmp_path / "s", dataset))
