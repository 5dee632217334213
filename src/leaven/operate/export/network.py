"""A run's model as one graph: from decoded arrays to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leaven.core.errors import SettingError
from leaven.data.dataset import Column, Dataset
from leaven.data.portable.model import FORMAT
from leaven.learn.adapt import adapters_of
from leaven.learn.models.subword_transformer import SubwordTransformer
from leaven.learn.predictor import Predictor
from leaven.operate.export import frozen_graph
from leaven.operate.export.elsewhere import elsewhere
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS
from leaven.operate.export.extractor_kinds import Inputs
from leaven.operate.export.graph import Graph, Value
from leaven.operate.export.head_kinds import headed
from leaven.operate.export.layers import unsupported

__all__ = ["OUTPUT", "described", "graph_of"]

#: The name of the graph's output, (n, k).
OUTPUT = "probabilities"
_RARE = 1e-6  # as `Predictor` has it
_ADAPTED = (SubwordTransformer.name,)  # whose graphs have their adapters

#: Inputs by the modality that decodes them: name, type and shape; a name in it is any length.
_INPUTS: dict[str, Callable[[dict[str, Any]], Inputs]] = {
    "text": lambda spec: {"tokens": (np.int32, ["n", "words"])},
    "tabular": lambda spec: {
        "numeric": (np.float32, ["n", len(spec["numeric"]) + 64 * len(spec["text"])]),
        "codes": (np.int32, ["n", len(spec["categorical"])]),
    },
    "embedding": lambda spec: {"features": (np.float32, ["n", spec["width"]])},
    "series": lambda spec: {
        name: (kind, ["n", spec["length"], spec["channels"]])
        for name, kind in (("values", np.float32), ("there", np.uint8))
    },
    "image": lambda spec: {
        "pixels": (np.uint8, ["n", spec["channels"], spec["height"], spec["width"]])
    },
    "audio": lambda spec: {
        "mel": (np.float32, ["n", spec["frames"], spec["mels"]]),
        "length": (np.int64, ["n"]),
    },
}


def graph_of(predictor: Predictor, nodes: Dataset | None = None) -> bytes:
    """The ONNX file of a model.

    Parameters
    ----------
    nodes : the graph that a model of a graph's nodes is to answer for.

    Raises SettingError, which names the part, for one that has no exported form: with an encoder
    from elsewhere that cannot be traced, with adapters, or with a part of a plugin.
    """
    front, network = predictor.front, predictor.network.cpu().eval()
    graph = Graph()

    def said(features: Value) -> Value:
        return _calibrated(headed(features, network.head), predictor)

    if nodes is not None:
        return _file(graph, frozen_graph.answered(graph, predictor, nodes, said), predictor)
    if front.modality not in _INPUTS:
        raise unsupported("modality", front.modality)
    encoder = network.encoder
    if encoder.name not in ENCODER_GRAPHS:
        raise unsupported("encoder", encoder.name)
    if adapters_of(encoder) and encoder.name not in _ADAPTED:
        raise unsupported("encoder", f"{encoder.name} with adapters")
    other = elsewhere(front)
    inputs: Inputs = other.inputs() if other else _INPUTS[front.modality](front.spec)
    arrays = {name: graph.input(name, kind, shape) for name, (kind, shape) in inputs.items()}
    entered = other.extracted(arrays) if other else arrays
    return _file(graph, said(ENCODER_GRAPHS[encoder.name](entered, encoder)), predictor)


def described(
    predictor: Predictor, columns: tuple[Column, ...], nodes: Dataset | None = None
) -> dict[str, Any]:
    """How the records are read, as `portable.Model` wants it; `nodes` as for `graph_of`.

    Raises SettingError for columns that are read in a way that needs more than NumPy.
    """
    kinds = {column.name: column.kind for column in columns}
    front = predictor.front
    if front.modality == "text" and kinds[front.spec["column"]] not in ("text", "categorical"):
        raise unsupported("column", f"{front.spec['column']} ({kinds[front.spec['column']]})")
    more = {} if nodes is None else frozen_graph.reading(predictor, nodes)
    if other := elsewhere(front):
        more = other.reading()
    return {
        "format": FORMAT,
        "modality": front.modality,
        "spec": front.spec | more,
        "columns": kinds,
        "classes": list(predictor.classes),
    }


def _file(graph: Graph, output: Value, predictor: Predictor) -> bytes:
    try:
        return graph.model(output, OUTPUT, ["n", len(predictor.classes)])
    except ValueError as odd:
        name = predictor.network.encoder.name
        raise SettingError("run", "one whose model can be exported", name, f"{odd}.") from odd


def _calibrated(outputs: Value, predictor: Predictor) -> Value:
    """(n, k) by the temperature, and for records of other shares of the classes."""
    scaled = outputs / float(predictor.temperature)
    if predictor.taught and predictor.shares:
        shares, taught = (
            np.log(np.maximum(told, _RARE)) for told in (predictor.shares, predictor.taught)
        )
        scaled = scaled + (shares - taught)
    return scaled.softmax()
