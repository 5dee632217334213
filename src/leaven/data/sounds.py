"""Sound files made harmless: opened within bounds, one channel, one rate, and their log-mel.

Whatever a file turns out to be, the outcome is a sound or one `Unreadable` that says why. This
is the only module that imports soundfile (libsndfile).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile
from scipy.signal import firwin, resample_poly

from leaven.data.files import Unreadable, source

__all__ = [
    "FLOOR",
    "LONGEST",
    "Look",
    "filters",
    "frames_of",
    "log_mel",
    "look",
    "read",
    "wave_file",
]

#: Longer sounds are refused unread: an hour, in seconds.
LONGEST = 3600.0
#: Natural logarithm of the least power that a mel band is given, 60 dB under a full-scale one and
#: above the noise of 16 bits. Padding has it everywhere.
FLOOR = float(np.log(1e-6))

_RATES = (1_000, 384_000)
_MOST_CHANNELS = 32
_BLOCK = 1 << 16  # frames that are decoded at a time
_WINDOW, _HOP = 0.025, 0.010  # seconds
_LOUDEST = 1e6  # a sample beyond is damage: sounds lie in -1 … 1, or in a range of integers
_FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG"}

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What a sound's header says: samples a second and seconds."""

    rate: int
    seconds: float


def look(item: str | bytes | None, root: Path | None) -> Look:
    """Rate and length of a sound, from its header. Parameters and errors are those of `read`."""
    with _opened(item, root) as sound:
        return Look(sound.samplerate, sound.frames / sound.samplerate)


def read(item: str | bytes | None, root: Path | None, rate: int, seconds: float) -> Samples:
    """(m,) the first `seconds` of a sound at `rate` samples a second: the mean of its channels.

    `item` is a file name relative to `root`, or the bytes of a WAV, FLAC or Ogg file. What lies
    behind the first seconds is not decoded, so a long file costs no more than a short one.

    Raises `Unreadable` for a missing or outside file, and for bytes that are empty, no sound of a
    known format, damaged, without samples, silent, not finite, longer than `LONGEST`, or of a rate
    or a number of channels that no recorder has.
    """
    with _opened(item, root) as sound:
        own = int(sound.samplerate)
        samples = _first(sound, int(np.ceil(seconds * own)))
    if not len(samples):
        raise Unreadable("no samples", "the sound has no length")
    if not np.isfinite(samples).all() or np.abs(samples).max() > _LOUDEST:
        raise Unreadable("damaged sound", "samples are not finite, or far beyond any scale")
    if np.ptp(samples) == 0:
        raise Unreadable("silent", f"all of its first {len(samples)} samples are the same")
    return _at_rate(samples, own, rate)


def frames_of(samples: int, rate: int) -> int:
    """The number of 25 ms windows, 10 ms apart, that lie in so many samples; one at least."""
    window, hop = round(_WINDOW * rate), round(_HOP * rate)
    return 1 + max(samples - window, 0) // hop


def log_mel(samples: Samples, rate: int, mels: int) -> Samples:
    """(frames, mels) natural logarithms of the power in mel bands, at least `FLOOR`.

    Windows of 25 ms, 10 ms apart, of a periodic Hann; power of the Fourier transform, filled up
    with zeros to at least twice the window, so that the lowest bands have bins of their own;
    the `filters`. The samples' mean is taken off before.
    """
    window, hop = round(_WINDOW * rate), round(_HOP * rate)
    count = frames_of(len(samples), rate)
    samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    padded = np.pad(samples, (0, max(window + (count - 1) * hop - len(samples), 0)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, window)[: count * hop : hop]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    spectrum = np.fft.rfft(cut * hann, _points(rate))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bands = power @ filters(rate, mels).T
    logs: Samples = np.log(np.maximum(bands, np.float32(np.exp(FLOOR))))
    return logs


@lru_cache(maxsize=8)
def filters(rate: int, mels: int) -> Samples:
    """(mels, bins) triangles with peaks of one, evenly spaced on the mel scale from 0 to rate / 2.

    The scale is that of HTK (O'Shaughnessy 1987): 2595 log10(1 + f / 700).
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)  # hertz
    bins = np.fft.rfftfreq(_points(rate), 1 / rate)
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def wave_file(samples: npt.NDArray[np.floating[Any]], rate: int, *, exact: bool) -> bytes:
    """The bytes of a WAV file of one channel: 32-bit floats if `exact`, else 16-bit integers."""
    buffer = io.BytesIO()
    if exact:
        wavfile.write(buffer, rate, np.asarray(samples, np.float32))
    else:
        loudest = max(1.0, float(np.abs(samples).max(initial=0)))
        wavfile.write(buffer, rate, np.rint(samples / loudest * 32767).astype(np.int16))
    return buffer.getvalue()


@contextmanager
def _opened(item: str | bytes | None, root: Path | None) -> Iterator[Any]:
    """The sound with its header read and checked; every failure as `Unreadable`."""
    import soundfile

    try:
        found = source(item, root, "sound")
        _require_known(found)
        with soundfile.SoundFile(found) as sound:
            _check(sound)
            yield sound
    except Unreadable:
        raise
    except Exception as error:
        # libsndfile meets damage with errors of its own, NumPy with others; none of them may end
        # a run over many files.
        raise Unreadable("undecodable sound", f"{type(error).__name__}: {error}") from error


def _require_known(found: io.BytesIO | Path) -> None:
    """Raise `Unreadable` unless the first bytes are of a format that is read."""
    if isinstance(found, Path):
        with found.open("rb") as file:
            head = file.read(12)
    else:
        head = found.getbuffer()[:12].tobytes()
    wave = head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"
    if not wave and not head.startswith((b"fLaC", b"OggS")):
        raise Unreadable("not a sound", "the bytes are of no known sound format")


def _check(sound: Any) -> None:
    """Raise `Unreadable` for a header that promises what no sound can keep."""
    if sound.format not in _FORMATS:
        raise Unreadable("not a sound", f"the format {sound.format} is not read")
    if not _RATES[0] <= sound.samplerate <= _RATES[1]:
        raise Unreadable("unknown rate", f"{sound.samplerate} samples a second")
    if not 1 <= sound.channels <= _MOST_CHANNELS:
        raise Unreadable("unusual channels", f"{sound.channels} channels")
    if sound.frames / sound.samplerate > LONGEST:
        raise Unreadable("too long", f"more than {LONGEST:.0f} seconds")


def _first(sound: Any, wanted: int) -> Samples:
    """(m,) the mean of the channels of the first samples; fewer where the sound ends."""
    parts: list[Samples] = []
    while wanted > 0:
        block = sound.read(min(wanted, _BLOCK), dtype="float32", always_2d=True)
        if not len(block):
            break
        with np.errstate(over="ignore", invalid="ignore"):
            parts.append(block.mean(1))
        wanted -= len(block)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _at_rate(samples: Samples, own: int, rate: int) -> Samples:
    """(m,) samples of the rate `own` at `rate`, band-limited."""
    if own == rate:
        return samples
    # Odd rates come within a thousandth: their exact ratio would ask for an endless filter.
    ratio = Fraction(rate, own).limit_denominator(640)
    up, down = ratio.numerator, ratio.denominator
    changed: Samples = resample_poly(samples, up, down, window=_filter(max(up, down)))
    return changed.astype(np.float32, copy=False)


@lru_cache(maxsize=32)
def _filter(wide: int) -> Samples:
    """The low-pass of scipy's `resample_poly`, made once for all files of a rate."""
    taps: Samples = firwin(20 * wide + 1, 1 / wide, window=("kaiser", 5.0)).astype(np.float32)
    return taps


def _points(rate: int) -> int:
    """The length of the Fourier transform: a power of two, at least twice the window."""
    return int(2 ** np.ceil(np.log2(2 * round(_WINDOW * rate))))
