"""Fits in workers of one thread; each row is written as soon as it is there."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell
from benchmarks.results import append

__all__ = ["fit_all"]


def fit_all(
    due: list[Cell],
    fit: Callable[[Cell], dict[str, Any]],
    jobs: int,
    out: Path,
    context: dict[str, Any],
) -> None:
    """Fit the cells, and append each row with its context; `fit` must be importable.

    Raises BrokenProcessPool when a worker is ended from outside; the rows that are there stay.
    """
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
