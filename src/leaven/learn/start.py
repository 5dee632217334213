"""What a fit may begin with: an encoder that was pretrained, and how its records are decoded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from leaven.core.errors import LeavenError, RunError, SealedError, SettingError
from leaven.core.files import read_bytes, write_bytes
from leaven.learn.encoder import Encoder
from leaven.learn.front import Front
from leaven.learn.heads.bare import BareHead
from leaven.learn.network import Network
from leaven.learn.tensor_file import load_arrays, save_arrays

__all__ = ["PRETRAINING", "Start", "find_start"]

#: The file that makes a folder a pretraining run.
PRETRAINING = "pretraining.json"


@dataclass(frozen=True)
class Start:
    """A pretrained encoder, the front that its records come through, and the pretext's name.

    `features` (n, width) are its features of some records like those that it was pretrained on, by
    which other records can be told from them.
    """

    front: Front
    encoder: Encoder
    pretext: str
    features: npt.NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write the encoder's files, the features and `start.json`, which comes last."""
        Network(self.encoder, BareHead(self.encoder.width)).save(folder)
        save_arrays(folder / "features.safetensors", {"features": self.features})
        told = {"pretext": self.pretext, "front": asdict(self.front)}
        write_bytes(folder / "start.json", json.dumps(told, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Start:
        """Read what `save` wrote; RunError when it is missing or damaged."""
        try:
            told: dict[str, Any] = json.loads(read_bytes(folder / "start.json"))
            front, pretext = Front(**told["front"]), str(told["pretext"])
            encoder = Network.load(folder).encoder
            features = load_arrays(folder / "features.safetensors")["features"].astype(np.float32)
            if front.views.name != encoder.modality:
                raise ValueError(f"its encoder does not read {front.views.name} records")
            if features.ndim != 2 or features.shape[1] != encoder.width:
                raise ValueError("its features are not those of its encoder")
        except SealedError:
            raise
        except (
            OSError, ValueError, KeyError, TypeError, LookupError, LeavenError, SafetensorError
        ) as broken:  # fmt: skip
            raise RunError(
                f"No usable encoder in '{folder}': {broken}. Pretrain again, or restore the folder."
            ) from broken
        return cls(front, encoder, pretext, features)


def find_start(encoder: str, modality: str) -> Start | None:
    """The start that `--encoder` names, where it names the folder of a pretraining run; else None.

    Raises RunError for an unfinished or damaged one, SettingError for records of another modality.
    """
    folder = Path(encoder)
    if not encoder or not folder.is_dir():
        return None
    if not (folder / PRETRAINING).is_file():
        if (folder / "work" / "arrays").is_dir() and not (folder / "config.json").is_file():
            raise RunError(
                f"'{encoder}' holds no finished pretraining. Give the same pretrain command again "
                "to go on, and then its folder."
            )
        return None
    start = Start.load(folder / "encoder")
    if start.front.modality != modality:
        raise SettingError(
            "encoder",
            f"one pretrained on {modality} records",
            f"{encoder} (pretrained on {start.front.modality} records)",
        )
    return start
