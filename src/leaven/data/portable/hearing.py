"""What models of sounds from elsewhere read: a waveform, or log-mel as their family makes it.

With NumPy alone the numbers of the feature extractors of transformers, which the encoders were
trained behind: wav2vec 2.0 and its kin (Baevski et al. 2020, arXiv:2006.11477), Whisper (Radford
et al. 2022, arXiv:2212.04356), audio spectrogram transformers (Gong et al. 2021, arXiv:2104.01778)
and CLAP (Wu et al. 2023, arXiv:2211.06687).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SEED", "SHORTEST", "heard"]

Floats = npt.NDArray[np.floating[Any]]

#: Seconds; shorter sounds are filled up, or a convolution has nothing to read.
SHORTEST = 0.1
#: CLAP hears parts of a long sound that are drawn: the same ones each time.
SEED = 0

_KALDI_FLOOR, _FLOOR = 1.192092955078125e-07, 1e-10  # of the power in a band
_SPAN = 8.0  # Whisper: powers of ten under the loudest that count


def heard(samples: npt.NDArray[np.float32], told: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The inputs of the encoder for one sound, each without an axis for records.

    Parameters
    ----------
    samples : (m,) at the rate of the encoder.
    told : `kind` (`waveform`, `whisper`, `ast`, `clap`), `rate`, and what the kind needs: whether
        a waveform is `normalised`; `mels`, `points` of the Fourier transform, `hop`, the `samples`
        that are heard, and how many `states` the encoder gives for them; `frames`, `mean` and
        `deviation`; `low` and `high` ends of the bands in hertz, `padding`, and whether it is a
        `fused` model.

    Returns `samples` (m,) of a waveform, else `mel`: of Whisper (mels, frames), with `states`, the
    number of those that lie within the sound; of a spectrogram transformer (frames, mels); of CLAP
    (1, frames, mels), or (4, frames, mels) of a fused model.
    """
    filled = np.pad(samples, (0, max(round(SHORTEST * told["rate"]) - len(samples), 0)))
    return _KINDS[told["kind"]](filled, told)


def _waveform(samples: Floats, told: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    if told["normalised"]:
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return {"samples": samples.astype(np.float32)}


def _whisper(samples: Floats, told: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    most, states = told["samples"], told["states"]
    within = min(states, max(1, round(len(samples) / most * states)))
    whole = np.pad(samples[:most], (0, max(most - len(samples), 0)))
    power = _power(_around(whole, told["points"]), _hann(told["points"]), told["hop"])[:-1]
    bands = power @ _bands("slaney", told["mels"], power.shape[1], 0.0, 8000.0, told["rate"])
    logs = np.log10(np.maximum(bands, _FLOOR))
    scaled = (np.maximum(logs, logs.max() - _SPAN) + 4) / 4
    return {"mel": scaled.T.astype(np.float32), "states": np.array(within, np.int64)}


def _ast(samples: Floats, told: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    rate, most = told["rate"], told["frames"]
    # Kaldi's: windows without their mean, their high tones raised, symmetric, filled up to 512.
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    cut = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)
    cut = cut[: most * 160 : 160]
    cut = cut - cut.mean(1, keepdims=True)
    before = np.concatenate([cut[:, :1], cut[:, :-1]], axis=1)
    spectrum = np.fft.rfft((cut - 0.97 * before) * window, 512)
    power = spectrum.real**2 + spectrum.imag**2
    bands = power @ _bands("kaldi", told["mels"], 257, 20.0, rate // 2, rate)
    mel = np.zeros((most, told["mels"]))
    mel[: len(bands)] = np.log(np.maximum(bands, _KALDI_FLOOR))
    return {"mel": ((mel - told["mean"]) / told["deviation"]).astype(np.float32)}


def _clap(samples: Floats, told: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    most, fused = told["samples"], told["fused"]
    drawn = np.random.RandomState(SEED)
    if len(samples) > most and not fused:
        start = drawn.randint(0, len(samples) - most + 1)
        samples = samples[start : start + most]
    if len(samples) < most:
        copies = most // len(samples)
        if told["padding"] == "repeat":
            samples = np.tile(samples, copies + 1)[:most]
        elif told["padding"] == "repeatpad":
            samples = np.tile(samples, copies)
        samples = np.pad(samples, (0, most - len(samples)))
    power = _power(_around(samples, told["points"]), _hann(told["points"]), told["hop"])
    scale = "htk" if fused else "slaney"
    bins = power.shape[1]
    bands = power @ _bands(scale, told["mels"], bins, told["low"], told["high"], told["rate"])
    mel = 10 * np.log10(np.maximum(bands, _FLOOR))
    frames = most // told["hop"] + 1
    if not fused:
        parts = [mel]
    elif len(mel) <= frames:
        parts = [mel] * 4
    else:
        parts = [_shrunk(mel, frames), *_thirds(mel, frames, drawn)]
    return {"mel": np.stack(parts).astype(np.float32)}


def _thirds(mel: Floats, frames: int, drawn: np.random.RandomState) -> list[Floats]:
    """Three parts of that many frames, each from another third of the sound."""
    starts = np.array_split(np.arange(len(mel) - frames + 1), 3)
    chosen = [drawn.choice(part) if len(part) else drawn.choice([0]) for part in starts]
    return [mel[start : start + frames] for start in chosen]


def _shrunk(mel: Floats, frames: int) -> Floats:
    """(frames, mels) of more of them, read at even places between their middles."""
    # In single precision, as torch has it: from frame to frame a band may change by 50 dB.
    scale, middle = np.float32(len(mel) / frames), np.arange(frames, dtype=np.float32) + 0.5
    places = (middle * scale - np.float32(0.5)).clip(0, len(mel) - 1)
    low = places.astype(np.int64)
    high, share = np.minimum(low + 1, len(mel) - 1), (places - low)[:, None]
    return mel[low] * (1 - share) + mel[high] * share


def _around(samples: Floats, points: int) -> Floats:
    """With half a window more at both ends, mirrored, so that windows lie around their places."""
    return np.pad(samples.astype(np.float64), points // 2, mode="reflect")


def _hann(points: int) -> Floats:
    """A periodic one."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(points) / points)


def _power(samples: Floats, window: Floats, hop: int) -> Floats:
    """(frames, bins) power of the Fourier transform of windows."""
    cut = np.lib.stride_tricks.sliding_window_view(samples, len(window))[::hop]
    spectrum = np.fft.rfft(cut * window)
    return spectrum.real**2 + spectrum.imag**2


@lru_cache(maxsize=8)
def _bands(scale: str, mels: int, bins: int, low: float, high: float, rate: int) -> Floats:
    """(bins, mels) triangles that are evenly spaced on a scale of mel, from `low` to `high` hertz.

    Of `slaney` each has the same area, of the others the same height; those of `kaldi` are
    triangles on its scale, the others in hertz.
    """
    corners: Floats = np.linspace(_mel(np.array(low), scale), _mel(np.array(high), scale), mels + 2)
    places: Floats = np.linspace(0, rate // 2, bins)
    if scale == "kaldi":
        places = _mel(np.arange(bins) * rate / (2 * (bins - 1)), scale)
    else:
        corners = _hertz(corners, scale)
    width = np.diff(corners)
    rising = (places[:, None] - corners[:-2]) / width[:-1]
    falling = (corners[2:] - places[:, None]) / width[1:]
    found = np.maximum(0, np.minimum(rising, falling))
    return found * 2 / (corners[2:] - corners[:-2]) if scale == "slaney" else found


#: Slaney's: even in hertz up to a thousand, the fifteenth, from there on in their logarithm.
_BEND, _AT, _STEP = 1000.0, 15.0, np.log(6.4) / 27


def _mel(hertz: Floats, scale: str) -> Floats:
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    if scale == "kaldi":
        return 1127 * np.log(1 + hertz / 700)
    above = _AT + np.log(np.maximum(hertz, _BEND) / _BEND) / _STEP
    return np.where(hertz >= _BEND, above, hertz * 3 / 200)


def _hertz(mel: Floats, scale: str) -> Floats:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel >= _AT, _BEND * np.exp(_STEP * (mel - _AT)), mel * 200 / 3)


_KINDS: dict[str, Callable[[Floats, Mapping[str, Any]], dict[str, npt.NDArray[Any]]]] = {
    "waveform": _waveform, "whisper": _whisper, "ast": _ast, "clap": _clap,
}  # fmt: skip
