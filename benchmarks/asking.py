"""What it costs to choose what to label next, against the number of records, beside peers.

    python -m benchmarks.asking [--sizes 10000,100000] [--width 384]

The records are a random image of 100 clouds in 16 dimensions and some noise, in ten classes of ten
clouds each; 100 have labels, on which a logistic regression is fitted off the clock; 50 are asked.
A point is one system on one number of records, in a process of its own on one thread. Seconds and
CPU seconds count the choice, the model's probabilities included where they are read; the peak of
memory is the whole process's, and `data_gb` what the embeddings alone take. A point that takes
longer than `--cap` seconds is noted as such, and larger ones of that system are left out. Points
that are in the results already are not measured again.

Peers, from an interpreter that has them (ASKING_PYTHON): scikit-activeml, modAL, small-text.
Goals for 100 000 records of width 384: k-centre in 0.5 CPU seconds, BADGE in 1 and in 1 GB above
the embeddings; a million of width 128 in 15 seconds each.
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SYSTEMS", "made", "measure", "table"]

_INNER, _CLOUDS, _CLASSES, _LABELS, _ASKED = 16, 100, 10, 100, 50
_BLOCK = 50_000
_RESULTS = Path(__file__).parent / "results" / "asking.jsonl"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
#: Embeddings, targets (-1 where unlabelled) and a fitted model into positions.
Choose = Callable[[Floats, Ints, Any], Any]


def made(n: int, width: int, seed: int = 0) -> tuple[Floats, Ints]:
    """Embeddings (n, width) and targets (n,), of which 100 at random are labels and others -1."""
    rng = np.random.default_rng(seed)
    centres = 1.6 * rng.normal(size=(_CLOUDS, _INNER))
    image = (rng.normal(size=(_INNER, width)) / np.sqrt(_INNER)).astype(np.float32)
    cloud = rng.integers(_CLOUDS, size=n)
    embeddings = np.empty((n, width), np.float32)
    for start in range(0, n, _BLOCK):
        part = cloud[start : start + _BLOCK]
        within = (centres[part] + rng.normal(size=(len(part), _INNER))).astype(np.float32)
        noise = rng.standard_normal((len(part), width), dtype=np.float32)
        embeddings[start : start + _BLOCK] = within @ image + 0.1 * noise
    targets = np.full(n, -1, np.int64)
    known = rng.choice(n, _LABELS, replace=False)
    targets[known] = cloud[known] % _CLASSES
    return embeddings, targets


def measure(system: str, n: int, width: int) -> dict[str, Any]:
    """One point, in this process."""
    from sklearn.linear_model import LogisticRegression

    embeddings, targets = made(n, width)
    known = targets >= 0
    model = LogisticRegression(max_iter=300).fit(embeddings[known], targets[known])
    choose = SYSTEMS[system]()
    began, spent = time.perf_counter(), time.process_time()
    index = np.asarray(choose(embeddings, targets, model))
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    return {
        "system": system,
        "n": n,
        "width": width,
        "status": "ok",
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "data_gb": round(embeddings.nbytes / 2**30, 2),
        "distinct": len(np.unique(index)),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in (
        "leaven",
        "scikit-activeml",
        "modAL-python",
        "small-text",
        "numpy",
        "scikit-learn",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _leaven(name: str) -> Choose:
    from leaven.label.asking.pool import Pool
    from leaven.label.asking.strategy import STRATEGIES

    strategy = STRATEGIES[name]

    def choose(embeddings: Floats, targets: Ints, model: Any) -> Any:
        reads = "probabilities" in strategy.needs
        probabilities = model.predict_proba(embeddings) if reads else None
        return strategy.rank(Pool(targets, probabilities, embeddings), _ASKED).index

    return choose


def _activeml(name: str, classifier: bool, **settings: Any) -> Choose:
    from skactiveml import pool
    from skactiveml.classifier import SklearnClassifier

    strategy = getattr(pool, name)(missing_label=-1, random_state=0, **settings)

    def choose(embeddings: Floats, targets: Ints, model: Any) -> Any:
        if not classifier:
            return strategy.query(embeddings, targets, batch_size=_ASKED)
        known = targets >= 0
        wrapped = SklearnClassifier(model, classes=range(_CLASSES), missing_label=-1)
        wrapped.fit(embeddings[known], targets[known])
        return strategy.query(embeddings, targets, wrapped, fit_clf=False, batch_size=_ASKED)

    return choose


def _modal(name: str) -> Choose:
    from modAL import batch, uncertainty
    from modAL.models import ActiveLearner

    strategy = getattr(batch, name, None) or getattr(uncertainty, name)

    def choose(embeddings: Floats, targets: Ints, model: Any) -> Any:
        known = targets >= 0
        learner = ActiveLearner(model, X_training=embeddings[known], y_training=targets[known])
        unlabelled = embeddings[~known]
        return np.flatnonzero(~known)[strategy(learner, unlabelled, n_instances=_ASKED)[0]]

    return choose


def _small_text() -> Choose:
    from small_text.query_strategies.coresets import greedy_coreset

    def choose(embeddings: Floats, targets: Ints, _model: Any) -> Any:
        known, others = np.flatnonzero(targets >= 0), np.flatnonzero(targets < 0)
        return greedy_coreset(embeddings, others, known, _ASKED, "euclidean", 10_000)

    return choose


#: By name: what prepares a system (its imports are not counted) and returns what chooses.
SYSTEMS: dict[str, Callable[[], Choose]] = {
    "Leaven k-centre": lambda: _leaven("k-centre"),
    "Leaven badge": lambda: _leaven("badge"),
    "Leaven typiclust": lambda: _leaven("typiclust"),
    "Leaven probcover": lambda: _leaven("probcover"),
    "Leaven margin": lambda: _leaven("margin"),
    "Leaven diverse": lambda: _leaven("diverse"),
    "Leaven density-weighted": lambda: _leaven("density-weighted"),
    "Leaven class-balanced": lambda: _leaven("class-balanced"),
    "scikit-activeml CoreSet": lambda: _activeml("CoreSet", False),
    "scikit-activeml Badge": lambda: _activeml("Badge", True),
    "scikit-activeml TypiClust": lambda: _activeml("TypiClust", False),
    "scikit-activeml ProbCover": lambda: _activeml("ProbCover", False, n_classes=_CLASSES),
    "scikit-activeml margin": lambda: _activeml(
        "UncertaintySampling", True, method="margin_sampling"
    ),
    "modAL margin_sampling": lambda: _modal("margin_sampling"),
    "modAL uncertainty_batch_sampling": lambda: _modal("uncertainty_batch_sampling"),
    "small-text greedy_coreset": _small_text,
}


def table(rows: Iterable[dict[str, Any]]) -> str:
    """A line a point, in Markdown."""
    lines = [
        "| system | records | width | seconds | CPU seconds | peak GB | embeddings GB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        told = f"| {row['system']} | {row['n']:,} | {row['width']} |"
        if row["status"] != "ok":
            lines.append(f"{told} {row['status']} | | | |")
            continue
        lines.append(
            f"{told} {row['seconds']:.2f} | {row['cpu_seconds']:.2f} | {row['peak_gb']:.2f} | "
            f"{row['data_gb']:.2f} |"
        )
    return "\n".join(lines)


def _point(system: str, n: int, width: int, cap: float) -> dict[str, Any]:
    """One point in a process of its own, on one thread."""
    interpreter = sys.executable if system.startswith("Leaven") else os.environ["ASKING_PYTHON"]
    stopped = {"system": system, "n": n, "width": width}
    try:
        said = subprocess.run(
            [interpreter, "-m", "benchmarks.asking", "--point", system, str(n), str(width)],
            cwd=Path(__file__).parents[1],
            env=os.environ | dict.fromkeys(_THREADS, "1"),
            capture_output=True,
            text=True,
            timeout=cap,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return stopped | {"status": f"over {cap:.0f} s"}
    if said.returncode:
        last = (said.stderr.strip().splitlines() or ["killed, for want of memory"])[-1]
        return stopped | {"status": f"failed: {last[:120]}"}
    return dict(json.loads(said.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Measure what is not yet in the results, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--cap", type=float, default=120, help="seconds of a point, records made")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.point:
        print(json.dumps(measure(asked.point[0], int(asked.point[1]), int(asked.point[2]))))
        return

    from benchmarks.machine import commit, machine
    from benchmarks.results import append, read

    known = {(row["system"], row["n"], row["width"]): row for row in read(asked.out)}
    for system in asked.systems.split(","):
        if not system.startswith("Leaven") and not os.environ.get("ASKING_PYTHON"):
            print(f"{system} is absent: ASKING_PYTHON names no interpreter that has it.")
            continue
        for n in sorted(int(size) for size in asked.sizes.split(",")):
            key = (system, n, asked.width)
            if key not in known:
                row = _point(*key, asked.cap) | {"machine": machine(), "commit": commit()}
                known[key] = row
                append(asked.out, row)
            if known[key]["status"] != "ok":
                break
    print(table(known.values()))


if __name__ == "__main__":
    main()
