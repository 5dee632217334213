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
from benchmarks.page import put, table
from benchmarks.results import append, read

if TYPE_CHECKING:
    from leaven.learn.method import Problem
    from leaven.learn.network import Network

OUT = Path("benchmarks/results/cora.jsonl")
PAGE = "docs/peers.md"

#: Name of a row: method, encoder, steps.
ROWS = {
    "logistic": ("logistic", "graph-hops", 1),
    "label-propagation": ("label-propagation", "graph-hops", 1),
    "label-spreading": ("label-spreading", "graph-hops", 1),
    "poisson-learning": ("poisson-learning", "graph-hops", 1),
    "correct-smooth": ("correct-smooth", "graph-hops", 1),
    "gcn": ("supervised", "gcn", 200),
    "gat": ("supervised", "gat", 200),
    "appnp": ("supervised", "appnp", 200),
    "grand": ("grand", "grand", 300),
    "grand on appnp": ("grand", "appnp", 200),
}

#: Methods that read no features.
_EDGES = ("label-propagation", "label-spreading", "poisson-learning")


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
    rows = read(asked.out)
    print(_told(rows))
    if asked.page:
        page = Path(PAGE)
        page.write_text(
            put(page.read_text(encoding="utf-8"), "cora", _part(rows)), encoding="utf-8"
        )
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


def _told(rows: list[dict[str, Any]]) -> str:
    """A line a row: test and validation accuracy with deviation over seeds, CPU seconds."""
    lines = []
    for name, (method, encoder, steps) in ROWS.items():
        own = [row for row in rows if row["row"] == name]
        if not own:
            continue
        cells = [f"`{method}`", "edges alone" if method in _EDGES else f"`{encoder}`"]
        for part in ("test", "val"):
            scores = [100 * row["accuracy"][part] for row in own]
            cells.append(f"{mean(scores):.2f} ± {stdev(scores) if len(scores) > 1 else 0:.2f}")
        seconds = mean(row["cpu_seconds"] for row in own)
        lines.append([*cells, str(len(own)), str(steps), f"{seconds:.1f}"])
    head = ["method", "encoder", "test", "validation", "seeds", "steps", "CPU seconds"]
    return table(head, lines, 2)


def _part(rows: list[dict[str, Any]]) -> str:
    """The part of the page."""
    n, known = rows[0]["n"], rows[0]["labelled"]
    where = rows[0]["machine"]
    return (
        f"## A given graph: Cora\n\nAccuracy in %, mean ± standard deviation over seeds, on the "
        f"{n['test']} test nodes of the public split, from {known} labels; one thread of "
        f"{where['cpu']}, no folds. Settings were chosen by the {n['val']} validation nodes, which "
        f"no fit is given.\n\n{_told(rows)}\n\n```sh\n"
        "python -m benchmarks.cora --data DATA --seeds 20 --page\n```"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cora", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=None, help="rows, joined by commas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help=f"write the table into {PAGE}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
