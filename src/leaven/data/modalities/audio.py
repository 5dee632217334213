"""Sounds, from WAV, FLAC or Ogg files or their bytes, as log-mel spectrograms."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.file_column import files_of, root_of
from leaven.data.files import Unreadable
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.sounds import FLOOR, Look, frames_of, log_mel, look, read, wave_file
from leaven.data.views.draws import Operation, compose
from leaven.data.views.sound_ops import Cover, Crop, Gain, Hiss, Raise, Slide, Sound, Stretch

__all__ = ["Audio"]

WEAK: tuple[Operation[Sound], ...] = (Slide(0.08), Gain(3))
STRONG: tuple[Operation[Sound], ...] = (
    Slide(0.08),
    Stretch(0.2),
    Gain(6),
    Hiss(),
    Cover(0.25, 2),
    Cover(0.2, 2, time=False),
)
# Loudness and what a recorder adds tell records apart and say nothing of their kind: an encoder
# that is to find a record's other view must not find it by these.
_CHANGED: tuple[Operation[Sound], ...] = (Stretch(0.2), Raise(3), Gain(15), Hiss(-45, -10))
CONTRASTIVE: tuple[Operation[Sound], ...] = (
    Crop(0.6, 1),
    *_CHANGED,
    Cover(0.2),
    Cover(0.2, time=False),
)
LOCAL: tuple[Operation[Sound], ...] = (Crop(0.3, 0.5, room=0.5), *_CHANGED)

_LOOKED_AT = 200
_RATES = (4_000, 16_000)
_LONGEST = 10.0  # seconds
_FEWEST = 16  # frames
_MELS = 64
_THREADS = 2
_SLICE = 32
_SHOWN = 4.0  # seconds
_TALL = 96  # pixels of a spectrogram
_LEVELS = 32
#: From silence to loud, readable on light and on dark ground.
_COLOURS = ((24, 20, 46), (94, 38, 92), (192, 74, 62), (244, 160, 72), (255, 240, 200))


@MODALITIES.register("audio")
class Audio(Modality):
    """A sound a record. Arrays: "mel" (n, frames, mels) float16, "length" (n,) int64.

    Mel bands are natural logarithms of power (`sounds.log_mel`), frames 10 ms apart; `length`
    counts the frames that are there, the others have the floor. Views are float32.
    Spec: {"rate": samples a second, "seconds": s, "mels": 64, "frames": f}.

    The column of kind audio (else the one named "audio") holds file names relative to the
    dataset's root, or encoded bytes.
    """

    name = "audio"
    encoder = "mel-cnn"
    features = "mel-patches"

    def describe(self, dataset: Dataset) -> Spec:
        """Rate and length, from at most 200 evenly spaced sounds.

        The rate most of them have, at most 16,000 samples a second (speech has little above 8 kHz)
        and at least 4,000; the length under which 95 of 100 stay, at most ten seconds. Longer
        sounds lose their end.

        Raises DataError where none of them can be read.
        """
        every = np.linspace(0, len(dataset) - 1, min(len(dataset), _LOOKED_AT)).astype(np.int64)
        root = root_of(dataset)
        looks: list[Look] = []
        reason = "there are no records"
        for item in files_of(dataset.select(np.unique(every)), "audio").to_pylist():
            try:
                looks.append(look(item, root))
            except Unreadable as error:
                reason = str(error)
        if not looks:
            raise DataError(
                f"none of the {len(every)} sounds looked at can be read, the last because: "
                f"{reason}. Check the column of sounds and the folder it is relative to."
            )
        rates = Counter(seen.rate for seen in looks)
        usual = max(rates, key=lambda rate: (rates[rate], rate))
        rate = int(np.clip(usual, *_RATES))
        usually = float(np.percentile([seen.seconds for seen in looks], 95, method="higher"))
        frames = max(_FEWEST, frames_of(int(min(usually, _LONGEST) * rate), rate))
        seconds = round(0.025 + 0.010 * (frames - 1), 3)
        return {"rate": rate, "seconds": seconds, "mels": _MELS, "frames": frames}

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """All sounds as log-mel; what cannot be read is rejected, with the reason."""
        items, root = files_of(dataset, "audio"), root_of(dataset)
        rate, frames, mels = spec["rate"], spec["frames"], spec["mels"]
        mel = np.full((len(items), frames, mels), FLOOR, np.float16)
        length = np.ones(len(items), np.int64)

        def work(start: int) -> list[Rejected]:
            rejected: list[Rejected] = []
            for place, item in enumerate(items[start : start + _SLICE].to_pylist(), start):
                try:
                    found = log_mel(read(item, root, rate, spec["seconds"]), rate, mels)[:frames]
                    mel[place, : len(found)], length[place] = found, len(found)
                except Unreadable as error:
                    rejected.append((place, error.reason, error.detail))
            return rejected

        # Decoding, resampling and Fourier transforms run outside the interpreter's lock.
        with ThreadPoolExecutor(_THREADS) as pool:
            parts: Iterable[list[Rejected]] = pool.map(work, range(0, len(items), _SLICE))
            rejected = [one for part in parts for one in part]
        return Arrays({"mel": mel, "length": length}), rejected

    def plain(self, batch: Batch) -> Batch:
        """The log-mel as floats."""
        return _batch(_sound(batch))

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Moved by up to a twelfth, and by up to 3 dB louder or softer."""
        return _batch(compose(WEAK, _sound(batch), rng))

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Moved, stretched, at another loudness, with noise, and covered in time and mel bands."""
        return _batch(compose(STRONG, _sound(batch), rng))

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """At least 60 % of it, stretched, at another pitch and loudness, with noise, covered."""
        return _batch(compose(CONTRASTIVE, _sound(batch), rng))

    def local(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """30 to 50 % of it in half as many frames, changed as the contrastive view is."""
        return _batch(compose(LOCAL, _sound(batch), rng))

    def show(self, dataset: Dataset, position: int) -> Shown:
        """Its first four seconds: spectrogram (PNG), WAV of 16 bits, both base64, and in words.

        Raises DataError where it cannot be read.
        """
        item, root = files_of(dataset, "audio")[position].as_py(), root_of(dataset)
        try:
            seen = look(item, root)
            rate = int(np.clip(seen.rate, *_RATES))
            samples = read(item, root, rate, _SHOWN)
        except Unreadable as error:
            raise DataError(
                f"the sound at position {position} cannot be shown. {error}."
            ) from error
        loudest = 20 * np.log10(max(float(np.abs(samples).max()), 1e-6))
        text = f"{seen.seconds:.2f} s, {seen.rate / 1000:g} kHz, peak {loudest:.0f} dB"
        return {
            "kind": "audio",
            "png": _told(_spectrogram(samples, rate)),
            "wav": _told(wave_file(samples, rate, exact=False)),
            "seconds": round(seen.seconds, 3),
            "text": text,
        }


def _sound(batch: Batch) -> Sound:
    return Sound(batch["mel"].to(torch.float32), batch["length"])


def _batch(sound: Sound) -> Batch:
    return {"mel": sound.mel, "length": sound.length}


def _spectrogram(samples: npt.NDArray[np.float32], rate: int) -> bytes:
    """A PNG: time to the right, pitch upwards, 50 dB from dark to light."""
    mel = log_mel(samples, rate, _MELS)
    shade = ((mel - mel.max()) / (5 * np.log(10)) + 1).clip(0, 1)[:, ::-1].T
    grey = Image.fromarray(np.rint(shade * 255).astype(np.uint8))
    width = int(np.clip(1.5 * grey.width, _TALL, 2 * _TALL))
    grey = grey.resize((width, _TALL), Image.Resampling.BILINEAR)
    # A palette: a third of the bytes of true colours.
    places = np.linspace(0, 1, len(_COLOURS))
    colours = [
        np.interp(np.linspace(0, 1, _LEVELS), places, c) for c in zip(*_COLOURS, strict=True)
    ]
    picture = Image.fromarray((np.asarray(grey) * (_LEVELS / 256)).astype(np.uint8)).convert("P")
    picture.putpalette(np.rint(np.stack(colours, 1)).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def _told(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
