"""A model that was exported: a graph in ONNX, and how its records are read.

It needs NumPy and ONNX Runtime; for pictures Pillow besides, for sounds soundfile and SciPy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
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
#: Tokens that are asked at once, padding included: attention over more would fill the memory.
_TOGETHER = 1024


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
        self._together = int(self.spec.get("together", sys.maxsize))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._known = self._known_nodes() if self.modality == "graph" else None

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
        cell itself. Pictures and sounds are bytes, or text in base64. A node of the model's own
        graph is `{"node": id}`, see `nodes.py` for new ones. The row of a record that cannot be
        read is not a number.
        """
        if len(records) > self._together:
            return self._in_parts(records)
        arrays, kept, why = decode(self.modality, self._reading, self.columns, records)
        if not why and kept:
            return self.answers(arrays), why
        found = np.full((len(records), len(self.classes)), np.nan, np.float32)
        if kept:
            found[kept] = self.answers(arrays)
        return found, why

    def _in_parts(
        self, records: Sequence[object]
    ) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
        """A few at a time: what a large network makes of many would fill the memory."""
        found: list[npt.NDArray[np.float32]] = []
        why: dict[int, str] = {}
        for start in range(0, len(records), self._together):
            part, odd = self.probabilities(records[start : start + self._together])
            found.append(part)
            why |= {start + place: said for place, said in odd.items()}
        return np.concatenate(found), why

    def answers(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """(n, k) probabilities of decoded records; of many texts those of like length together."""
        if self._known is not None:
            return self._of_nodes(arrays, self._known)
        feeds = {name: arrays[name] for name in self._inputs}
        tokens = feeds.get("tokens")
        if tokens is not None and tokens.size > _TOGETHER:
            found = np.empty((len(tokens), len(self.classes)), np.float32)
            for rows, most in _blocks(tokens):
                found[rows] = self._session.run(None, {"tokens": tokens[rows, :most]})[0]
            return found
        answers: npt.NDArray[np.float32] = self._session.run(None, feeds)[0]
        return answers

    def _known_nodes(self) -> npt.NDArray[np.float32]:
        """(nodes, k) probabilities of the graph's own nodes."""
        own = np.arange(len(self._reading["places"]))
        nobody = np.zeros(0, np.int64)
        return self._with_new(own, np.zeros(self.spec["width"], np.float32), nobody, nobody)

    def _of_nodes(
        self, arrays: Mapping[str, npt.NDArray[Any]], known: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """(n, k) of own nodes and new ones, of these each by itself."""
        node, starts = arrays["node"], arrays["starts"]
        found: npt.NDArray[np.float32] = known[node]
        for number, place in enumerate(np.flatnonzero(node < 0)):
            own = slice(starts[number], starts[number + 1])
            others, strength = arrays["neighbours"][own], arrays["strength"][own]
            asked = np.array([len(known)])
            found[place] = self._with_new(asked, arrays["features"][number], others, strength)[0]
        return found

    def _with_new(
        self,
        node: npt.NDArray[np.int64],
        features: npt.NDArray[np.float32],
        neighbours: npt.NDArray[np.int64],
        strength: npt.NDArray[Any],
    ) -> npt.NDArray[np.float32]:
        """(n, k) of nodes by their places; a new one, which has the place behind all, is there."""
        told = {
            "node": node,
            "features": features[None],
            "neighbours": neighbours,
            "strength": strength.astype(np.float32),
        }
        answers: npt.NDArray[np.float32] = self._session.run(
            None, {name: told[name] for name in self._inputs}
        )[0]
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


def _blocks(tokens: npt.NDArray[np.int32]) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
    """Rows of tokens (n, any), long ones first, and how many columns of them are not padding."""
    used = tokens.shape[1] - (tokens[:, ::-1] != 0).argmax(1)
    order = np.argsort(-used, kind="stable")
    while len(order):
        most = int(used[order[0]])
        count = max(1, _TOGETHER // most)
        yield order[:count], most
        order = order[count:]


def _indexed(modality: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec as records are read by it: levels of categories by name, readers opened."""
    if "subwords" in spec:
        from leaven.data.portable.subwords import Subwords

        return {**spec, "subwords": Subwords(spec["subwords"])}
    if "framing" in spec:
        from leaven.data.portable.framing import Framing

        return {**spec, "framing": Framing(**spec["framing"])}
    if modality == "graph":
        return {**spec, "places": {name: place for place, name in enumerate(spec["ids"])}}
    if modality != "tabular":
        return dict(spec)
    levels = {
        name: {level: place for place, level in enumerate(told, 1)}
        for name, told in spec["categorical"].items()
    }
    return {**spec, "categorical": levels}
