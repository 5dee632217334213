"""Encoders of log-mel: what is there counts, padding does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from leaven.data.arrays import Arrays
from leaven.data.modality import MODALITIES
from leaven.data.sounds import FLOOR
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.models.mel_cnn import MelCNN
from leaven.learn.models.mel_components import MelComponents

LENGTHS = np.array([1, 2, 9, 23, 37, 48, 48, 5] * 4)


def records(frames: int = 48) -> Arrays:
    rng = np.random.default_rng(0)
    mel = rng.normal(-6, 2, (len(LENGTHS), frames, 64)).clip(FLOOR)
    mel[np.arange(frames) >= LENGTHS[:, None]] = FLOOR
    return Arrays({"mel": mel.astype(np.float16), "length": LENGTHS})


def built(name: str, arrays: Arrays) -> Encoder:
    torch.manual_seed(0)
    kind = ENCODERS[name]
    encoder = kind(**kind.configure({"rate": 8000, "seconds": 0.5, "mels": 64, "frames": 48}))
    encoder.prepare(arrays, np.arange(len(arrays)), 0)
    return encoder.eval()


@pytest.mark.parametrize("name", ["mel-cnn", "mel-cnn-tiny"])
def test_what_enters_is_standardised_and_says_what_is_there(name: str) -> None:
    arrays = records()
    encoder = built(name, arrays)
    batch = arrays.batch(np.arange(len(arrays)))
    entered = encoder.enter(MODALITIES["audio"].plain(batch)).numpy()
    there = np.arange(48) < LENGTHS[:, None]
    assert entered.shape == (len(LENGTHS), 2, 48, 64)
    assert (entered[:, 1] == there[..., None]).all()
    assert (entered[:, 0][~there] == 0).all()
    frames = entered[:, 0][there]
    assert frames.mean(0) == pytest.approx(0, abs=1e-3)
    assert frames.std(0) == pytest.approx(1, abs=1e-3)


def test_the_pool_is_a_mean_and_a_maximum_over_what_is_there() -> None:
    arrays = records()
    encoder = built("mel-cnn", arrays)
    assert isinstance(encoder, MelCNN)
    entered = encoder.enter(MODALITIES["audio"].plain(arrays.batch(np.arange(len(arrays)))))
    with torch.no_grad():
        found = encoder.represent(entered).double().numpy()
        maps = encoder.body(entered).double().numpy()
    places = maps.shape[2]
    for i, length in enumerate(LENGTHS):
        states = maps[i].mean(2)  # (channels, places)
        # The share of a place's frames that is there, each place having 48 / places of them.
        span = 48 / places
        share = np.array([np.clip(length - p * span, 0, span) / span for p in range(places)])
        mean = (states * share).sum(1) / share.sum()
        largest = (states * share).max(1)
        assert found[i] == pytest.approx(np.concatenate([mean, largest]), abs=1e-4)


@pytest.mark.parametrize("name", ["mel-cnn", "mel-cnn-tiny", "mel-components"])
def test_views_with_fewer_frames_are_read(name: str) -> None:
    arrays = records()
    encoder = built(name, arrays)
    spec = {"rate": 8000, "seconds": 0.5, "mels": 64, "frames": 48}
    rng = torch.Generator().manual_seed(0)
    local = MODALITIES["audio"].local(arrays.batch(np.arange(len(arrays))), spec, rng)
    assert local["mel"].shape[1] == 24
    with torch.no_grad():
        found = encoder(local)
    assert found.shape == (len(arrays), encoder.width)
    assert found.isfinite().all()


def test_nothing_there_is_no_trap() -> None:
    arrays = records()
    encoder = built("mel-cnn", arrays)
    entered = torch.zeros(2, 2, 48, 64, requires_grad=True)
    found = encoder.represent(entered)
    found.sum().backward()
    assert found.isfinite().all()
    assert entered.grad is not None
    assert entered.grad.isfinite().all()


def test_sizes() -> None:
    weights = {}
    for name in ("mel-cnn", "mel-cnn-tiny"):
        weights[name] = sum(p.numel() for p in built(name, records()).parameters())
    assert 500_000 < weights["mel-cnn"] < 1_000_000
    assert weights["mel-cnn-tiny"] < 150_000


# --- Components ---------------------------------------------------------------------------------


def slowly_told(mel: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """One record, frame by frame, from the words of the class."""
    mel = mel[:length]
    mels = mel.shape[1]
    scale = np.sqrt(2 / mels) * np.r_[np.sqrt(0.5), np.ones(12)]
    cepstra = np.array(
        [
            [
                scale[k] * sum(x * np.cos(np.pi * k * (m + 0.5) / mels) for m, x in enumerate(f))
                for k in range(13)
            ]
            for f in mel
        ]
    )
    level = mel.mean(1)
    loud = (level - level.min()) ** 2 + 1e-3
    ends = np.cumsum(loud)
    told = []
    for part in range(6):
        first, last = part / 6 * ends[-1], (part + 1) / 6 * ends[-1]
        inside = [
            max(0.0, min(e, last) - max(e - w, first)) for e, w in zip(ends, loud, strict=True)
        ]
        mean = sum(c * w for c, w in zip(cepstra, inside, strict=True)) / sum(inside)
        told.append(mean - np.r_[cepstra.mean(0)[0], np.zeros(12)])
    steps = np.diff(cepstra, axis=0)
    moved = np.sqrt((steps**2).mean(0)) if len(steps) else np.zeros(13)
    return np.concatenate([*told, cepstra.std(0), moved])


def test_components_are_those_of_the_formula() -> None:
    arrays = records()
    encoder = built("mel-components", arrays)
    assert isinstance(encoder, MelComponents)
    batch = arrays.batch(np.arange(len(arrays)))
    with torch.no_grad():
        found = encoder._told(batch).numpy()
    mel: Any = batch["mel"].double().numpy()
    wanted = np.stack([slowly_told(m, n) for m, n in zip(mel, LENGTHS, strict=True)])
    assert np.abs(found - wanted).max() < 2e-2  # of float32: small parts of a sum of loudness
    assert np.abs(found - wanted).mean() < 1e-3
    features = encoder(batch).numpy()
    scaled = (wanted - wanted.mean(0)) / np.maximum(wanted.std(0), 1e-3)
    values = np.linalg.svd(scaled, compute_uv=False)
    deviation = values / np.sqrt(len(scaled) - 1)
    kept = deviation > 0.2
    assert kept.sum() >= 10
    # Scaled by the square root of their deviation, components have that root as deviation.
    own = features.std(0, ddof=1)[: len(deviation)]
    assert own[kept] == pytest.approx(np.sqrt(deviation[kept]), rel=0.01)


def test_a_word_is_told_alike_wherever_it_stands() -> None:
    rng = np.random.default_rng(1)
    mel = np.full((3, 60, 64), FLOOR)
    word = rng.normal(-2, 2, (12, 64))
    for i, start in enumerate((2, 25, 45)):
        mel[i, start : start + 12] = word
    arrays = Arrays({"mel": mel.astype(np.float16), "length": np.full(3, 60)})
    encoder = built("mel-components", records())
    with torch.no_grad():
        found = encoder(arrays.batch(np.arange(3)))
    spread = float(found[0].abs().max())
    assert spread > 5
    assert float((found - found[0]).abs().max()) < 0.005 * spread
