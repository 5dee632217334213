"""One fit in a process of its own, so that its processor time and its memory are its alone.

    python -m benchmarks.fit JOB HOME

JOB is JSON: a cell and the data folder. The result is written to `HOME/result.json`. It ends when
its standard input does, so that no fit outlives the harness that waits for it.
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
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell
from benchmarks.sets import Task, load

__all__ = ["fit"]


def fit(cell: Cell, data: Path, home: Path) -> dict[str, Any]:
    """Fit the cell's method and score it on the test records; the row's part about it."""
    task = load(data, cell.set, cell.labels, cell.seed)
    told: dict[str, Any] = {}
    began, used = time.monotonic(), _cpu_seconds()
    if cell.kind == "ours":
        from benchmarks.ours import describe, fit_ours

        run, answer = fit_ours(cell.method, task, cell.budget, cell.seed, home / "run")
        told["run"] = describe(run)
    else:
        from benchmarks.peers import fit_peer

        answer = fit_peer(cell.method, task, cell.seed)
    cost = {"fit_seconds": time.monotonic() - began, "cpu_seconds": _cpu_seconds() - used}
    began = time.monotonic()
    scores = {model: score(said, task.truth) for model, said in answer().items()}
    cost |= {"predict_seconds": time.monotonic() - began, "peak_mb": _peak_mb()}
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


def _counts(task: Task) -> dict[str, int]:
    labelled = sum(label is not None for label in task.labels)
    return {
        "labelled": labelled,
        "unlabelled": len(task.labels) - labelled,
        "test": len(task.truth),
        "classes": len({label for label in task.labels if label is not None}),
    }


def _cpu_seconds() -> float:
    """Processor time of this process, its threads and the processes that it waited for."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def _peak_mb() -> float:
    """The most memory that the process held. It counts from the harness's own size upwards."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _end_with_parent(home: Path) -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(1)


def main() -> None:
    """Read the job, do it, write the result or the error."""
    job, home = json.loads(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=_end_with_parent, args=(home,), daemon=True).start()
    try:
        result = {"status": "ok"} | fit(Cell.of(job), Path(job["data"]), home)
    except Exception as error:  # noqa: BLE001 - whatever a fit raises is its row in the table
        traceback.print_exc()
        result = {"status": "error", "error": f"{type(error).__name__}: {error}"}
    (home / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
