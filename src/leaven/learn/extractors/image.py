"""Picture features from a vision model of the Hugging Face family, frozen."""

from __future__ import annotations

from collections.abc import Iterator
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
from leaven.data.pictures import read
from leaven.learn.extractor import StoredExtractor
from leaven.learn.media import items, readable
from leaven.learn.picture_input import PictureInput
from leaven.learn.pretrained import (
    Stamp,
    changed,
    device,
    digest_of,
    file_of,
    load,
    placed,
    stamp,
)

__all__ = ["PictureEncoder"]

_BATCH = 32
_WANTED = "a folder or hub name of an image encoder with safetensors weights"
#: Families whose features are the state of the class token, after the last norm; a pooling layer,
#: where they have one, is made for another purpose and often not in the weights.
_CLASS_TOKEN = {
    "vit",
    "deit",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "vit_mae",
    "vit_msn",
}
_UNUSED = ("pooler.dense", "decoder", "mask_token", "logit_scale", "logit_bias", "text_model")


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model, what it wants of pictures, and what they are known by."""

    model: Any
    input: PictureInput
    width: int
    digest: str

    def features(self, pixels: Tensor) -> Tensor:
        """(n, width) float32 of (n, 3, height, width) pictures."""
        return _features(self.model, pixels)


class PictureEncoder(StoredExtractor):
    """Features of pictures as their model's family documents them.

    DINOv2, DINOv3, ViT and their kin: the state of the class token. Models of pictures and texts
    (CLIP, SigLIP): the picture's vector in the space that they share. Others: the pooled output,
    or the mean over all places where there is none. Pictures are scaled and normalised as the
    model's `preprocessor_config.json` says, by Pillow.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> PictureEncoder:
        """Load by folder or hub name; SettingError when there is none."""
        place = placed(name)
        found = _load(place, stamp(place, _WANTED))
        told = {"kind": cls.__name__, "name": place, "width": found.width, "digest": found.digest}
        return cls(told)

    @classmethod
    def open(cls, description: dict[str, Any]) -> PictureEncoder:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        found = cls.find(description["name"])
        if found.description["digest"] != description["digest"]:
            raise changed(description, found.description["digest"])
        return found

    @property
    def loaded(self) -> _Loaded:
        """The model, and what it wants of pictures."""
        place = self.description["name"]
        return _load(place, stamp(place, _WANTED))

    @torch.inference_mode()
    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, npt.NDArray[Any]]]:
        """Batch by batch, in order."""
        loaded = self.loaded
        wish, hint = loaded.input, loaded.input.framing.hint
        loaded.model.to(device())
        found, root = items(dataset, "image")
        for start in range(0, len(found), _BATCH):
            part = found[start : start + _BATCH].to_pylist()
            there = list(readable(part, lambda item: wish(read(item, root, hint=hint))))
            if there:
                pixels = torch.from_numpy(np.stack([picture for _, picture in there]))
                rows = start + np.array([row for row, _ in there])
                yield rows, loaded.features(pixels.to(device())).cpu().numpy()


@lru_cache(maxsize=1)
def _load(name: str, at: Stamp) -> _Loaded:
    """The encoder of that name, kept for the next call; `at` tells a changed folder apart."""
    found = load(name, _WANTED, "vision", lambda name, how: None, _UNUSED)
    model, said = found.model, file_of(name, "preprocessor_config.json")
    if not isinstance(said, dict):
        fix = "It has no preprocessor_config.json, which says how large pictures must be."
        raise SettingError("encoder", _WANTED, name, fix)
    if hasattr(model.config, "mask_ratio"):
        model.config.mask_ratio = 0.0  # a masked autoencoder hides random parts else
    try:
        wish = PictureInput.of_processor(said)
        with torch.inference_mode():
            probe = torch.zeros(1, 3, *wish.framing.size)
            width = _features(model, probe).shape[1]
    except Exception as failed:
        fix = f"It does not read pictures: {' '.join(str(failed).split())[:200]}"
        raise SettingError("encoder", _WANTED, name, fix) from failed
    return _Loaded(model, wish, int(width), digest_of(model, wish.settings, _UNUSED))


def _features(model: Any, pixels: Tensor) -> Tensor:
    """(n, width) float32 features of (n, 3, height, width) pictures."""
    if hasattr(model, "get_image_features"):
        seen = model.get_image_features(pixel_values=pixels)
        pooled = seen if isinstance(seen, Tensor) else seen.pooler_output
        return torch.as_tensor(pooled).float()
    seen = model(pixel_values=pixels)
    states = seen.last_hidden_state
    if model.config.model_type in _CLASS_TOKEN:
        return torch.as_tensor(states[:, 0]).float()
    pooled = getattr(seen, "pooler_output", None)
    if pooled is None:
        pooled = states.mean((2, 3)) if states.ndim == 4 else states.mean(1)
    return torch.as_tensor(pooled).flatten(1).float()
