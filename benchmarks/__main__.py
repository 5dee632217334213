"""Accuracy from few labels: every method on the same splits, one process a fit.

    python -m benchmarks --data FOLDER [--sets a,b] [--labels 4,25] [--seeds 0,1,2] [--budget 60s]

The claim to be tested: with a minute a fit on two cores, `leaven.fit` without settings is not below
its own supervised baseline, and above scikit-learn's semi-supervised estimators.
`docs/benchmarks.md` has the figures. Nothing is chosen by the test records.

A row that is in the results is not made again, so the same command goes on where it was cut off; a
fit that was killed is made again, one that failed or took too long only with `--retry`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.grid import Cell, choose_peers, grid, repository
from benchmarks.peers import PEERS
from benchmarks.results import append, latest, read
from benchmarks.sets import find_set
from benchmarks.worker import fit_apart

SETS = "fashion_mnist,mnist,banking77,ag_news,pendigits,adult"
METHODS = "auto,fixmatch,label-spreading"
OUT = "benchmarks/results/few_labels.jsonl"

#: Seconds that a fit of Leaven takes beside its budget: start, reading, test records.
_BESIDE = 12.0
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing; 0 when all rows are there and well, 1 when some failed."""
    asked = _parser().parse_args(arguments)
    try:
        peers = choose_peers(_names(asked.peers))
        for name in _names(asked.sets):
            find_set(asked.data, name)
        methods = _known_methods([name for name in _names(asked.methods) if name != "none"])
    except ValueError as wrong:
        print(f"benchmarks: {wrong}", file=sys.stderr)
        return 2
    cells = grid(
        _names(asked.sets), _numbers(asked.labels), _numbers(asked.seeds), methods, peers,
        asked.budget,
    )  # fmt: skip
    rows = read(asked.out)
    due = [cell for cell in cells if _is_due(latest(rows).get(cell.key), asked.retry)]
    print(_plan(cells, due, rows, asked.out), flush=True)
    if asked.dry_run:
        return 0
    for number, cell in enumerate(due, 1):
        row = fit_apart(cell, asked.data, asked.timeout)
        append(asked.out, row)
        rows.append(row)
        left = expected(due[number:], rows)
        print(f"{number}/{len(due)}  {cell}: {_told(row)}; {left} left", flush=True)
    found = latest(rows)
    failed = [cell for cell in cells if found[cell.key]["status"] != "ok"]
    print(f"Done: {len(cells) - len(failed)} of {len(cells)} rows are there.")
    for cell in failed:
        print(f"Failed: {cell}: {found[cell.key]['error']}")
    print(f"Next: python -m benchmarks.table {asked.out}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, default=Path("benchmarks/data"), help="folder of the sets"
    )
    parser.add_argument("--sets", default=SETS, help=f"default: {SETS}")
    parser.add_argument("--labels", default="4,25", help="labels a class; default: 4,25")
    parser.add_argument("--seeds", default="0,1,2", help="default: 0,1,2")
    parser.add_argument("--methods", default=METHODS, help=f"Leaven's, or none; default: {METHODS}")
    parser.add_argument(
        "--peers", default="all", help="scikit-learn's: all, none, supervised, semi or names"
    )
    parser.add_argument("--budget", default="60s", help="of each of Leaven's fits; default: 60s")
    parser.add_argument("--timeout", type=float, default=900, help="seconds a fit; default: 900")
    parser.add_argument("--out", type=Path, default=Path(OUT), help=f"default: {OUT}")
    parser.add_argument("--retry", action="store_true", help="fit again what failed")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    return [int(name) for name in _names(text)]


def _known_methods(asked: list[str]) -> list[str]:
    """The methods asked for, if Leaven has them all. Asked apart: this process stays small."""
    if not asked:
        return []
    told = subprocess.run(
        [sys.executable, "-m", "leaven", "methods", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=repository(),
    )
    known = ["auto", *(method["name"] for method in json.loads(told.stdout)["methods"])]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"There is no method {unknown[0]!r}. There are: {', '.join(known)}.")
    return asked


def _is_due(row: dict[str, Any] | None, retry: bool) -> bool:
    """Whether a cell is to be fitted: never was, was killed, or failed and is asked for again."""
    if row is None or row["status"] == "killed":
        return True
    return retry and row["status"] != "ok"


def _plan(cells: list[Cell], due: list[Cell], rows: list[dict[str, Any]], out: Path) -> str:
    ours = sum(cell.kind == "ours" for cell in due)
    return (
        f"{len(cells) - len(due)} of {len(cells)} fits are done in {out}. "
        f"To do: {ours} of Leaven's and {len(due) - ours} of its peers', {expected(due, rows)}."
    )


def expected(due: Iterable[Cell], rows: list[dict[str, Any]]) -> str:
    """How long the fits will take, from those alike that are done, else from the budget."""
    took: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        alike = (row["kind"], row["method"], row["budget"], row["set"])
        took.setdefault(alike, []).append(row["wall_seconds"])
    seconds, unknown = 0.0, 0
    for cell in due:
        alike = (cell.kind, cell.method, cell.budget, cell.set)
        one = median(took[alike]) if alike in took else _guess(cell)
        seconds, unknown = seconds + (one or 0), unknown + (one is None)
    said = f"about {_duration(seconds)}"
    return f"{said} and {unknown} of unknown length" if unknown else said


def _guess(cell: Cell) -> float | None:
    """Seconds of a fit of which none alike is done; None for a budget in steps."""
    if cell.kind == "peer":
        return PEERS[cell.method].seconds
    time = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)\s*", cell.budget, re.IGNORECASE)
    return None if time is None else float(time[1]) * _UNITS[time[2].lower()] + _BESIDE


def _duration(seconds: float) -> str:
    """As people say it.

    >>> _duration(50), _duration(8100)
    ('50 s', '2 h 15 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _told(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['status']}, {row['error']}"
    scores = {name: f"{100 * model['accuracy']:.1f} %" for name, model in row["scores"].items()}
    beside = f" (baseline {scores['baseline']})" if "baseline" in scores else ""
    return f"{scores['shipped']}{beside}, {row['wall_seconds']:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
