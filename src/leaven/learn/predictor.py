"""What is deployed: from raw records to calibrated probabilities."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, RunError, SettingError
from leaven.core.files import read_bytes, write_bytes
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.learn.encoder import Encoder
from leaven.learn.front import Front
from leaven.learn.network import FORMAT, Network, View

__all__ = ["Predictor"]

_RARE = 1e-6  # a share that none of the labels has


@dataclass(frozen=True)
class Predictor:
    """A front, a network, the names of its classes and the temperature of its confidence.

    `taught` (k,) are the classes' shares among the labels, `shares` (k,) those among the records
    that it is asked about; where they are empty, or equal, its outputs stand as they are.
    """

    front: Front
    network: Network
    classes: tuple[str, ...]
    temperature: float = 1.0
    taught: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def supposed(self) -> tuple[float, ...]:
        """(k,) the classes' shares that its outputs suppose; empty where they are not known."""
        return self.shares or self.taught

    def balanced(self) -> Predictor:
        """The same for records of which every class is equally frequent.

        Its decisions find as much as they can of each class, whatever its size.
        """
        even = (1 / len(self.classes),) * len(self.classes)
        return replace(self, shares=even)

    def probabilities(
        self, arrays: Arrays, index: Index | None = None, view: View | None = None
    ) -> npt.NDArray[np.float64]:
        """(n, k) calibrated probabilities of decoded records, or of a view of them."""
        scaled = self.network.logits(arrays, index, view) / self.temperature
        if not len(scaled):
            return np.zeros((0, len(self.classes)))
        if self.taught and self.shares:
            scaled += np.log(np.maximum(self.shares, _RARE) / np.maximum(self.taught, _RARE))
        shifted = np.exp(scaled - scaled.max(1, keepdims=True))
        normed: npt.NDArray[np.float64] = shifted / shifted.sum(1, keepdims=True)
        return normed

    def predict(self, dataset: Dataset) -> tuple[Dataset, npt.NDArray[np.float64]]:
        """Decode and score: the records that could be read, and (n, k) probabilities of them.

        Records that cannot be decoded are in the returned set's quarantine.
        """
        if dataset.modality != self.front.modality:
            raise DataError(
                f"The model reads {self.front.modality} records. Got {dataset.modality} records "
                f"from '{dataset.source or dataset.name}'."
            )
        dataset, arrays = self.front.readable(dataset)
        return dataset, self.probabilities(arrays)

    def save(self, folder: Path) -> None:
        """Write the network's files and `predictor.json`."""
        self.network.save(folder)
        described = {
            "format": FORMAT,
            "front": asdict(self.front),
            "classes": list(self.classes),
            "temperature": self.temperature,
            "taught": list(self.taught),
            "shares": list(self.shares),
        }
        write_bytes(folder / "predictor.json", json.dumps(described, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Read what `save` wrote; RunError when it is missing or damaged."""
        try:
            described: dict[str, Any] = json.loads(read_bytes(folder / "predictor.json"))
            front = Front(**described["front"])
            classes = described["classes"]
            temperature = float(described["temperature"])
            taught, shares = (_shares(described.get(name, [])) for name in ("taught", "shares"))
            network = Network.load(folder)
            if described["format"] != FORMAT:
                raise ValueError(f"its format is {described['format']}, this Leaven reads {FORMAT}")
            if front.views.name != network.encoder.modality:
                raise ValueError(f"its encoder does not read {front.views.name} records")
            if network.encoder.config != _configured(network.encoder, front):
                raise ValueError("its encoder does not fit the records described")
            outputs = network.head.outputs
            if not isinstance(classes, list) or len(set(map(str, classes))) != outputs:
                raise ValueError(f"it needs {outputs} different class names")
            if not (math.isfinite(temperature) and temperature > 0):
                raise ValueError(f"its temperature is {temperature}")
            if {len(taught), len(shares)} - {0, outputs}:
                raise ValueError(f"it needs {outputs} shares of the classes")
        except (OSError, ValueError, KeyError, TypeError, LookupError, SettingError) as broken:
            raise RunError(
                f"No usable model in '{folder}': {broken}. Fit again, or restore the folder."
            ) from broken
        return cls(front, network, tuple(map(str, classes)), temperature, taught, shares)


def _shares(told: Any) -> tuple[float, ...]:
    """Numbers above zero; ValueError for others."""
    found = tuple(float(value) for value in told)
    if not all(math.isfinite(value) and value >= 0 for value in found):
        raise ValueError("a share of a class is no number above zero")
    return found


def _configured(encoder: Encoder, front: Front) -> dict[str, Any]:
    """The encoder's configuration, with all that follows from the spec put in anew."""
    told: dict[str, Any] | None = (front.extractor or {}).get("encoder")
    if told is None:  # what reads the records says nothing of who reads on
        return encoder.configured(front.arrays_spec)
    return encoder.config | told
