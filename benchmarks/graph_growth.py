"""What a graph of neighbours and the labels that flow along it cost, against the number of records.

    python -m benchmarks.graph_growth [--sizes 10000,100000] [--page]

The records are 128 features, a random image of 100 clouds in 16 dimensions and some noise; ten
classes of ten clouds each, 100 labels a class. A point is one system on one number of records, in
a process of its own; seconds and CPU seconds count the fit (graph, labels and what answers for new
records), the peak of memory the whole process, features included. A point that takes longer than
`--cap` seconds is noted as such, and larger ones of that system are left out. Points that are in
the results already are not measured again.

Peers: scikit-learn's two methods; Leaven's spreading on an inverted file of faiss, where that is
installed; and GraphLearning (Calder) where GRAPHLEARNING_PYTHON names an interpreter that has it.
Goal: a million records in 60 seconds on two cores and 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SYSTEMS", "made", "measure", "table"]

_WIDTH, _INNER, _CLOUDS, _CLASSES = 128, 16, 100, 10
_LABELS, _NEIGHBOURS = 100, 15
_BLOCK = 100_000
_PAGE = "docs/speed.md"
_RESULTS = Path(__file__).parent / "results" / "graph_growth.jsonl"

Ints = npt.NDArray[np.int64]
Made = tuple[npt.NDArray[np.float32], Ints, Ints]
#: The class of every record, what else there is to tell, and what is looked up off the clock.
Found = tuple[Ints, dict[str, float], dict[str, Callable[[], float]]]
Fit = Callable[[npt.NDArray[np.float32], Ints], Found]


def made(n: int, seed: int = 0) -> Made:
    """Features (n, 128), their classes (n,), and targets, -1 where unlabelled.

    The labelled records come first.
    """
    rng = np.random.default_rng(seed)
    centre = 1.6 * rng.normal(size=(_CLOUDS, _INNER))
    image = (rng.normal(size=(_INNER, _WIDTH)) / np.sqrt(_INNER)).astype(np.float32)
    cloud = rng.integers(_CLOUDS, size=n)
    truth = cloud % _CLASSES
    drawn = [rng.permutation(np.flatnonzero(truth == one))[:_LABELS] for one in range(_CLASSES)]
    first = np.concatenate(drawn)
    rest = np.ones(n, bool)
    rest[first] = False
    cloud = np.concatenate([cloud[first], cloud[rest]])
    features = np.empty((n, _WIDTH), np.float32)
    for start in range(0, n, _BLOCK):
        part = cloud[start : start + _BLOCK]
        within = (centre[part] + rng.normal(size=(len(part), _INNER))).astype(np.float32)
        noise = rng.standard_normal((len(part), _WIDTH), dtype=np.float32)
        features[start : start + _BLOCK] = within @ image + 0.1 * noise
    truth = cloud % _CLASSES
    targets = np.where(np.arange(n) < len(first), truth, -1)
    return features, truth, targets


def measure(system: str, n: int) -> dict[str, Any]:
    """One point, in this process."""
    features, truth, targets = made(n)
    prepared = SYSTEMS[system]()
    began, spent = time.perf_counter(), time.process_time()
    named, told, later = prepared(features, targets)
    row = {
        "system": system,
        "n": n,
        "status": "ok",
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "accuracy": round(float((named == truth)[targets < 0].mean()), 4),
    }
    return row | told | {name: round(asked(), 3) for name, asked in later.items()}


def _leaven(name: str, search: Callable[..., Any] | None = None) -> Fit:
    """A method of Leaven; what the graph alone took, and its recall.

    With `search` its neighbours are found by another's index.
    """
    from unittest import mock

    from leaven.learn import classic_method
    from leaven.learn.classic_method import Frozen
    from leaven.learn.graphs.neighbours import recall
    from leaven.learn.method import METHODS

    method: Any = METHODS[name]

    def fit(features: npt.NDArray[np.float32], targets: Ints) -> Found:
        kept: dict[str, Any] = {}
        real = search or classic_method.nearest_in_order

        def watched(*args: Any) -> Any:
            began = time.perf_counter()
            kept["near"] = real(*args)
            kept["seconds"] = time.perf_counter() - began
            return kept["near"]

        known = Frozen(features, targets, _CLASSES, 0, np.arange((targets < 0).sum()))
        with mock.patch.object(classic_method, "nearest_in_order", watched):
            (step,) = method.learn(known)  # to its end, where the head is made
        named = np.concatenate([targets[targets >= 0], step.taught.guess.argmax(1).numpy()])

        def asked() -> float:
            order, position, _ = kept["near"]
            where = np.empty_like(position)
            where[order] = order[position]
            return recall(features, where)

        told = {
            "graph_seconds": round(kept["seconds"], 2),
            "iterations": int(step.figures["iterations"]),
            "residual": float(step.figures["residual"]),
        }
        return named, told, {"recall": asked}

    return fit


def _inverted_file(features: npt.NDArray[np.float32], k: int, seed: int) -> Any:
    """As `nearest_in_order`, by faiss: an inverted file of 4·√n lists, of which 16 are read."""
    import faiss

    n, width = features.shape
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, int(4 * np.sqrt(n)))
    index.cp.seed, index.nprobe = seed, 16
    index.train(features)
    index.add(features)
    distance, position = index.search(features, k + 1)
    own = position == np.arange(n)[:, None]
    own[~own.any(1), -1] = True
    kept = position[~own].reshape(n, k).astype(np.int32), distance[~own].reshape(n, k)
    return np.arange(n, dtype=np.int32), *kept


def _scikit_learn(name: str) -> Fit:
    import sklearn.semi_supervised as semi

    def fit(features: npt.NDArray[np.float32], targets: Ints) -> Found:
        model = getattr(semi, name)(kernel="knn", n_neighbors=_NEIGHBOURS, n_jobs=-1)
        return model.fit(features, targets).transduction_, {}, {}

    return fit


def _graph_learning(name: str) -> Fit:
    import graphlearning

    def fit(features: npt.NDArray[np.float32], targets: Ints) -> Found:
        graph = graphlearning.weightmatrix.knn(features, _NEIGHBOURS)
        model = getattr(graphlearning.ssl, name)(graph)
        labelled = np.flatnonzero(targets >= 0)
        return model.fit_predict(labelled, targets[labelled]), {}, {}

    return fit


#: By name: what prepares a system (its imports are not counted) and returns its fit.
SYSTEMS: dict[str, Callable[[], Fit]] = {
    "Leaven label-spreading": lambda: _leaven("label-spreading"),
    "Leaven poisson-learning": lambda: _leaven("poisson-learning"),
    "Leaven label-spreading by faiss": lambda: _leaven("label-spreading", _inverted_file),
    "scikit-learn LabelSpreading": lambda: _scikit_learn("LabelSpreading"),
    "scikit-learn LabelPropagation": lambda: _scikit_learn("LabelPropagation"),
    "GraphLearning poisson": lambda: _graph_learning("poisson"),
    "GraphLearning laplace": lambda: _graph_learning("laplace"),
}


def table(rows: Iterable[dict[str, Any]]) -> str:
    """A line a point, in Markdown."""
    lines = [
        "| system | records | seconds | CPU seconds | peak GB | recall | accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["status"] != "ok":
            lines.append(f"| {row['system']} | {row['n']:,} | {row['status']} | | | | |")
            continue
        recall = f"{row['recall']:.3f}" if "recall" in row else ""
        lines.append(
            f"| {row['system']} | {row['n']:,} | {row['seconds']:.1f} | {row['cpu_seconds']:.1f} | "
            f"{row['peak_gb']:.2f} | {recall} | {row['accuracy']:.2%} |"
        )
    return "\n".join(lines)


def _point(system: str, n: int, interpreter: str, cap: float) -> dict[str, Any]:
    """One point in a process of its own."""
    command = [interpreter, "-m", "benchmarks.graph_growth", "--point", system, str(n)]
    stopped = {"system": system, "n": n}
    try:
        said = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=cap,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return stopped | {"status": f"over {cap:.0f} s"}
    if said.returncode:
        last = (said.stderr.strip().splitlines() or ["ended without a word"])[-1]
        return stopped | {"status": f"failed: {last[:120]}"}
    return dict(json.loads(said.stdout.strip().splitlines()[-1]))


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Measure what is not yet in the results, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,30000,100000,300000,1000000")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--cap", type=float, default=120, help="seconds of a point, records made")
    parser.add_argument("--page", action="store_true", help=f"write the table into {_PAGE}")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.point:
        print(json.dumps(measure(asked.point[0], int(asked.point[1]))))
        return

    from benchmarks.growth_plot import draw
    from benchmarks.machine import commit, machine, versions
    from benchmarks.page import put

    rows = _read(asked.out)
    known = {(row["system"], row["n"]): row for row in rows}
    for system in asked.systems.split(","):
        interpreter = _interpreter(system)
        if interpreter is None:
            continue
        for n in sorted(int(size) for size in asked.sizes.split(",")):
            if (system, n) not in known:
                row = _point(system, n, interpreter, asked.cap)
                row |= {"machine": machine(), "versions": versions(), "commit": commit()}
                known[system, n] = row
                with asked.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if known[system, n]["status"] != "ok":
                break
    found = table(known.values())
    print(found)
    if asked.page:
        page, plot = Path(_PAGE), "images/graph-growth.svg"
        (page.parent / plot).write_text(draw(list(known.values())), encoding="utf-8")
        found = f"![CPU seconds by the number of records]({plot})\n\n{found}"
        page.write_text(put(page.read_text(encoding="utf-8"), "growth", found), encoding="utf-8")


def _interpreter(system: str) -> str | None:
    """Who can run a system; None where nobody here can."""
    if system.startswith("GraphLearning"):
        return os.environ.get("GRAPHLEARNING_PYTHON")
    if system.endswith("faiss") and find_spec("faiss") is None:
        return None
    return sys.executable


if __name__ == "__main__":
    main()
