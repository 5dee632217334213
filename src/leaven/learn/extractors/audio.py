"""Sound features from a speech or audio model of the Hugging Face family, frozen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import Spec
from leaven.data.portable.hearing import SEED, SHORTEST
from leaven.data.sounds import read
from leaven.learn.extractor import StoredExtractor
from leaven.learn.media import items, readable
from leaven.learn.pretrained import Stamp, changed, device, digest_of, load, placed, stamp

__all__ = ["SECONDS", "Loaded", "SoundEncoder"]

#: Of longer sounds the first so many seconds are heard: what Whisper's encoder takes.
SECONDS = 30.0
_READ = 32  # sounds that are held at a time
_WANTED = "a folder or hub name of an audio encoder with safetensors weights"
_UNUSED = ("masked_spec_embed", "decoder", "text_model", "text_projection", "logit_scale")
_DRAWING = threading.Lock()


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, what makes its inputs, and what they are known by."""

    model: Any
    reader: Any
    width: int
    digest: str


class SoundEncoder(StoredExtractor):
    """Features of sounds as their model's family documents them.

    Models of the waveform (wav2vec 2.0, HuBERT, WavLM): the mean of the last states over time,
    each sound by itself, since those with group normalisation must not see padding. Whisper: the
    mean of its encoder's states over the time that the sound lasts. Audio spectrogram
    transformers: the pooled output, the mean of the class and the distillation token. Models of
    sounds and texts (CLAP): the sound's vector in the space that they share.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> SoundEncoder:
        """Load by folder or hub name; SettingError when there is none."""
        place = placed(name)
        found = _load(place, stamp(place, _WANTED))
        told = {"kind": cls.__name__, "name": place, "width": found.width, "digest": found.digest}
        return cls(told)

    @classmethod
    def open(cls, description: dict[str, Any]) -> SoundEncoder:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        found = cls.find(description["name"])
        if found.description["digest"] != description["digest"]:
            raise changed(description, found.description["digest"])
        return found

    @property
    def loaded(self) -> Loaded:
        """What it consists of."""
        place = self.description["name"]
        return _load(place, stamp(place, _WANTED))

    @torch.inference_mode()
    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, npt.NDArray[Any]]]:
        """Sound by sound, in order."""
        loaded = self.loaded
        loaded.model.to(device())
        rate = int(loaded.reader.sampling_rate)
        found, root = items(dataset, "audio")
        for start in range(0, len(found), _READ):
            part = found[start : start + _READ].to_pylist()
            for row, samples in readable(part, lambda item: read(item, root, rate, SECONDS)):
                features = _features(loaded.model, loaded.reader, samples).cpu().numpy()
                yield np.array([start + row]), features


@lru_cache(maxsize=1)
def _load(name: str, at: Stamp) -> Loaded:
    """The encoder of that name, kept for the next call; `at` tells a changed folder apart."""
    found = load(name, _WANTED, "audio", _reader, _UNUSED)
    model, reader = found.model, found.reader
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    try:
        with torch.inference_mode():
            probe = np.sin(np.arange(int(reader.sampling_rate), dtype=np.float32))
            width = _features(model, reader, probe).shape[1]
    except Exception as failed:
        fix = f"It does not read sounds: {' '.join(str(failed).split())[:200]}"
        raise SettingError("encoder", _WANTED, name, fix) from failed
    said = reader.to_dict()
    said.pop("mel_filters", None)  # follows from the rest
    return Loaded(model, reader, int(width), digest_of(model, said, _UNUSED))


def _reader(name: str, how: dict[str, Any]) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(name, **how)


@contextmanager
def _drawn_alike() -> Iterator[None]:
    """The parts of a long sound that CLAP's reader draws, by NumPy's own generator, each time."""
    with _DRAWING:
        before = np.random.get_state()
        np.random.seed(SEED)
        try:
            yield
        finally:
            np.random.set_state(before)


def _features(model: Any, reader: Any, samples: npt.NDArray[np.float32]) -> Tensor:
    """(1, width) float32 features of (m,) samples at the reader's rate."""
    rate = int(reader.sampling_rate)
    filled = np.pad(samples, (0, max(round(SHORTEST * rate) - len(samples), 0)))
    with _drawn_alike():
        read = reader(filled, sampling_rate=rate, return_tensors="pt")
    where = next(model.parameters()).device
    inputs = {key: value.to(where) for key, value in read.items() if isinstance(value, Tensor)}
    inputs.pop("attention_mask", None)  # one sound has no padding that we did not put there
    if hasattr(model, "get_audio_features"):
        seen = model.get_audio_features(**inputs)
        return (seen if isinstance(seen, Tensor) else seen.pooler_output).float()
    seen = model(**inputs)
    pooled = getattr(seen, "pooler_output", None)
    if pooled is not None:
        return torch.as_tensor(pooled).float()
    states = seen.last_hidden_state
    if "n_samples" in reader.to_dict():  # always as long as the longest: the rest is silence
        share = len(filled) / reader.n_samples
        states = states[:, : max(1, round(share * states.shape[1]))]
    return torch.as_tensor(states.mean(1)).float()
