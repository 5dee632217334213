"""The exported form of a model beside it, by which it is served: part of what is released.

`model/portable/` holds the graph and its description. It lies within the model's folder, so that
the manifest of a release covers it: who may change it may change the model itself. A model that
has none is served by torch.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import LeavenError, MissingExtraError
from leaven.core.files import first_digest, read_bytes, write_bytes
from leaven.data.portable.model import DESCRIPTION, GRAPH, Model
from leaven.operate.export.runtime import opened

if TYPE_CHECKING:
    from leaven.evaluate.run import Run

__all__ = ["PORTABLE", "attach", "served"]

#: Its folder, within the model's.
PORTABLE = "portable"
_MODEL = ("model.json", "predictor.json")  # by which it is known; the first holds the weights'
_SAID = logging.getLogger(__name__)


def attach(run: Run) -> str:
    """Give the model of a run its exported form, where it can have one and has none.

    It is held against the model on made records, or on the nodes of the graph. Returns why there
    is none, "" where there is: nothing hangs on it but speed, save for a graph's nodes, which are
    served by it alone.
    """
    folder = run.folder / "model" / PORTABLE
    source = _source(run.folder / "model")
    try:
        if _described(folder).get("source") == source:
            return ""
        # Imported late: whoever releases a run again needs neither onnx nor torch.
        from leaven.data.dataset import Column
        from leaven.operate.export.network import described, graph_of
        from leaven.operate.export.parity import in_32_bits, on_made, on_nodes, required

        columns = tuple(Column(**column) for column in run.story["dataset"]["columns"])
        predictor = run.predictor
        nodes = run.records() if predictor.front.modality == "graph" else None
        graph, about = graph_of(predictor, nodes), described(predictor, columns, nodes)
        model = opened(graph, about)
        parity = required(
            on_made(in_32_bits(predictor), model)
            if nodes is None
            else on_nodes(predictor, model, nodes)
        )
        if nodes is not None:  # what is answered is known by the same digests as the data
            about["spec"]["content"] = nodes.content.tolist()
        told = about | {"source": source, "parity": parity.told}
        _put(folder, run.folder, graph, json.dumps(told, ensure_ascii=False).encode())
    except LeavenError as reason:
        shutil.rmtree(folder, ignore_errors=True)  # of other weights, or half of one
        level = logging.DEBUG if isinstance(reason, MissingExtraError) else logging.INFO
        _SAID.log(level, "The run is served by torch: %s", reason)
        return str(reason)
    return ""


def served(folder: Path) -> Model | None:
    """The exported form of the model in a folder that was held against its manifest.

    None where there is none, no ONNX Runtime, or one that cannot open it: torch answers then.
    """
    about = _described(folder / PORTABLE)
    if not about or about.get("source") != _source(folder):
        return None
    try:
        return opened(read_bytes(folder / PORTABLE / GRAPH), about)
    except LeavenError as reason:
        level = logging.DEBUG if isinstance(reason, MissingExtraError) else logging.WARNING
        _SAID.log(level, "A run is served by torch: %s", reason)
        return None


def _put(folder: Path, beside: Path, graph: bytes, description: bytes) -> None:
    """Both files at once, from a folder beside: who counts the model's files meets no half."""
    partial = Path(tempfile.mkdtemp(prefix=f"{PORTABLE}-", dir=beside))
    try:
        write_bytes(partial / GRAPH, graph)
        write_bytes(partial / DESCRIPTION, description)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another process has put the same there a moment ago
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _described(folder: Path) -> dict[str, Any]:
    """The description in a folder; empty where there is none that can be read."""
    try:
        found = json.loads(read_bytes(folder / DESCRIPTION))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _source(folder: Path) -> list[str]:
    """Which model it is the form of: digests of its descriptions, which hold the weights'."""
    return [first_digest(folder / name) for name in _MODEL]
