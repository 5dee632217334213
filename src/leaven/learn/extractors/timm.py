"""Picture features from an image model of the timm library, frozen.

Imports timm (extra `vision`). Architecture and settings come from the model's `config.json`, its
weights from `model.safetensors`, both as timm writes them to a folder or to the hub.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor

from leaven.core.errors import MissingExtraError, SettingError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import Spec
from leaven.data.pictures import read
from leaven.data.portable.framing import Framing
from leaven.learn.extractor import StoredExtractor
from leaven.learn.media import items, readable
from leaven.learn.picture_input import PictureInput
from leaven.learn.pretrained import changed, device

__all__ = ["TimmEncoder"]

_BATCH = 32
_WANTED = "timm/ and a folder or hub name of a timm model with safetensors weights"
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A model, what it wants of pictures, and what they are known by."""

    model: Any
    input: PictureInput
    digest: str

    def features(self, pixels: Tensor) -> Tensor:
        """(n, width) float32 of (n, 3, height, width) pictures."""
        return torch.as_tensor(self.model(pixels)).float()


class TimmEncoder(StoredExtractor):
    """The pooled features of a timm model, before its classifier.

    `timm/NAME` is a model of the hub, from its cache if it is there; `timm/` before a path
    (`timm/./folder`, `timm//a/folder`) a folder that timm's `save_for_hf` wrote. Pictures are
    scaled and cut as the model was tested.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> TimmEncoder:
        """Load by name; SettingError when there is none, MissingExtraError without timm."""
        found = _load(name)
        with torch.inference_mode():
            probe = torch.zeros(1, 3, *found.input.framing.size)
            width = int(found.features(probe).shape[1])
        told = {"kind": cls.__name__, "name": name, "width": width, "digest": found.digest}
        return cls(told)

    @classmethod
    def open(cls, description: dict[str, Any]) -> TimmEncoder:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        found = cls.find(description["name"])
        if found.description["digest"] != description["digest"]:
            raise changed(description, found.description["digest"])
        return found

    @property
    def loaded(self) -> _Loaded:
        """The model, and what it wants of pictures."""
        return _load(self.description["name"])

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


def _load(name: str) -> _Loaded:
    config, weights = _files(name)
    stats = tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in (config, weights))
    return _read(name, str(config), str(weights), stats)


@lru_cache(maxsize=1)
def _read(name: str, config: str, weights: str, at: tuple[tuple[int, int], ...]) -> _Loaded:
    """The model of these files, kept for the next call; `at` tells changed ones apart."""
    try:
        import timm
    except ImportError as absent:
        raise MissingExtraError("vision", f"the encoder '{name}'") from absent
    try:
        said = json.loads(Path(config).read_text("utf-8"))
        model = timm.create_model(said["architecture"], **said.get("model_args") or {})
        model.load_state_dict(_fitting(model, load_file(weights)))
        model.reset_classifier(0)
        wish = _wish(said["pretrained_cfg"])
    except Exception as failed:
        fix = f"It cannot be loaded: {' '.join(str(failed).split())[:300]}"
        raise SettingError("encoder", _WANTED, name, fix) from failed
    digest = hashlib.sha256(Path(weights).read_bytes())
    digest.update(json.dumps([said["architecture"], wish.settings]).encode())
    ready = model.float().eval().requires_grad_(False)
    return _Loaded(ready, wish, digest.hexdigest())


def _fitting(model: Any, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and the classifier of the new model, which is thrown away, where it differs."""
    own = model.state_dict()
    head = model.get_classifier()
    inside = {id(p) for p in head.parameters()} if isinstance(head, torch.nn.Module) else set()
    for key, parameter in model.named_parameters():
        if id(parameter) in inside and (
            key not in weights or weights[key].shape != parameter.shape
        ):
            weights = weights | {key: own[key]}
    return weights


def _wish(config: dict[str, Any]) -> PictureInput:
    """How the model was tested: the shorter side scaled to a little more than what is cut out."""
    _, height, width = config.get("test_input_size") or config["input_size"]
    share = float(config.get("test_crop_pct") or config.get("crop_pct") or 0.875)
    squashed = config.get("crop_mode") == "squash"
    sides = math.floor(height / share), math.floor(width / share)
    framing = Framing(
        height=int(height),
        width=int(width),
        scaled=sides if squashed else min(sides),
        resample=_FILTERS[config.get("interpolation") or "bilinear"],
        rounded=True,
    )
    return PictureInput(framing, mean=tuple(config["mean"]), deviation=tuple(config["std"]))


def _files(name: str) -> tuple[Path, Path]:
    """Configuration and weights, of a folder or of the hub; SettingError where there are none."""
    said = name.removeprefix("timm/")
    if Path(said).is_dir():
        found = Path(said) / "config.json", Path(said) / "model.safetensors"
        if not all(path.is_file() for path in found):
            fix = "The folder holds no config.json and model.safetensors."
            raise SettingError("encoder", _WANTED, name, fix)
        return found
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as absent:
        raise MissingExtraError("vision", f"the encoder '{name}'") from absent
    problem: Exception | None = None
    for offline in (True, False):
        try:
            files = [
                Path(hf_hub_download(name, file, local_files_only=offline))
                for file in ("config.json", "model.safetensors")
            ]
        except Exception as failed:  # noqa: BLE001 - no net, no such model, a name out of bounds
            problem = failed
            continue
        return files[0], files[1]
    fix = f"It is not on this machine and cannot be fetched: {' '.join(str(problem).split())[:200]}"
    raise SettingError("encoder", _WANTED, name, fix)
