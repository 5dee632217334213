"""What is deployed: from raw records to calibrated probabilities."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, RunError
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.learn.front import Front
from leaven.learn.network import Network

__all__ = ["Predictor"]


@dataclass(frozen=True)
class Predictor:
    """A front, a network, the names of its classes and the temperature of its confidence."""

    front: Front
    network: Network
    classes: tuple[str, ...]
    temperature: float = 1.0

    def probabilities(self, arrays: Arrays, index: Index | None = None) -> npt.NDArray[np.float64]:
        """(n, k) calibrated probabilities of decoded records."""
        scaled = self.network.logits(arrays, index) / self.temperature
        if not len(scaled):
            return np.zeros((0, len(self.classes)))
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
        arrays, rejected = self.front.decode(dataset)
        if rejected:
            bad = np.array([position for position, _, _ in rejected])
            keep = np.setdiff1d(np.arange(len(dataset)), bad)
            dataset = dataset.reject(bad, [(reason, detail) for _, reason, detail in rejected])
            return dataset, self.probabilities(arrays, keep)
        return dataset, self.probabilities(arrays)

    def save(self, folder: Path) -> None:
        """Write the network's files and `predictor.json`."""
        self.network.save(folder)
        described = {
            "format": 1,
            "front": asdict(self.front),
            "classes": list(self.classes),
            "temperature": self.temperature,
        }
        partial = folder / "predictor.json.part"
        partial.write_text(json.dumps(described, indent=1))
        os.replace(partial, folder / "predictor.json")

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Read what `save` wrote; RunError when it is missing or damaged."""
        try:
            described: dict[str, Any] = json.loads((folder / "predictor.json").read_text())
            front = Front(**described["front"])
            classes = tuple(described["classes"])
            temperature = float(described["temperature"])
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise RunError(
                f"No usable model in '{folder}': {broken}. Fit again, or restore the folder."
            ) from broken
        return cls(front, Network.load(folder), classes, temperature)
