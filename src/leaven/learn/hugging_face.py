"""Sentence features from a transformer of the Hugging Face family, frozen.

The only module that imports transformers (extra `text`). A folder is read offline; a hub name is
looked for in the local cache first and downloaded only if it is not there.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
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
_BATCH = 64


class HuggingFaceText(Extractor):
    """The mean of the last layer's states over a text's tokens, of unit length.

    Mean pooling is what sentence encoders are trained with (Reimers & Gurevych 2019, section 3).
    `digest` is of the configuration and the weights' size: another encoder under the same name
    is noticed when a run is opened.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> HuggingFaceText:
        """Load by folder or hub name; SettingError when there is none."""
        found = cls({"name": str(Path(name).resolve()) if Path(name).is_dir() else name})
        config = found._model.config
        found.description |= {"width": int(config.hidden_size), "digest": found._digest()}
        return found

    @classmethod
    def open(cls, description: dict[str, Any]) -> HuggingFaceText:
        """Load what a run was made with; SettingError when it has changed since."""
        found = cls(description)
        if found._digest() != description["digest"]:
            raise SettingError(
                "encoder", f"the one of the run (digest {description['digest'][:8]})",
                f"{description['name']} (digest {found._digest()[:8]})",
                "Restore the encoder's folder, or fit again.",
            )
        return found

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ImportError as missing:
            raise MissingExtraError("text", f"the encoder '{self.description['name']}'") from missing
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        name = self.description["name"]
        for offline in (True, False):
            try:
                tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=offline)
                model = AutoModel.from_pretrained(
                    name, local_files_only=offline, use_safetensors=True, trust_remote_code=False
                )
                return tokenizer, model.eval().requires_grad_(False)
            except (OSError, ValueError) as failed:
                problem = failed
        raise SettingError(
            "encoder", "a folder or hub name of a text encoder with safetensors weights", name,
            str(problem).splitlines()[0],
        )

    @property
    def _model(self) -> Any:
        return self._parts[1]

    def _digest(self) -> str:
        weights = next(iter(self._model.parameters()))
        digest = hashlib.sha256(self._model.config.to_json_string(use_diff=False).encode())
        digest.update(weights.detach().float().numpy()[:64].tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def extract(self, dataset: Dataset, spec: Spec) -> npt.NDArray[np.float32]:
        """(n, width) features; texts of like length share a batch, so little is padded."""
        tokenizer, model = self._parts
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(device)
        texts = [text or "" for text in dataset.records[spec["column"]].to_pylist()]
        order = np.argsort([-len(text) for text in texts], kind="stable")
        features = np.zeros((len(texts), self.description["width"]), np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = tokenizer(
                [texts[i] for i in rows],
                padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt",
            ).to(device)
            states = model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(1) / mask.sum(1).clamp_min(1)
            features[rows] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return features
