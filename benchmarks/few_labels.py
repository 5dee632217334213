"""Accuracy from few labels: Leaven without settings beside its peers, on the same splits.

    python -m benchmarks.few_labels --data FOLDER [--sets a,b] [--labels 4,25] [--seeds 0,1,2]
        [--budget 60s] [--encoder FOLDER] [--workers 2]

The claim to be tested: with a minute a fit, `leaven.fit` without settings is not below its own
supervised baseline, and above the peers, on every classification set of a data folder.
`docs/benchmarks.md` has the figures. Nothing is chosen by the test records.

Peers whose packages do not go with Leaven's have an environment of their own: AEON_PYTHON,
SETFIT_PYTHON and GRAPHLEARNING_PYTHON name its interpreter.

A row that is in the results is not made again, so the same command goes on where it was cut off; a
fit that was killed is made again, one that failed or took too long only with `--retry`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from benchmarks.forecast import expected
from benchmarks.grid import Cell, choose_peers, grid, jobs, repository
from benchmarks.results import append, latest, read
from benchmarks.sets import MODALITIES, MOST_RECORDS, find_set, list_sets
from benchmarks.worker import Worker

__all__ = ["main"]

OUT = "benchmarks/results/few_labels.jsonl"
#: Test records at most; of more, the same ones for every fit.
MOST_TEST = 4000

#: A row that says so is no failure.
_WELL = ("ok", "absent")
#: What must be the same in all rows of a file.
_ALIKE = ("most_records", "most_test", "encoder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing; 0 when all rows are there and well, 1 when some failed, 130 on Ctrl-C.

    2 where the arguments cannot be used.
    """
    asked = _parser().parse_args(arguments)
    settings = {
        "most_records": MOST_RECORDS,
        "most_test": asked.most_test,
        "encoder": _told_encoder(asked.encoder),
    }
    try:
        cells = _cells(asked)
        rows = read(asked.out)
        _check_alike(rows, settings, asked.out)
    except ValueError as wrong:
        print(f"benchmarks: {wrong}", file=sys.stderr)
        return 2
    due = [cell for cell in cells if _is_due(latest(rows).get(cell.key), asked.retry)]
    print(_plan(cells, due, rows, asked), flush=True)
    if asked.dry_run:
        return 0
    limits = {"ours": asked.timeout, "peer": asked.peer_timeout}
    worker = Worker(asked.data, settings, limits, asked.encoder and str(asked.encoder))
    race = _Race(worker, due, rows, asked.out, asked.workers)
    if not race.run():
        print("Stopped. The same command goes on where it was.", flush=True)
        return 130
    return _told_end(cells, latest(rows), asked.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.few_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, default=Path("benchmarks/data"), help="folder of the sets"
    )
    parser.add_argument("--sets", default="all", help="names; default: all that can be used")
    parser.add_argument("--labels", default="4,25", help="labels a class; default: 4,25")
    parser.add_argument("--seeds", default="0,1,2", help="default: 0,1,2")
    parser.add_argument("--methods", default="auto", help="Leaven's, or none; default: auto")
    parser.add_argument(
        "--peers", default="all", help="all, none, supervised, semi or names; default: all"
    )
    parser.add_argument("--budget", default="60s", help="of each of Leaven's fits; default: 60s")
    parser.add_argument("--encoder", default="", help="folder of a sentence encoder, for texts")
    parser.add_argument(
        "--most-test", type=int, default=MOST_TEST, help=f"test records; default: {MOST_TEST}"
    )
    parser.add_argument(
        "--timeout", type=float, default=900, help="seconds a fit of Leaven; default: 900"
    )
    parser.add_argument(
        "--peer-timeout", type=float, default=120, help="seconds a fit of a peer; default: 120"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="processes of one thread each; default: 1"
    )
    parser.add_argument("--out", type=Path, default=Path(OUT), help=f"default: {OUT}")
    parser.add_argument("--retry", action="store_true", help="fit again what failed")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done")
    return parser


def _cells(asked: argparse.Namespace) -> list[Cell]:
    """The whole grid; says which sets are left out. ValueError for names that are not there."""
    if asked.encoder and not Path(asked.encoder).is_dir():
        raise ValueError(f"--encoder is the folder of a sentence encoder, got '{asked.encoder}'.")
    peers = choose_peers(_names(asked.peers), encoded=bool(asked.encoder))
    if asked.sets == "all":
        entries, skipped = list_sets(asked.data)
        for name, reason in skipped.items():
            print(f"Left out: {name}: {reason}.")
    else:
        entries = {name: find_set(asked.data, name) for name in _names(asked.sets)}
    sets = {name: MODALITIES[entry["modality"]] for name, entry in entries.items()}
    methods = _known_methods([name for name in _names(asked.methods) if name != "none"])
    labels, seeds = (list(map(int, _names(text))) for text in (asked.labels, asked.seeds))
    return grid(sets, labels, seeds, methods, peers, asked.budget)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _known_methods(asked: list[str]) -> list[str]:
    """The methods asked for, if Leaven has them all. Asked apart: this process stays small."""
    if not asked or asked == ["auto"]:
        return asked
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


def _told_encoder(folder: str) -> str:
    """An encoder by the last two parts of its folder: what lies above is this machine's own."""
    return "/".join(Path(folder).resolve().parts[-2:]) if folder else ""


def _check_alike(rows: list[dict[str, Any]], settings: dict[str, Any], out: Path) -> None:
    """ValueError where the rows that are there were made by other settings."""
    for row in rows:
        for name in _ALIKE:
            there = row["settings"].get(name)
            if there != settings[name]:
                raise ValueError(
                    f"{out} has rows made with {name} {there!r}, and now it is "
                    f"{settings[name]!r}. Name another file with --out."
                )


def _is_due(row: dict[str, Any] | None, retry: bool) -> bool:
    """Whether a cell is to be fitted: never was, was killed, or failed and is asked for again."""
    if row is None or row["status"] == "killed":
        return True
    return retry and row["status"] != "ok"


def _plan(
    cells: list[Cell], due: list[Cell], rows: list[dict[str, Any]], asked: argparse.Namespace
) -> str:
    ours = sum(cell.kind == "ours" for cell in due)
    return (
        f"{len(cells) - len(due)} of {len(cells)} fits are done in {asked.out}. "
        f"To do: {ours} of Leaven's and {len(due) - ours} of its peers', "
        f"{expected(due, rows, asked.workers)}."
    )


class _Race:
    """The jobs of all cells that are due, so many at a time, each row written as it is there."""

    def __init__(
        self, worker: Worker, due: list[Cell], rows: list[dict[str, Any]], out: Path, workers: int
    ) -> None:
        self._worker, self._out, self._rows, self._workers = worker, out, rows, workers
        self._left, self._all = dict.fromkeys(due), len(due)
        self._lock = threading.Lock()

    def run(self) -> bool:
        """Do all; False where it was interrupted. What was running then leaves no row."""
        pool = ThreadPoolExecutor(self._workers)
        waiting: set[Future[None]] = {pool.submit(self._do, job) for job in jobs([*self._left])}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
        except KeyboardInterrupt:
            return False
        finally:
            self._worker.stop.set()
            pool.shutdown(cancel_futures=True)
        return True

    def _do(self, cells: list[Cell]) -> None:
        for row in self._worker.rows(cells):
            with self._lock:
                append(self._out, row)
                self._rows.append(row)
                self._left.pop(Cell.of(row))
                number = self._all - len(self._left)
                left = expected(self._left, self._rows, self._workers)
                said = f"{number}/{self._all}  {Cell.of(row)}: {_told(row)}; {left} left"
                print(said, flush=True)


def _told(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['status']}, {row['error']}"
    scores = {name: f"{100 * model['accuracy']:.1f} %" for name, model in row["scores"].items()}
    beside = f" (baseline {scores['baseline']})" if "baseline" in scores else ""
    return f"{scores['shipped']}{beside}, {row['wall_seconds']:.0f} s"


def _told_end(cells: list[Cell], found: dict[Any, dict[str, Any]], out: Path) -> int:
    """Say what failed; the exit code."""
    failed = [cell for cell in cells if found[cell.key]["status"] not in _WELL]
    print(f"Done: {len(cells) - len(failed)} of {len(cells)} rows are there.")
    for cell in failed:
        print(f"Failed: {cell}: {found[cell.key]['error']}")
    print(f"Next: python -m benchmarks.table {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
