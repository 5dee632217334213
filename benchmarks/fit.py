"""Fits in a process of their own, so that their processor time and memory are theirs alone.

    python -m benchmarks.fit JOB HOME

JOB is JSON: cells of one set, labels and seed, the data folder and the settings. For each cell in
turn an empty file `HOME/<place>.began` is made, and then its result is written to
`HOME/<place>.json`. It ends when its standard input does, so that no fit outlives the harness.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.features import Views, cpu_seconds
from benchmarks.grid import Cell
from benchmarks.peers import PEERS, fit_peer
from benchmarks.sets import Task, load

__all__ = ["Material", "fit", "outcome", "prepare", "score"]

Row = dict[str, Any]


class Material:
    """What the cells of a process share: the task and its features, and what they are made by."""

    def __init__(self, task: Task, views: Views, home: Path) -> None:
        self.task, self.views, self.home = task, views, home


def prepare(cell: Cell, data: Path, settings: Row, encoder: str, home: Path) -> Material:
    """Read the records. Sentence vectors are made here: all fits have them from one store."""
    sizes = settings["most_records"], settings["most_test"]
    task = load(data, cell.set, cell.labels, cell.seed, *sizes)
    views = Views(task, cell.seed, encoder)
    if encoder and task.modality == "text":
        views.get("vectors")
    return Material(task, views, home)


def fit(cell: Cell, given: Material) -> Row:
    """Fit the cell's method and score it on the test records; the row's part about it.

    A peer's seconds are those of its features too, though they may have been made for another.
    """
    task, views, told = given.task, given.views, {}
    cost = dict.fromkeys(("fit_seconds", "cpu_seconds"), 0.0)
    view = None
    if cell.kind == "peer":
        name = PEERS[cell.method].views[task.modality]
        view = views.get(name)
        if name != "vectors":  # these are in nobody's seconds
            cost = {"fit_seconds": view.seconds, "cpu_seconds": view.cpu}
    began, used = time.monotonic(), cpu_seconds()
    if view is not None:
        answer = fit_peer(cell.method, task, view, cell.seed, views.encoder)
    else:
        from benchmarks.ours import describe, fit_ours

        asked = (cell.method, task, cell.budget, cell.seed, given.home / "run", views.encoder)
        run, answer = fit_ours(*asked)
        told["run"] = describe(run)
    cost["fit_seconds"] += time.monotonic() - began
    began = time.monotonic()
    scores = {model: score(said, task.truth) for model, said in answer().items()}
    cost["predict_seconds"] = time.monotonic() - began
    cost["cpu_seconds"] += cpu_seconds() - used
    cost["peak_mb"] = _peak_mb()
    rounded = {name: round(value, 2) for name, value in cost.items()}
    return {"modality": task.modality, "n": _counts(task), "scores": scores, "cost": rounded} | told


def score(said: list[str], truth: list[str]) -> dict[str, float]:
    """Accuracy, and its mean over the classes that occur in the truth.

    >>> score(["a", "a", "b"], ["a", "b", "b"])
    {'accuracy': 0.66667, 'balanced_accuracy': 0.75}
    """
    right: dict[str, list[bool]] = {}
    for answer, label in zip(said, truth, strict=True):
        right.setdefault(label, []).append(answer == label)
    recalls = [sum(hits) / len(hits) for hits in right.values()]
    return {
        "accuracy": round(sum(sum(hits) for hits in right.values()) / len(truth), 5),
        "balanced_accuracy": round(sum(recalls) / len(recalls), 5),
    }


def _counts(task: Task) -> dict[str, float]:
    """Records and classes, and how much larger the largest class of the test part is."""
    labelled = sum(label is not None for label in task.labels)
    shares = Counter(task.truth).values()
    return {
        "labelled": labelled,
        "unlabelled": len(task.labels) - labelled,
        "test": len(task.truth),
        "classes": len({label for label in task.labels if label is not None}),
        "largest_by_smallest": round(max(shares) / min(shares), 2),
    }


def _peak_mb() -> float:
    """The most memory that the process held so far, from the harness's own size upwards."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _end_with_parent(home: Path) -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(1)


def outcome(error: Exception) -> Row:
    """An error as the row's part; a package that is not there is no fault of the fit."""
    if isinstance(error, ModuleNotFoundError):
        return {"status": "absent", "error": f"the package {error.name} is not installed"}
    traceback.print_exc()
    return {"status": "error", "error": f"{type(error).__name__}: {error}"}


def _write(path: Path, result: Row) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(path)


def main() -> None:
    """Read the job and do it, each cell's result or error in a file of its own."""
    job, home = json.loads(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=_end_with_parent, args=(home,), daemon=True).start()
    cells = [Cell(**cell) for cell in job["cells"]]
    given: Material | Exception
    try:
        given = prepare(cells[0], Path(job["data"]), job["settings"], job["encoder"], home)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the row of each cell
        given = error
    for place, cell in enumerate(cells):
        (home / f"{place}.began").touch()
        try:
            if isinstance(given, Exception):
                raise given
            result = {"status": "ok"} | fit(cell, given)
        except Exception as error:  # noqa: BLE001 - whatever a fit raises is its row in the table
            result = outcome(error)
        _write(home / f"{place}.json", result)


if __name__ == "__main__":
    main()
