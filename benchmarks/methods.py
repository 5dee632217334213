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
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks.gains import STEPS, budget_of
from benchmarks.grid import Cell
from benchmarks.method_fit import fit_method
from benchmarks.pool import fit_missing, names, parser
from benchmarks.sets import find_set

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
        for name in names(asked.sets):
            find_set(asked.data, name)
        cells = _grid(asked)
    except ValueError as wrong:
        print(f"benchmarks: {wrong}", file=sys.stderr)
        return 2
    fit = partial(fit_method, steps=asked.steps, data=asked.data.resolve())
    return fit_missing(cells, fit, asked)


def _parser() -> argparse.ArgumentParser:
    made = parser("methods", __doc__, sets=SETS, labels="4,25", out=OUT, page=PAGE)
    made.add_argument("--methods", default="all", help="names, or all; default: all")
    made.add_argument("--steps", type=int, default=STEPS, help=f"of each fit; default: {STEPS}")
    return made


def _grid(asked: argparse.Namespace) -> list[Cell]:
    """All cells, seed by seed, so that an unfinished table already covers every set."""
    methods = _methods(names(asked.methods))
    labels, seeds = (list(map(int, names(text))) for text in (asked.labels, asked.seeds))
    return [
        Cell(name, per, seed, "method", method, budget_of(method, asked.steps))
        for seed, name, per, method in product(seeds, names(asked.sets), labels, methods)
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


if __name__ == "__main__":
    sys.exit(main())
