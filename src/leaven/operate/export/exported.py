"""Exporting a run: its graph, held against its own model, in a folder that needs no Leaven."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leaven import __version__
from leaven.core.errors import DataError, LeavenError, SettingError, UnknownNameError
from leaven.core.holding import held
from leaven.core.progress import Listener, Progress
from leaven.core.wording import percent, records
from leaven.data.dataset import Column, Dataset
from leaven.data.portable.model import GRAPH
from leaven.data.portable.nodes import NODE
from leaven.evaluate.distilled import taught_by_label
from leaven.evaluate.folder import write_json
from leaven.evaluate.run import Run
from leaven.learn.predictor import Predictor
from leaven.operate.export.bundle import TARGETS, readme, write_code, write_description
from leaven.operate.export.elsewhere import precision
from leaven.operate.export.frozen_graph import nodes_of
from leaven.operate.export.graph import quantised, version
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import (
    Parity,
    in_32_bits,
    on_made,
    on_nodes,
    on_records,
    required,
)
from leaven.operate.export.quantising import loss_of
from leaven.operate.export.runtime import opened
from leaven.operate.manifest import FILE, write_manifest

if TYPE_CHECKING:
    from leaven.data.portable.model import Model

__all__ = ["EXPORTED", "SMALL", "TOLD", "export"]

#: The folder of a run's exports, within the run's; a folder a target.
EXPORTED = "exported"
#: The graph in 8 bits, and the figures.
SMALL, TOLD = "model.int8.onnx", "export.json"
_COMPARED, _JUDGED = 512, 5000  # records for parity, and for what 8 bits lose


def export(
    run: Run,
    target: str = "onnx",
    *,
    data: Any = None,
    label: str | None = None,
    out: str | Path | None = None,
    distilled: bool = False,
    listen: Listener = lambda _: None,
) -> dict[str, Any]:
    """Write a run's model so that it serves without torch and without Leaven.

    Parameters
    ----------
    target : `onnx`, `edge` (with weights of 8 bits besides), or `serverless` (with a handler).
    data : records on which the exported model is held against the run's own; by default the run's.
    label : a column of true labels in `data`, by which `edge` says how right both are.
    out : the folder; by default `exported/TARGET` in the run's.
    distilled : the small model, not the one that ships.

    Returns the figures of `export.json`, with `folder`. Raises SettingError for a model of which a
    part has no exported form, and for a folder that holds something else; RunError where the two
    differ by more than 1e-4 in a probability; DataError where `edge` has no records to judge by,
    or a model of a graph's nodes no graph.
    """
    if target not in TARGETS:
        raise UnknownNameError("target", target, TARGETS)
    folder = Path(out) if out is not None else run.folder / EXPORTED / target
    _check_place(folder)
    predictor = run.distilled if distilled else run.predictor
    listen(Progress("writing the graph"))
    dataset = _records(run, data, label)
    columns = tuple(Column(**column) for column in run.story["dataset"]["columns"])
    nodes = nodes_of(predictor, dataset)
    graph, about = graph_of(predictor, nodes), described(predictor, columns, nodes)
    model = opened(graph, about)
    listen(Progress("comparing it with the run's model"))
    parity = required(_compared(in_32_bits(predictor), model, dataset))
    told: dict[str, Any] = {
        "run": str(run.story["run"]["id"]),
        "name": run.story["dataset"]["name"],
        "target": target,
        "distilled": distilled,
        "parity": parity.told,
        "bytes": {"float": len(graph)},
        "leaven": __version__,
        "onnx": version(),
    }
    if (bits := precision(predictor.front)) != "fp32":
        listen(Progress(f"comparing it with the run's model in {bits}"))
        told["rounded"] = _compared(predictor, model, dataset).told | {"precision": bits}
    files = {GRAPH: graph}
    if target == "edge":
        listen(Progress("bringing the weights to 8 bits"))
        files[SMALL] = small = quantised(graph)
        told["bytes"]["int8"] = len(small)
        about = about | {"graph": SMALL}
        if dataset is None:
            raise DataError(
                "What 8 bits lose is told on records, and those of the run are not where they "
                "were. Say with --data where they are."
            )
        judged = dataset if nodes is not None else _some(dataset, _JUDGED)
        told["loss"] = loss_of(model, opened(small, about), judged, taught_by_label(run, judged))
        if small == graph:
            told["loss"]["sentence"] = (
                "No part of it is large enough to gain by 8 bits: both graphs are the same."
            )
    told["sentence"] = _sentence(parity, told)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder.parent, wait=True):  # it takes no time
        _write(folder, files, about, told)
    return told | {"folder": str(folder)}


def _compared(predictor: Predictor, model: Model, dataset: Dataset | None) -> Parity:
    if dataset is None:
        return on_made(predictor, model)
    if dataset.modality == "graph":
        return on_nodes(predictor, model, dataset)
    return on_records(predictor, model, _some(dataset, _COMPARED))


def _records(run: Run, data: Any, label: str | None) -> Dataset | None:
    """The records to compare by; None where none are named and the run's are gone."""
    if data is not None:
        return run.dataset(data, label) if label else run.records(data)
    try:
        return run.records()
    except LeavenError:
        return None


def _some(dataset: Dataset, most: int) -> Dataset:
    """At most so many, evenly spaced."""
    if len(dataset) <= most:
        return dataset
    return dataset.select(np.linspace(0, len(dataset) - 1, most).astype(np.int64))


def _check_place(folder: Path) -> None:
    """SettingError for a folder that holds something else than an export."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not ((folder / TOLD).is_file() and (folder / FILE).is_file()):
        raise SettingError("out", "a new or empty folder, or one of an earlier export", str(folder))


def _write(
    folder: Path, graphs: dict[str, bytes], about: dict[str, Any], told: dict[str, Any]
) -> None:
    """All files into a folder beside, which then takes the place of the one before."""
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, graph in graphs.items():
        (partial / name).write_bytes(graph)
    write_description(partial, about)
    write_code(partial, about, told["target"], __version__)
    write_json(partial / TOLD, told, plain=True)
    (partial / "README.md").write_text(readme(about, told, _example(about)), "utf-8")
    write_manifest(partial, told["run"])
    if folder.exists():
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        os.replace(partial, folder)
        shutil.rmtree(old)
    else:
        os.replace(partial, folder)


def _example(about: dict[str, Any]) -> dict[str, Any]:
    """A record to show; nothing of the data is in it."""
    cells: dict[str, Any] = {
        "text": "a text", "categorical": "a name", "numeric": 1.0, "boolean": True,
        "datetime": "2026-01-31", "image": "the bytes in base64", "audio": "the bytes in base64",
        "vector": [0.1, 0.2], "series": [0.1, 0.2],
    }  # fmt: skip
    if about["modality"] == "graph":
        return {NODE: "an id of the graph"}
    return {name: cells[kind] for name, kind in about["columns"].items()}


def _sentence(parity: Parity, told: dict[str, Any]) -> str:
    what = "made records, for the run's own are not at hand" if parity.made else "the data"
    if parity.copies:
        what += f" and {parity.copies} copies of them, asked as new nodes,"
    said = (
        f"On {records(parity.records)} of {what} its probabilities differ from those of the run's "
        f"model by at most {parity.largest:.1g}."
    )
    if (rounded := told.get("rounded")) is not None:
        said = (
            f"{said} That is the model with its encoder in 32 bits; the run itself asks it in "
            f"{rounded['precision']}, which differs by at most {rounded['largest']:.1g} and names "
            f"the same class for {percent(rounded['agreement'])}."
        )
    return f"{said} {told['loss']['sentence']}" if "loss" in told else said
