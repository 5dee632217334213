"""Sounds: how their encoder's family reads them, and its network, traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leaven.data.sounds import wave_file
from leaven.learn.extractor import open_extractor
from leaven.learn.extractors.audio import SECONDS, Loaded, SoundEncoder
from leaven.operate.export.encoder_kinds import Entered
from leaven.operate.export.extractor_kinds import EXTRACTOR_GRAPHS, Elsewhere, Inputs
from leaven.operate.export.layers import unsupported
from leaven.operate.export.traced import traced

__all__ = ["Sounds"]

_MADE, _LONGEST = 16, 3.0  # sounds that are made up at most, and their seconds
#: Families whose code branches on the length of a sound: traced by one, it is wrong for others.
_BRANCHING = ("sew", "sew-d")
_FREE = {"waveform": {1: "time"}}  # axes of any length, by what is read


class Sounds(Elsewhere):
    """A network of waveforms or spectrograms, of the Hugging Face family.

    It is asked sound by sound, as runs ask it: a waveform must not be filled up to the length of
    another, and CLAP's network is written so that it cannot be traced for any number of them.
    """

    @cached_property
    def loaded(self) -> Loaded:
        """The network, and what makes its inputs."""
        encoder = open_extractor(self.front.extractor or {})
        assert isinstance(encoder, SoundEncoder)
        return encoder.loaded

    @cached_property
    def _told(self) -> dict[str, Any]:
        """What `portable.hearing` must know, but for the number of states."""
        reader = self.loaded.reader
        kind = type(reader).__name__
        if kind not in _READERS:
            raise unsupported("feature extractor", kind)
        return {"rate": int(reader.sampling_rate), "seconds": SECONDS} | _READERS[kind](reader)

    @cached_property
    def _network(self) -> _Network:
        return _Network(self.loaded.model, self.loaded.reader.model_input_names[0])

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Of what the network makes of one sound: (1, width), or (1, states, width)."""
        with torch.inference_mode():
            return tuple(self._network(self._example()).shape)

    def reading(self) -> dict[str, Any]:
        """As `portable.hearing` wants it."""
        states = {"states": self._shape[1]} if self._told["kind"] == "whisper" else {}
        return {"hearing": self._told | states, "together": 1}

    def inputs(self) -> Inputs:
        """A waveform or a spectrogram; with Whisper's the number of states within the sound."""
        if self._told["kind"] == "waveform":
            return {"samples": (np.float32, [1, "time"])}
        mel: Inputs = {"mel": (np.float32, [*self._example().shape])}
        return mel | ({"states": (np.int64, [1])} if self._told["kind"] == "whisper" else {})

    def extracted(self, arrays: Entered) -> Entered:
        """The pooled output, else the mean of the states over the time of the sound."""
        heard = arrays["samples" if self._told["kind"] == "waveform" else "mel"]
        name, kind = str((self.front.extractor or {})["name"]), self.loaded.model.config.model_type
        if kind in _BRANCHING:
            raise unsupported("encoder", f"{kind}, which branches on the length of a sound")
        with _all_fused(self.loaded.model):
            found = traced(
                heard.graph, self._network, {"heard": heard}, {"heard": self._example()},
                {"heard": _FREE.get(self._told["kind"], {})}, name,
            )  # fmt: skip
        if len(self._shape) == 2:
            return {"features": found}
        if "states" not in arrays:
            return {"features": found.mean(1)}
        within = arrays["states"].unsqueeze(1)  # of all states those that are no silence behind
        there = heard.graph.op("Greater", within, np.arange(self._shape[1])).cast(np.float32)
        return {"features": (found * there.unsqueeze(2)).sum(1) / there.sum(1, keep=True)}

    def made(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Files of noise of several lengths and loudnesses, sixteen at most: they take time."""
        rate, many = self._told["rate"], min(count, _MADE)
        lengths = (rng.uniform(0.05, _LONGEST, many) * rate).astype(np.int64)
        loud = rng.uniform(0.001, 0.3, many)
        sounds = [a * rng.standard_normal(m) for a, m in zip(loud, lengths, strict=True)]
        return [wave_file(sound, rate, exact=False) for sound in sounds]

    def _example(self) -> Tensor:
        """One input, by which the network is followed."""
        shape = _SHAPES[self._told["kind"]](self._told)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class _Network(nn.Module):
    """From what is heard to a vector, or to states over time."""

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        self.model, self._name = model, name

    def forward(self, heard: Tensor) -> Tensor:
        """(n, width) or (n, states, width)."""
        if hasattr(self.model, "get_audio_features"):
            every = torch.ones(len(heard), 1, dtype=torch.bool, device=heard.device)
            seen = self.model.get_audio_features(input_features=heard, is_longer=every)
            return seen if isinstance(seen, Tensor) else torch.as_tensor(seen.pooler_output)
        seen = self.model(**{self._name: heard})
        pooled = getattr(seen, "pooler_output", None)
        return torch.as_tensor(seen.last_hidden_state if pooled is None else pooled)


@contextmanager
def _all_fused(model: Any) -> Iterator[None]:
    """With all sounds as long ones, which is how CLAP hears one by itself, however short it is.

    It would look for those that are, and how many it finds cannot be traced.
    """
    encoder = getattr(getattr(model, "audio_model", None), "audio_encoder", None)
    if not getattr(encoder, "enable_fusion", False):
        yield
        return

    def every(module: nn.Module, given: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        return given[0], torch.arange(len(given[0]))

    handle = encoder.patch_embed.register_forward_pre_hook(every)  # type: ignore[union-attr]
    try:
        yield
    finally:
        handle.remove()


def _waveform(reader: Any) -> dict[str, Any]:
    return {"kind": "waveform", "normalised": bool(reader.do_normalize)}


def _whisper(reader: Any) -> dict[str, Any]:
    if getattr(reader, "dither", 0.0):
        raise unsupported("feature extractor", "one of Whisper that adds noise (dither)")
    return {
        "kind": "whisper", "mels": int(reader.feature_size), "points": int(reader.n_fft),
        "hop": int(reader.hop_length), "samples": int(reader.n_samples),
    }  # fmt: skip


def _ast(reader: Any) -> dict[str, Any]:
    mean, deviation = (reader.mean, reader.std * 2) if reader.do_normalize else (0.0, 1.0)
    return {
        "kind": "ast", "mels": int(reader.num_mel_bins), "frames": int(reader.max_length),
        "mean": float(mean), "deviation": float(deviation),
    }  # fmt: skip


def _clap(reader: Any) -> dict[str, Any]:
    return {
        "kind": "clap", "mels": int(reader.feature_size), "points": int(reader.fft_window_size),
        "hop": int(reader.hop_length), "samples": int(reader.nb_max_samples),
        "low": float(reader.frequency_min), "high": float(reader.frequency_max),
        "fused": reader.truncation == "fusion", "padding": str(reader.padding),
    }  # fmt: skip


#: What `portable.hearing` must know of feature extractors, by the names of their types.
_READERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Wav2Vec2FeatureExtractor": _waveform, "WhisperFeatureExtractor": _whisper,
    "ASTFeatureExtractor": _ast, "ClapFeatureExtractor": _clap,
}  # fmt: skip

#: The shape of one input, by its kind.
_SHAPES: dict[str, Callable[[dict[str, Any]], tuple[int, ...]]] = {
    "waveform": lambda told: (1, told["rate"] // 2),
    "whisper": lambda told: (1, told["mels"], told["samples"] // told["hop"]),
    "ast": lambda told: (1, told["frames"], told["mels"]),
    "clap": lambda told: (
        1, 4 if told["fused"] else 1, told["samples"] // told["hop"] + 1, told["mels"]
    ),
}  # fmt: skip

EXTRACTOR_GRAPHS.add(SoundEncoder.__name__, Sounds)
