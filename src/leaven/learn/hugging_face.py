"""Sentence features from a transformer of the Hugging Face family, frozen.

Imports transformers (extra `text`), as `masked_model` does and nothing else. A folder is read
offline; a hub name is looked for in the local cache first and downloaded only if it is not there.
Weights are read from safetensors alone, and code that comes with a model is never run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leaven.core.errors import MissingExtraError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import Spec
from leaven.learn.extractor import Extractor

__all__ = ["HuggingFaceText"]

_TOKENS = 256  # sentence encoders are trained on about as many
_CHARACTERS = 64 * _TOKENS  # more cannot come to bear, and tokenising a book takes seconds
_BATCH = 64
_WANTED = "a folder or hub name of a text encoder with safetensors weights"
# What configurations say of their origin rather than of the model.
_ORIGIN = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A tokeniser, a model in evaluation mode, and what they are known by."""

    tokenizer: Any
    model: Any
    width: int
    tokens: int
    digest: str


class HuggingFaceText(Extractor):
    """The mean of the last layer's states over a text's tokens, of unit length.

    Mean pooling is what sentence encoders are trained with (Reimers & Gurevych 2019, section 3).
    The description's `digest` is of the weights, the configuration and the tokeniser: another
    encoder under the same name is noticed when a run is opened.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> HuggingFaceText:
        """Load by folder or hub name; SettingError when there is none."""
        place = str(Path(name).resolve()) if Path(name).is_dir() else name
        loaded = _load(place, _stamp(place))
        return cls({"name": place, "width": loaded.width, "digest": loaded.digest})

    @classmethod
    def open(cls, description: dict[str, Any]) -> HuggingFaceText:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        found = cls(description)
        if found._loaded.digest != description["digest"]:
            raise SettingError(
                "encoder",
                f"the one of the run (digest {description['digest'][:8]})",
                f"{description['name']} (digest {found._loaded.digest[:8]})",
                "Restore the encoder's files, or fit again.",
            )
        return found

    @property
    def _loaded(self) -> _Loaded:
        return _load(self.description["name"], _stamp(self.description["name"]))

    @torch.inference_mode()
    def extract(self, dataset: Dataset, spec: Spec) -> npt.NDArray[np.float32]:
        """(n, width) features; texts of like length share a batch, so little is padded."""
        loaded = self._loaded
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = loaded.model.to(device)
        texts = [(t or "")[:_CHARACTERS] for t in dataset.records[spec["column"]].to_pylist()]
        order = np.argsort([-len(text) for text in texts], kind="stable")
        features = np.zeros((len(texts), loaded.width), np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = loaded.tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=loaded.tokens,
                return_tensors="pt",
            ).to(device)
            states = model(**batch).last_hidden_state.float()  # (rows, tokens, width)
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(1) / mask.sum(1).clamp_min(1)
            features[rows] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return features


def _stamp(name: str) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of a folder's files: what tells that it has changed; () for a hub name.

    Raises SettingError for a path that is no folder with a model.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith("."):
            raise SettingError("encoder", _WANTED, name, "There is no such folder. Check the path.")
        return ()
    if not (folder / "config.json").is_file():
        fix = "The folder holds no config.json. Name the one that save_pretrained wrote."
        raise SettingError("encoder", _WANTED, name, fix)
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@lru_cache(maxsize=1)
def _load(name: str, stamp: tuple[tuple[str, int, int], ...]) -> _Loaded:
    """The encoder of that name, kept for the next call; `stamp` tells a changed folder apart."""
    tokenizer, model, missing = _read(name, offline_only=bool(stamp))
    width = getattr(model.config, "hidden_size", None)
    if width is None:
        raise SettingError("encoder", _WANTED, name, "Its configuration names no hidden_size.")
    if missing:
        # The library would fill them with random numbers and only whisper about it.
        fix = f"The weights lack {len(missing)} tensors of the configured model: {missing[0]} …"
        raise SettingError("encoder", _WANTED, name, fix)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # Some families keep the first two places of their table for padding.
    places = getattr(model.config, "max_position_embeddings", None) or _TOKENS + 2
    tokens = min(_TOKENS, tokenizer.model_max_length, places - 2)
    return _Loaded(tokenizer, model, int(width), tokens, _digest(tokenizer, model))


def _read(name: str, *, offline_only: bool) -> tuple[Any, Any, list[str]]:
    """Tokeniser, model, and the tensors that the weights lack."""
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as absent:
        raise MissingExtraError("text", f"the encoder '{name}'") from absent
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    problem: Exception | None = None
    for offline in (True,) if offline_only else (True, False):
        how = {"local_files_only": offline, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, **how)
            model, told = AutoModel.from_pretrained(
                name, use_safetensors=True, output_loading_info=True, **how
            )
        except Exception as failed:  # noqa: BLE001 - Rust parsers and model code raise anything
            problem = failed
            continue
        # A pooling layer is no part of the states that are averaged here.
        missing = sorted(key for key in told["missing_keys"] if "pooler" not in key)
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model
        return tokenizer, encoder.float().eval().requires_grad_(False), missing
    said = " ".join(str(problem).split())[:300]
    raise SettingError("encoder", _WANTED, name, f"It cannot be loaded: {said}")


def _digest(tokenizer: Any, model: Any) -> str:
    """Of all that decides the features."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in _ORIGIN}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    for name, weights in sorted(model.state_dict().items()):
        if "pooler" not in name:
            digest.update(name.encode())
            digest.update(weights.detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()
