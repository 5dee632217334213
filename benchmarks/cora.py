"""Cora's public split: 140 labelled nodes, 1000 to judge by, ten seeds of each method.

    python -m benchmarks.cora --data FOLDER [--only grand,gcn] [--seeds 10]

FOLDER holds `cora/cora.npz`. Each cell is one fit on one thread of the 140 labels and the whole
graph, without folds. The 1000 test labels are read for the scores alone. What was chosen (steps,
rates, weights) was chosen by the 500 validation nodes; their accuracy stands beside.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.machine import commit, machine
from benchmarks.results import append, read

if TYPE_CHECKING:
    from leaven.learn.method import Problem
    from leaven.learn.network import Network

OUT = Path("benchmarks/results/cora.jsonl")

#: Name of a row: method, encoder, steps.
ROWS = {
    "logistic": ("logistic", "graph-hops", 1),
    "label-spreading": ("label-spreading", "graph-hops", 1),
    "correct-smooth": ("correct-smooth", "graph-hops", 1),
    "gcn": ("supervised", "gcn", 200),
    "gat": ("supervised", "gat", 200),
    "appnp": ("supervised", "appnp", 200),
    "grand": ("grand", "grand", 300),
    "grand on appnp": ("grand", "appnp", 200),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing and tell all rows; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    import torch

    torch.set_num_threads(1)
    names = list(ROWS) if asked.only is None else asked.only.split(",")
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"benchmarks: rows are {', '.join(ROWS)}; got {unknown[0]}", file=sys.stderr)
        return 2
    done = {(row["row"], row["seed"]) for row in read(asked.out)}
    due = [(n, s) for n in names for s in range(asked.seeds) if (n, s) not in done]
    if due:
        cora = _Cora(asked.data / "cora" / "cora.npz")
        for name, seed in due:
            append(asked.out, cora.fit(name, seed))
    _tell(read(asked.out))
    return 0


class _Cora:
    """The graph, decoded once, and whom it is judged by."""

    def __init__(self, path: Path) -> None:
        import numpy as np

        from leaven.data.dataset import Dataset
        from leaven.learn.front import Front

        self.dataset = Dataset.read(path)
        self.front = Front.describe(self.dataset, None)
        self.arrays, _ = self.front.decode(self.dataset)
        with np.load(path, allow_pickle=False) as found:
            self.truth = found["y"].astype(str)
            self.parts = {part: found[f"{part}_idx"] for part in ("val", "test")}

    def fit(self, name: str, seed: int) -> dict[str, Any]:
        """The row of one fit."""
        from leaven.learn.method import METHODS

        method, encoder, steps = ROWS[name]
        began = time.process_time()
        network = _last(METHODS[method].fit(self._problem(encoder, seed, steps)))
        seconds = time.process_time() - began
        said = [self.dataset.classes[place] for place in network.logits(self.arrays).argmax(1)]
        scores = {
            part: sum(said[i] == self.truth[i] for i in index) / len(index)
            for part, index in self.parts.items()
        }
        return {
            "row": name,
            "method": method,
            "encoder": encoder,
            "steps": steps,
            "seed": seed,
            "labelled": len(self.dataset.labelled),
            "n": {part: len(index) for part, index in self.parts.items()},
            "accuracy": scores,
            "cpu_seconds": round(seconds, 2),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "commit": commit(),
        }

    def _problem(self, encoder: str, seed: int, steps: int) -> Problem:
        from leaven.core.recipe import Training
        from leaven.learn.method import Problem
        from leaven.learn.plan import suited

        return Problem(
            arrays=self.arrays,
            spec=self.front.arrays_spec,
            modality="graph",
            task="classification",
            classes=len(self.dataset.classes),
            targets=self.dataset.targets,
            train=self.dataset.labelled,
            unlabelled=self.dataset.unlabelled,
            encoder=encoder,
            seed=seed,
            steps=steps,
            training=suited(Training(), encoder),
        )


def _last(fit: Any) -> Network:
    """The network that a fit ends in."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            network: Network = done.value
            return network


def _tell(rows: list[dict[str, Any]]) -> None:
    """A line a row: seeds, test and validation accuracy with deviation, CPU seconds."""
    for name in ROWS:
        own = [row for row in rows if row["row"] == name]
        if not own:
            continue
        parts = []
        for part in ("test", "val"):
            scores = [100 * row["accuracy"][part] for row in own]
            spread = stdev(scores) if len(scores) > 1 else 0.0
            parts.append(f"{part} {mean(scores):.2f} ± {spread:.2f} % of {own[0]['n'][part]}")
        seconds = mean(row["cpu_seconds"] for row in own)
        print(f"{name}: {len(own)} seeds, {', '.join(parts)}, {seconds:.1f} CPU seconds")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cora", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=None, help="rows, joined by commas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=OUT)
    return parser


if __name__ == "__main__":
    sys.exit(main())
