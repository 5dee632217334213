"""Fits in workers of one thread: what is missing of a grid, each row written as it is there."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell
from benchmarks.machine import commit, versions
from benchmarks.method_fit import MOST_TEST, SIDE
from benchmarks.results import append, latest, read
from benchmarks.sets import MOST_RECORDS

__all__ = ["fit_missing", "names", "parser"]


def parser(
    name: str, told: str | None, *, sets: str, labels: str, out: str, page: str
) -> argparse.ArgumentParser:
    """The options of a comparison: which cells, how many workers, where to; its own come on top."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=told,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--data", type=Path, default=Path("benchmarks/data"), help="folder of the sets"
    )
    made.add_argument("--sets", default=sets, help=f"default: {sets}")
    made.add_argument("--labels", default=labels, help=f"labels a class; default: {labels}")
    made.add_argument("--seeds", default="0,1,2", help="default: 0,1,2")
    made.add_argument("--jobs", type=int, default=1, help="workers of one thread; default: 1")
    made.add_argument("--out", type=Path, default=Path(out), help=f"default: {out}")
    made.add_argument("--retry", action="store_true", help="fit again what failed")
    made.add_argument("--page", nargs="?", const=page, help=f"only write the page; default: {page}")
    return made


def names(text: str) -> list[str]:
    """What is joined by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def fit_missing(
    cells: list[Cell], fit: Callable[[Cell], dict[str, Any]], asked: argparse.Namespace
) -> int:
    """Fit the cells that `asked.out` has not; 0 when all went well, 1 when some failed.

    `fit` must be importable. A row that failed is made again with `asked.retry`.
    """
    there = latest(read(asked.out))
    due = [
        cell
        for cell in cells
        if (row := there.get(cell.key)) is None or (asked.retry and row["status"] != "ok")
    ]
    print(f"{len(cells) - len(due)} of {len(cells)} fits are done in {asked.out}.", flush=True)
    sizes = {"most_records": MOST_RECORDS, "most_test": MOST_TEST, "side": SIDE, "jobs": asked.jobs}
    context = {"commit": commit(), "versions": versions(), "settings": sizes}
    try:
        _fit_all(due, fit, asked.jobs, asked.out, context)
    except BrokenProcessPool:
        print("A worker was ended from outside. The same command goes on.", file=sys.stderr)
        return 1
    there = latest(read(asked.out))
    failed = [cell for cell in cells if there[cell.key]["status"] != "ok"]
    for cell in failed:
        print(f"Failed: {cell}: {there[cell.key]['error']}")
    print(f"Done: {len(cells) - len(failed)} of {len(cells)}. Next: --page")
    return 1 if failed else 0


def _fit_all(
    due: list[Cell],
    fit: Callable[[Cell], dict[str, Any]],
    jobs: int,
    out: Path,
    context: dict[str, Any],
) -> None:
    began = time.monotonic()
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker)
    try:
        fits = [pool.submit(fit, cell) for cell in due]
        for number, done in enumerate(as_completed(fits), 1):
            row = done.result()
            append(out, row | context)
            left = (time.monotonic() - began) / number * (len(due) - number)
            said = f"{number}/{len(due)}  {Cell.of(row)}: {_told(row)}; {left / 60:.0f} min left"
            print(said, flush=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread a worker, so that several do not wait for each other; ends with its parent."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _told(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['status']}, {row['error']}"
    scores = row["scores"].get("shipped", row["scores"])
    return f"{100 * scores['accuracy']:.1f} %, {row['cost']['cpu_seconds']:.1f} s"
