"""Series features from a time series model of the Hugging Face family, frozen."""

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
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.extractor import Extractor, StoredExtractor
from leaven.learn.pretrained import Stamp, changed, device, digest_of, load, placed, stamp

__all__ = ["Loaded", "SeriesEncoder", "features"]

_BATCH = 64
_WANTED = "a folder or hub name of a time series model with safetensors weights: PatchTST, \
PatchTSMixer or TimesFM"
#: Parts that forecast, and that no feature is made with.
_UNUSED = ("head", "decoder.layers_norm", "output_projection", "horizon_ff_layer")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model and what it is known by: how many steps and channels it reads, and its width."""

    model: Any
    steps: int
    channels: int
    width: int
    digest: str


class SeriesEncoder(StoredExtractor):
    """The mean of the last states over time, channel beside channel.

    A series is scaled in time, linearly, to the steps that the model reads. A model of as many
    channels as the series have reads them together, one of a single channel reads each by itself.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> SeriesEncoder:
        """Load by folder or hub name; SettingError when there is none."""
        place = placed(name)
        found = _load(place, stamp(place, _WANTED))
        told = {"kind": cls.__name__, "name": place, "width": found.width, "digest": found.digest}
        return cls(told)

    @classmethod
    def open(cls, description: dict[str, Any]) -> SeriesEncoder:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        found = cls.find(description["name"])
        if found.description["digest"] != description["digest"]:
            raise changed(description, found.description["digest"])
        return cls(description)

    @property
    def loaded(self) -> Loaded:
        """What it consists of."""
        name = self.description["name"]
        return _load(name, stamp(name, _WANTED))

    def prepared(self, dataset: Dataset, spec: Spec) -> Extractor:
        """As wide as series of these channels make it; SettingError where they do not fit."""
        name, loaded, channels = self.description["name"], self.loaded, int(spec["channels"])
        if loaded.channels not in (1, channels):
            wanted = f"a model of 1 or {channels} channels, as the series have"
            raise SettingError("encoder", wanted, f"{name} ({loaded.channels})")
        return SeriesEncoder(self.description | {"width": loaded.width * channels})

    @torch.inference_mode()
    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, npt.NDArray[Any]]]:
        """Batch by batch, in order."""
        loaded = self.loaded
        model = loaded.model.to(device())
        arrays, rejected = MODALITIES["series"].decode(dataset, spec)
        rows = np.setdiff1d(np.arange(len(dataset)), [row for row, _, _ in rejected])
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            batch = arrays.batch(part)
            values = torch.stack(
                [
                    _scaled(one, there, loaded.steps)
                    for one, there in zip(batch["values"], batch["there"], strict=True)
                ]
            )
            yield part, features(model, values.to(device()), loaded.channels).cpu().numpy()


@lru_cache(maxsize=1)
def _load(name: str, at: Stamp) -> Loaded:
    """The encoder of that name, kept for the next call; `at` tells a changed folder apart."""
    model = load(name, _WANTED, "series", lambda name, how: None, _UNUSED).model
    config = model.config
    steps = int(getattr(config, "context_length", 0))
    channels = int(getattr(config, "num_input_channels", 1))
    if getattr(model, "do_mask_input", False):  # pretraining hides random patches
        model.do_mask_input, model.masking = False, torch.nn.Identity()
    try:
        with torch.inference_mode():
            width = features(model, torch.randn(1, steps, channels), channels).shape[1]
    except Exception as failed:
        fix = f"It does not read series: {' '.join(str(failed).split())[:200]}"
        raise SettingError("encoder", _WANTED, name, fix) from failed
    return Loaded(model, steps, channels, int(width) // channels, digest_of(model, {}, _UNUSED))


def _scaled(values: Tensor, there: Tensor, steps: int) -> Tensor:
    """(steps, channels) of (length, channels): the part that is measured, scaled in time."""
    known = torch.nonzero(there.any(1))
    end = int(known[-1]) + 1 if len(known) else len(values)
    part = values[:end].float().t().unsqueeze(0)
    return torch.nn.functional.interpolate(part, steps, mode="linear", align_corners=True)[0].t()


def features(model: Any, values: Tensor, channels: int) -> Tensor:
    """(n, width · c) features of (n, steps, c) series, by a model of 1 or c channels."""
    n, steps, c = values.shape
    read = values if channels == c else values.transpose(1, 2).reshape(n * c, steps, 1)
    if model.config.model_type.startswith("timesfm"):
        flat = read.squeeze(-1)
        more = {"past_values_padding": torch.zeros_like(flat)}
        if model.config.model_type == "timesfm":
            # The most frequent of its three kinds of sampling, which it takes by default.
            more["freq"] = torch.zeros(len(flat), 1, dtype=torch.long, device=flat.device)
        states = model(past_values=flat, **more).last_hidden_state.unsqueeze(1)
    else:
        states = model(past_values=read).last_hidden_state
    # (n or n · c, channels or 1, patches, width)
    return torch.as_tensor(states.float().mean(2)).reshape(n, -1)
