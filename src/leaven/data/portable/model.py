"""A model that was exported: a graph in ONNX, and how its records are read.

It needs NumPy and ONNX Runtime; for pictures Pillow besides, for sounds soundfile and SciPy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.portable.decoding import decode

__all__ = ["DESCRIPTION", "FORMAT", "GRAPH", "Model", "runtime"]

#: Counts up when a description changes its meaning.
FORMAT = 1
#: The two files of a model.
GRAPH, DESCRIPTION = "model.onnx", "preprocess.json"


def runtime() -> Any:
    """ONNX Runtime, which counts its use for its makers unless it is told not to before it loads.

    Raises ImportError where it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


class Model:
    """Answers records with the probabilities of its classes.

    Parameters
    ----------
    graph : the bytes of the ONNX file.
    described : what `preprocess.json` says: `format`, `modality`, `spec`, `columns` (kinds by
        name), `classes`, and perhaps `graph`, the file to load where there are two.
    threads : that a call may use; one is best where many calls come at once.

    Raises ValueError for a description of another format, and what ONNX Runtime raises.
    """

    def __init__(self, graph: bytes, described: Mapping[str, Any], threads: int = 1) -> None:
        onnxruntime = runtime()
        if described.get("format") != FORMAT:
            got = described.get("format")
            raise ValueError(f"its format is {got}, and this reads {FORMAT}. Export it again.")
        self.modality: str = described["modality"]
        self.columns: dict[str, str] = dict(described["columns"])
        self.classes: tuple[str, ...] = tuple(described["classes"])
        self.spec: dict[str, Any] = dict(described["spec"])
        self._reading = _indexed(self.modality, self.spec)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [one.name for one in self._session.get_inputs()]

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Model:
        """The model of an exported folder."""
        place = Path(folder)
        described = json.loads((place / DESCRIPTION).read_text("utf-8"))
        return cls((place / described.get("graph", GRAPH)).read_bytes(), described, threads)

    def probabilities(
        self, records: Sequence[object]
    ) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
        """(n, k) probabilities of records, and why others cannot be read, by their place.

        A record is an object of cells by column; one of a model with a single column may be the
        cell itself. Pictures and sounds are bytes, or text in base64. The row of a record that
        cannot be read is not a number.
        """
        arrays, kept, why = decode(self.modality, self._reading, self.columns, records)
        found = np.full((len(records), len(self.classes)), np.nan, np.float32)
        if kept:
            found[kept] = self.answers(arrays)
        return found, why

    def answers(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """(n, k) probabilities of decoded records."""
        feeds = {name: arrays[name] for name in self._inputs}
        answers: npt.NDArray[np.float32] = self._session.run(None, feeds)[0]
        return answers

    def predict(self, records: Sequence[object]) -> list[dict[str, Any]]:
        """For each record `label`, `probability` and `probabilities` by class, or an `error`."""
        found, why = self.probabilities(records)
        told: list[dict[str, Any]] = []
        for place, row in enumerate(found):
            if place in why:
                told.append({"error": why[place]})
                continue
            best = int(row.argmax())
            shares = dict(zip(self.classes, row.tolist(), strict=True))
            told.append(
                {
                    "label": self.classes[best],
                    "probability": float(row[best]),
                    "probabilities": shares,
                }
            )
        return told


def _indexed(modality: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the place of each level of a category, for it is looked up in each record."""
    if modality != "tabular":
        return dict(spec)
    levels = {
        name: {level: place for place, level in enumerate(told, 1)}
        for name, told in spec["categorical"].items()
    }
    return {**spec, "categorical": levels}
