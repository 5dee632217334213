"""Pictures: which part of them an encoder is shown, and its network, traced."""

from __future__ import annotations

import io
from dataclasses import asdict
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from leaven.learn.extractor import open_extractor
from leaven.learn.extractors.image import PictureEncoder
from leaven.learn.extractors.timm import TimmEncoder
from leaven.learn.picture_input import PictureInput
from leaven.operate.export.encoder_kinds import Entered
from leaven.operate.export.extractor_kinds import EXTRACTOR_GRAPHS, Elsewhere, Inputs
from leaven.operate.export.layers import by_channel
from leaven.operate.export.traced import traced

__all__ = ["Pictures"]

_TOGETHER = 8  # pictures that are asked at once: more fill the memory and gain nothing on a core
_SIDES = (8, 96)  # of pictures that are made up


class _Loaded(Protocol):
    """What the encoders of pictures have in common."""

    @property
    def model(self) -> Any:
        """The network."""

    @property
    def input(self) -> PictureInput:
        """How pictures are scaled and cut."""

    def features(self, pixels: Tensor) -> Tensor:
        """(n, width) of (n, 3, height, width)."""


class Pictures(Elsewhere):
    """A network of pictures, of the Hugging Face family or of timm."""

    @cached_property
    def loaded(self) -> _Loaded:
        """The network, and what it wants of pictures."""
        encoder = open_extractor(self.front.extractor or {})
        assert isinstance(encoder, PictureEncoder | TimmEncoder)
        return encoder.loaded

    def reading(self) -> dict[str, Any]:
        """As `portable.Framing` wants it."""
        return {"framing": asdict(self.loaded.input.framing), "together": _TOGETHER}

    def inputs(self) -> Inputs:
        """The part that is shown, of 0 to 255."""
        return {"pixels": (np.uint8, ["n", 3, *self.loaded.input.framing.size])}

    def extracted(self, arrays: Entered) -> Entered:
        """The features of the pixels, which are scaled as it wants them."""
        pixels, wish = arrays["pixels"], self.loaded.input
        mean, deviation = (by_channel(torch.tensor(a)) for a in (wish.mean, wish.deviation))
        scaled = (pixels.cast(np.float32) * wish.scale - mean) / deviation
        shape = (2, 3, *wish.framing.size)
        example = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        name = str((self.front.extractor or {})["name"])
        network, given = _Network(self.loaded), {"pixels": scaled}
        told = traced(pixels.graph, network, given, {"pixels": example}, {"pixels": {0: "n"}}, name)
        return {"features": told}

    def made(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Files of noise in several shapes."""
        return [_png(rng.integers(0, 256, (*rng.integers(*_SIDES, 2), 3))) for _ in range(count)]


class _Network(nn.Module):
    """From pixels to features."""

    def __init__(self, loaded: _Loaded) -> None:
        super().__init__()
        self.model, self._features = loaded.model, loaded.features

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, width) of (n, 3, height, width)."""
        return self._features(pixels)


def _png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


for _kind in (PictureEncoder, TimmEncoder):
    EXTRACTOR_GRAPHS.add(_kind.__name__, Pictures)
