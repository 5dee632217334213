"""Frozen encoders from elsewhere, by name or folder: records in, features out, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS, listed

__all__ = ["Extractor", "find_extractor", "open_extractor"]


class Extractor(ABC):
    """Records to features, without training. `description` is plain JSON with at least `width`."""

    description: dict[str, Any]

    @abstractmethod
    def extract(self, dataset: Dataset, spec: Spec) -> npt.NDArray[np.float32]:
        """(n, width) features of all records."""


def find_extractor(encoder: str, modality: str) -> Extractor | None:
    """The extractor that `--encoder` names: a folder, or a hub name with a slash; else None.

    A name of Leaven's own goes before a folder of that name (write ./name for the folder).
    Raises SettingError when the name is no encoder, no folder and no hub name, or when it does
    not serve the modality.
    """
    if not encoder:
        return None
    if encoder in ENCODERS or ("/" not in encoder and not Path(encoder).is_dir()):
        if encoder not in listed():
            raise UnknownNameError("encoder", encoder, listed())
        found = ENCODERS[encoder]
        if found.modality != modality:
            raise SettingError(
                "encoder",
                f"one that reads {modality} records ({', '.join(listed(modality))})",
                encoder,
                f"{encoder} reads {found.modality} records.",
            )
        return None
    if modality != "text":
        raise SettingError(
            "encoder",
            f"one of Leaven's own for {modality} records",
            encoder,
            "Encoders by folder or hub name serve text so far; see: leaven encoders",
        )
    from leaven.learn.hugging_face import HuggingFaceText

    return HuggingFaceText.find(encoder)


def open_extractor(description: dict[str, Any]) -> Extractor:
    """The extractor of a saved description."""
    from leaven.learn.hugging_face import HuggingFaceText

    return HuggingFaceText.open(description)
