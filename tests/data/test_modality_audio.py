"""Sounds of every sort come out as one log-mel; what is no sound says why."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leaven.core.errors import DataError, SettingError
from leaven.data import sounds
from leaven.data.dataset import Dataset
from leaven.data.files import Unreadable
from leaven.data.modality import MODALITIES
from leaven.data.sounds import FLOOR, filters, frames_of, log_mel, look, read, wave_file
from leaven.learn.contracts.modalities import check_modality

Make = Callable[..., Dataset]
Samples = npt.NDArray[np.float64]
audio = MODALITIES["audio"]
FORMATS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]


def tone(seconds: float, rate: int = 8000, pitch: float = 440.0, loud: float = 0.5) -> Samples:
    return loud * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)


def encoded(
    samples: Samples, rate: int = 8000, form: str = "FLAC", subtype: str = "PCM_16"
) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


# --- Reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_samples_of_every_format(form: str, subtype: str) -> None:
    data = encoded(tone(0.5), form=form, subtype=subtype)
    assert look(data, None) == sounds.Look(8000, 0.5)
    found = read(data, None, 8000, 1.0)
    assert found.dtype == np.float32
    # Vorbis is lossy; 16 bits are one part in 32,768.
    assert np.abs(found - tone(0.5)).max() < (0.02 if form == "OGG" else 2 / 32768)


def test_channels_become_their_mean() -> None:
    both = np.stack([tone(0.2), tone(0.2, pitch=700)], 1)
    assert read(encoded(both), None, 8000, 1) == pytest.approx(both.mean(1), abs=1e-4)


@pytest.mark.parametrize(("own", "rate"), [(44_100, 16_000), (8_000, 16_000), (22_051, 8_000)])
def test_another_rate_keeps_the_tone_and_drops_what_does_not_fit(own: int, rate: int) -> None:
    found = read(encoded(tone(0.5, own, 1000.0), own), None, rate, 1)
    assert len(found) == pytest.approx(0.5 * rate, abs=0.002 * rate)
    middle = slice(rate // 10, 4 * rate // 10)
    wanted = tone(0.5, rate, 1000.0)[: len(found)]
    if own == 22_051:  # its ratio is met within a thousandth, which shifts the phase
        spectrum = np.abs(np.fft.rfft(found))
        assert spectrum.argmax() * rate / len(found) == pytest.approx(1000, rel=0.003)
    else:
        assert np.abs(found[middle] - wanted[middle]).max() < 0.01
    if rate < own:
        high = read(encoded(tone(0.5, own, 0.65 * rate), own), None, rate, 1)
        assert np.abs(high[middle]).max() < 0.02


def test_a_long_sound_is_read_no_further_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(tone(60), form="WAV")
    taken: list[int] = []
    original = soundfile.SoundFile.read

    def counted(self: soundfile.SoundFile, frames: int = -1, **options: object) -> object:
        taken.append(frames)
        return original(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    assert len(read(data, None, 8000, 0.5)) == 4000
    assert sum(taken) == 4000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "missing sound"),
        (b"", "empty file"),
        (b"no sound at all", "not a sound"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "not a sound"),
        (b"fLaC" + bytes(60), "undecodable sound"),
        (encoded(tone(0.1))[:30], "undecodable sound"),
        (encoded(np.zeros(0), form="WAV"), "no samples"),
        (encoded(np.zeros(800)), "silent"),
        (encoded(np.full(800, 0.5)), "silent"),
        (encoded(np.full(800, np.nan), form="WAV", subtype="FLOAT"), "damaged sound"),
        (encoded(tone(0.1) * 1e30, form="WAV", subtype="FLOAT"), "damaged sound"),
        (encoded(tone(0.1), rate=500, form="WAV"), "unknown rate"),
        (encoded(tone(0.1), rate=1_000_000, form="WAV"), "unknown rate"),
        (encoded(np.zeros((10, 40)), form="WAV"), "unusual channels"),
    ],
)
def test_what_is_no_sound_says_why(data: bytes | None, reason: str) -> None:
    with pytest.raises(Unreadable) as found:
        read(data, None, 8000, 1)
    assert found.value.reason == reason


def test_a_header_that_promises_hours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "LONGEST", 1.0)
    with pytest.raises(Unreadable, match="too long"):
        look(encoded(tone(1.5)), None)


@settings(max_examples=150, deadline=None)
@given(
    which=st.sampled_from(FORMATS),
    cut=st.integers(0, 4000),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), max_size=12),
)
def test_damage_is_a_sound_or_a_reason(
    which: tuple[str, str], cut: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(_WHOLE[which])
    for place, change in flips:
        data[place % len(data)] ^= change
    kept = bytes(data[: max(1, len(data) - cut % len(data))])
    told = []
    try:
        found = log_mel(read(kept, None, 8000, 0.5), 8000, 64)
        assert np.isfinite(found).all()
    except Unreadable as error:
        told = [error.reason, error.detail]
    assert all(told)


_WHOLE = {which: encoded(tone(0.25), 8000, *which) for which in FORMATS}


def test_files_lead_out_of_no_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.wav").write_bytes(encoded(tone(0.1), form="WAV"))
    root = tmp_path / "inside"
    for name in ("../secret.wav", str(tmp_path / "secret.wav")):
        with pytest.raises(Unreadable, match="outside the folder"):
            read(name, root, 8000, 1)
    with pytest.raises(Unreadable, match="missing file"):
        read("none.wav", root, 8000, 1)


def test_wave_files_keep_samples_or_sixteen_bits() -> None:
    samples = tone(0.1)
    exact = read(wave_file(samples, 8000, exact=True), None, 8000, 1)
    assert (exact == samples.astype(np.float32)).all()
    with wave.open(io.BytesIO(wave_file(3 * samples, 8000, exact=False))) as found:
        assert (found.getnchannels(), found.getsampwidth(), found.getframerate()) == (1, 2, 8000)
        peak = np.abs(np.frombuffer(found.readframes(800), np.int16)).max()
    assert 32_000 < peak <= 32_767  # what is too loud is scaled, not cut


# --- Log-mel ------------------------------------------------------------------------------------


def slow_log_mel(samples: Samples, rate: int, mels: int) -> Samples:
    """Frame by frame, bin by bin, band by band, from the formulas."""
    window, hop = round(0.025 * rate), round(0.010 * rate)
    points = 1
    while points < 2 * window:
        points *= 2
    samples = samples - samples.mean()
    if len(samples) < window:
        samples = np.concatenate([samples, np.zeros(window - len(samples))])
    top = 2595 * np.log10(1 + (rate / 2) / 700)
    corners = [700 * (10 ** (top * i / (mels + 1) / 2595) - 1) for i in range(mels + 2)]
    told = []
    for start in range(0, len(samples) - window + 1, hop):
        time = np.arange(window)
        frame = samples[start : start + window] * np.sin(np.pi * time / window) ** 2
        power = []
        for k in range(points // 2 + 1):
            turned = np.exp(-2j * np.pi * k * time / points)
            power.append(abs((frame * turned).sum()) ** 2)
        bands = []
        for low, peak, high in zip(corners, corners[1:], corners[2:], strict=False):
            total = 0.0
            for k, value in enumerate(power):
                f = k * rate / points
                if low < f <= peak:
                    total += value * (f - low) / (peak - low)
                elif peak < f < high:
                    total += value * (high - f) / (high - peak)
            bands.append(np.log(max(total, 1e-6)))
        told.append(bands)
    return np.array(told)


@pytest.mark.parametrize(("rate", "size"), [(8000, 700), (16_000, 900), (4000, 60)])
def test_log_mel_is_that_of_the_formula(rate: int, size: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, size)
    found = log_mel(samples.astype(np.float32), rate, 64)
    wanted = slow_log_mel(samples, rate, 64)
    assert found.shape == wanted.shape == (frames_of(size, rate), 64)
    assert np.abs(found - wanted).max() < 2e-3


@pytest.mark.parametrize("rate", [4000, 8000, 11_025, 16_000])
def test_every_band_has_bins(rate: int) -> None:
    found = filters(rate, 64)
    assert (found.sum(1) > 0).all()
    assert (np.diff(found.argmax(1)) >= 0).all()
    assert 0 <= found.min() <= found.max() <= 1


def test_a_tone_is_loudest_in_its_band_and_nothing_is_under_the_floor() -> None:
    mel = log_mel(tone(0.5, 8000, 1000.0).astype(np.float32), 8000, 64)
    peak = 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 4000 / 700)) * 65 - 1
    assert np.abs(mel.argmax(1) - peak).max() <= 1
    assert log_mel(np.full(800, 1e-9, np.float32), 8000, 64).min() == pytest.approx(FLOOR)


# --- The modality -------------------------------------------------------------------------------


def test_description_and_padding(make_dataset: Make) -> None:
    lengths = [0.3] * 10 + [0.4, 3.0]
    data = make_dataset("audio", audio=("audio", [encoded(tone(s)) for s in lengths]))
    spec = audio.describe(data)
    assert spec == {"rate": 8000, "seconds": 2.995, "mels": 64, "frames": 298}
    arrays, rejected = audio.decode(data, spec)
    assert rejected == []
    assert arrays["mel"].shape == (12, 298, 64)
    assert arrays["length"].tolist() == [28] * 10 + [38, 298]
    assert (arrays["mel"][0, 28:] == np.float16(FLOOR)).all()
    assert (arrays["mel"][0, :28].max(1) > 0).all()


def test_rate_is_the_usual_one_and_bounded(make_dataset: Make) -> None:
    for rates, wanted in [([8000, 8000, 44_100], 8000), ([44_100] * 3, 16_000), ([2000], 4000)]:
        values = [encoded(tone(0.3, rate), rate, "WAV") for rate in rates]
        spec = audio.describe(make_dataset("audio", audio=("audio", values)))
        assert spec["rate"] == wanted
        arrays, rejected = audio.decode(make_dataset("audio", audio=("audio", values)), spec)
        assert rejected == []
        # One and the same tone, whatever it was recorded at.
        assert len(set(arrays["mel"][:, 10].argmax(1).tolist())) == 1


def test_what_cannot_be_read_keeps_a_blank_place(make_dataset: Make) -> None:
    values = [encoded(tone(0.3)), b"noise", encoded(np.zeros(2400)), None, encoded(tone(0.2))]
    data = make_dataset("audio", audio=("audio", values))
    arrays, rejected = audio.decode(data, audio.describe(data))
    assert [(place, reason) for place, reason, _ in rejected] == [
        (1, "not a sound"), (2, "silent"), (3, "missing sound")
    ]  # fmt: skip
    assert (arrays["mel"][[1, 2, 3]] == np.float16(FLOOR)).all()
    with pytest.raises(DataError, match="none of the 2 sounds"):
        audio.describe(data.select(np.array([1, 3])))


def test_columns_that_hold_no_sounds(make_dataset: Make) -> None:
    two = make_dataset("audio", a=("audio", [b"x"]), b=("audio", [b"x"]))
    with pytest.raises(DataError, match="exactly one column of sounds"):
        audio.describe(two)
    with pytest.raises(DataError, match="must hold file names or the bytes"):
        audio.describe(make_dataset("audio", audio=("audio", [1.5])))
    with pytest.raises(DataError, match="says no folder"):
        audio.describe(make_dataset("audio", audio=("audio", ["a.wav"])))


def test_arrays_in_memory() -> None:
    data = Dataset.from_arrays([tone(0.2, 16_000), tone(0.3, 16_000)], [0, 1], modality="audio")
    assert [c.kind for c in data.columns] == ["audio"]
    assert audio.describe(data)["rate"] == 16_000
    with pytest.raises(SettingError, match=r"X\[1\]"):
        Dataset.from_arrays([tone(0.1), np.zeros((2, 100))], modality="audio")
    with pytest.raises(SettingError, match="X"):
        Dataset.from_arrays([], modality="audio")


def test_a_record_is_shown_and_heard(make_dataset: Make) -> None:
    data = make_dataset("audio", audio=("audio", [encoded(tone(9, 44_100), 44_100), b"broken"]))
    shown = audio.show(data, 0)
    picture = Image.open(io.BytesIO(base64.b64decode(shown["png"])))
    assert picture.width <= 192
    with wave.open(io.BytesIO(base64.b64decode(shown["wav"]))) as found:
        assert found.getnframes() == 4 * found.getframerate() == 4 * 16_000
    assert len(shown["wav"]) < 180_000
    assert shown["text"] == "9.00 s, 44.1 kHz, peak -6 dB"
    with pytest.raises(DataError, match="cannot be shown"):
        audio.show(data, 1)


def test_contracts_hold_on_short_and_long_sounds_together() -> None:
    rng = np.random.default_rng(0)
    found = [rng.normal(size=int(size)) for size in [50, 200, 400, *rng.integers(500, 9000, 9)]]
    assert check_modality("audio", Dataset.from_arrays(found, modality="audio"))
