"""Codes of patches of log-mel: pooled over parts of equal loudness, wherever a sound stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from leaven.data.arrays import Arrays
from leaven.learn.cepstra import equal_parts, there
from leaven.learn.encoder import Encoder
from leaven.learn.models.mel_components import MelComponents
from leaven.learn.models.mel_patches import MelPatches

Mel = npt.NDArray[np.float16]
Lengths = npt.NDArray[np.int64]
_FRAMES, _MELS = 60, 64


def _made(n: int, start: int = 10) -> tuple[Mel, Lengths, npt.NDArray[np.int64]]:
    """A tone that rises, falls, or stays, from the frame `start` on, in a quiet noise."""
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 3
    mel = rng.normal(-12, 0.3, (n, _FRAMES, _MELS))
    bands = np.arange(_MELS)
    for one, kind in zip(mel, kinds, strict=True):
        low, slope = rng.uniform(15, 45), (0.6, -0.6, 0.0)[kind]
        for step in range(25):
            one[start + step] += 8 * np.exp(-((bands - low - slope * (step - 12)) ** 2) / 12)
    return mel.astype(np.float16), np.full(n, _FRAMES), kinds


def _prepared(mel: Mel, length: Lengths, seed: int = 0) -> MelPatches:
    encoder = MelPatches(**MelPatches.configure({"mels": mel.shape[2]})).eval()
    encoder.prepare(Arrays({"mel": mel, "length": length}), np.arange(len(mel)), seed)
    return encoder


def _features(encoder: Encoder, mel: Mel, length: Lengths) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        found: npt.NDArray[np.float32] = encoder(
            {"mel": torch.from_numpy(mel.astype(np.float32)), "length": torch.from_numpy(length)}
        ).numpy()
    return found


def test_pooled_codes_are_those_of_a_slow_transcription():
    mel, length, _ = _made(4)
    length[1] = 40
    encoder = _prepared(mel, length)
    loud, lengths = torch.from_numpy(mel.astype(np.float32)), torch.from_numpy(length)
    found = encoder._told(loud, lengths)[1].numpy()

    parts = equal_parts(loud, there(loud, lengths), 6).numpy().astype(np.float64)
    filters, biases = encoder.codes.filters.numpy()[:, 0].astype(np.float64), encoder.codes.biases
    for n in (0, 1):
        heard = mel[n].astype(np.float64)
        heard[length[n] :] = heard[: length[n]].min()
        map_ = np.pad(heard.reshape(_FRAMES, 32, 2).mean(2), ((4, 3), (0, 0)), mode="edge")
        pooled = np.zeros((128, 6, 3))
        share = parts[n] / parts[n].sum(1, keepdims=True)
        for frame in range(_FRAMES):
            for column in range(25):
                patch = map_[frame : frame + 8, column : column + 8]
                normal = (patch - patch.mean()) / np.sqrt(patch.var() + 2)
                far = (filters * normal).sum((1, 2)) - biases.numpy()
                code = np.concatenate([far - 0.5, -far - 0.5]).clip(0)
                weight = np.outer(share[:, frame], encoder.regions[:, column].numpy())
                pooled += code[:, None, None] * weight
        wanted = np.sqrt(pooled + 1e-3) - np.sqrt(1e-3)
        np.testing.assert_allclose(found[n], wanted.ravel(), atol=1e-4)


def test_where_a_sound_stands_and_how_loud_it_is_change_little():
    mel, length, _ = _made(60)
    encoder = _prepared(mel, length)
    before = _features(encoder, mel, length)
    between = np.linalg.norm(before - before[::-1], axis=1).mean()
    later, louder = _made(60, start=22)[0], (mel + np.float16(2)).astype(np.float16)
    for after, most in ((later, 0.65), (louder, 0.01)):
        moved = np.linalg.norm(_features(encoder, after, length) - before, axis=1).mean()
        assert moved < most * between


def test_padding_does_not_count():
    mel, length, _ = _made(30)
    length[:] = 45
    other = mel.copy()
    other[:, 45:] = 3
    encoder = _prepared(mel, length)
    np.testing.assert_allclose(
        _features(encoder, mel, length), _features(encoder, other, length), atol=1e-4
    )


def test_seeded_and_saved():
    mel, length, _ = _made(40)
    one, again = _prepared(mel, length), _prepared(mel, length)
    np.testing.assert_array_equal(_features(one, mel, length), _features(again, mel, length))
    assert not np.array_equal(
        _features(one, mel, length), _features(_prepared(mel, length, 1), mel, length)
    )
    loaded = MelPatches(**one.config).eval()
    loaded.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(_features(one, mel, length), _features(loaded, mel, length))


def test_sounds_of_a_frame_and_silence_are_finite():
    mel, length, _ = _made(8)
    for changed, lengths in (
        (mel, np.ones(8, np.int64)),
        (np.full_like(mel, -12), length),
        (mel[:1], length[:1]),
        (mel[:, :1], np.ones(8, np.int64)),
    ):
        encoder = _prepared(changed, lengths)
        found = _features(encoder, changed, lengths)
        assert found.shape == (len(changed), encoder.width)
        assert np.isfinite(found).all()


def test_the_cepstra_are_those_of_mel_components():
    mel, length, _ = _made(20)
    length[3] = 30
    encoder = _prepared(mel, length)
    other = MelComponents(**MelComponents.configure({"mels": _MELS})).eval()
    other.prepare(Arrays({"mel": mel, "length": length}), np.arange(20), 0)
    ours = _features(encoder, mel, length)[:, :12] / encoder.shares.numpy()[:12]
    np.testing.assert_allclose(
        np.abs(ours), np.abs(_features(other, mel, length)[:, :12]), atol=1e-2
    )
