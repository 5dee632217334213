"""Every method of the registry on the same draws of labels, and the page that compares them.

    python -m benchmarks.methods --data FOLDER [--sets a,b] [--labels 4,25] [--seeds 0,1,2]
    python -m benchmarks.methods --page    # results → docs/comparison.md and its plot

The question: what does a method gain over plain supervised training with the same encoder, the
same labels and the same number of steps? Each cell is one fit without folds, scored on the test
records; nothing is chosen by these. Baselines of the methods asked for are fitted too.

A row that is in the results is not made again, so the same command goes on where it was cut off;
one that failed is made again with `--retry`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.gains import STEPS, budget_of
from benchmarks.grid import Cell
from benchmarks.machine import commit, versions
from benchmarks.method_fit import MOST_TEST, SIDE, fit_method
from benchmarks.pool import fit_all
from benchmarks.results import latest, read
from benchmarks.sets import MOST_RECORDS, find_set

SETS = "mnist,ag_news,pendigits"
OUT = "benchmarks/results/methods.jsonl"
PAGE = "docs/comparison.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing, or write the page; 0 when all went well, 1 when some fits failed."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.page:
            from benchmarks.comparison import write_page

            print(write_page(asked.out, Path(asked.page), asked.steps))
            return 0
        for name in _names(asked.sets):
            find_set(asked.data, name)
        cells = _grid(asked)
    except ValueError as wrong:
        print(f"benchmarks: {wrong}", file=sys.stderr)
        return 2
    there = latest(read(asked.out))
    due = [cell for cell in cells if _is_due(there.get(cell.key), asked.retry)]
    print(f"{len(cells) - len(due)} of {len(cells)} fits are done in {asked.out}.", flush=True)
    fit = partial(fit_method, steps=asked.steps, data=asked.data.resolve())
    try:
        fit_all(due, fit, asked.jobs, asked.out, _context(asked))
    except BrokenProcessPool:
        print("A worker was ended from outside. The same command goes on.", file=sys.stderr)
        return 1
    there = latest(read(asked.out))
    failed = [cell for cell in cells if there[cell.key]["status"] != "ok"]
    for cell in failed:
        print(f"Failed: {cell}: {there[cell.key]['error']}")
    print(f"Done: {len(cells) - len(failed)} of {len(cells)}. Next: --page")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, default=Path("benchmarks/data"), help="folder of the sets"
    )
    parser.add_argument("--sets", default=SETS, help=f"default: {SETS}")
    parser.add_argument("--labels", default="4,25", help="labels a class; default: 4,25")
    parser.add_argument("--seeds", default="0,1,2", help="default: 0,1,2")
    parser.add_argument("--methods", default="all", help="names, or all; default: all")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each fit; default: {STEPS}")
    parser.add_argument("--jobs", type=int, default=1, help="workers of one thread; default: 1")
    parser.add_argument("--out", type=Path, default=Path(OUT), help=f"default: {OUT}")
    parser.add_argument("--retry", action="store_true", help="fit again what failed")
    parser.add_argument(
        "--page", nargs="?", const=PAGE, help=f"only write the page; default: {PAGE}"
    )
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _grid(asked: argparse.Namespace) -> list[Cell]:
    """All cells, seed by seed, so that an unfinished table already covers every set."""
    methods = _methods(_names(asked.methods))
    labels, seeds = (list(map(int, _names(text))) for text in (asked.labels, asked.seeds))
    return [
        Cell(name, per, seed, "method", method, budget_of(method, asked.steps))
        for seed, name, per, method in product(seeds, _names(asked.sets), labels, methods)
    ]


def _methods(asked: list[str]) -> list[str]:
    """The methods asked for and their baselines; those of one kind of encoder together."""
    from leaven.core.errors import UnknownNameError
    from leaven.learn.method import METHODS

    try:
        whatever = [name for name, method in METHODS.items() if not method.modalities]
        chosen = whatever if asked == ["all"] else [n for n in asked if METHODS[n]]
    except UnknownNameError as unknown:
        raise ValueError(str(unknown)) from None
    whole = {*chosen, *(METHODS[name].baseline for name in chosen)}
    return sorted(whole, key=lambda name: (not METHODS[name].stepped, name))


def _is_due(row: dict[str, Any] | None, retry: bool) -> bool:
    return row is None or (retry and row["status"] != "ok")


def _context(asked: argparse.Namespace) -> dict[str, Any]:
    """What every row says of how it was made."""
    sizes = {"most_records": MOST_RECORDS, "most_test": MOST_TEST, "side": SIDE, "jobs": asked.jobs}
    return {"commit": commit(), "versions": versions(), "settings": sizes}


if __name__ == "__main__":
    sys.exit(main())
