"""Starts fits in processes of their own, and turns whatever becomes of them into rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell, repository
from benchmarks.machine import commit, machine, versions

__all__ = ["Worker"]

Row = dict[str, Any]

#: Of each fit: so are its seconds comparable, and two do not wait for each other.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
     "RAYON_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
) | {"TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
#: Seconds that reading a set may take, sentence vectors of books included.
_PREPARATION = 3600.0
_LOOK = 0.05  # seconds from look to look


@dataclass
class Worker:
    """Fits the cells of a job, and gives a row for each as soon as it is there.

    `limits` are the seconds of one fit by kind. Once `stop` is set, what runs is ended and no
    further row comes. This process must stay small (no NumPy, no torch): a child's peak memory is
    counted from its parent's size upwards.
    """

    data: Path
    settings: Row
    limits: dict[str, float]
    encoder: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def rows(self, cells: list[Cell]) -> Iterator[Row]:
        """A row a cell; its `status` is ok, absent, error, timeout or killed.

        A fit that took too long or was killed takes its process along; the cells behind it are
        fitted in another.
        """
        while cells and not self.stop.is_set():
            done = 0
            context = self._context(cells[0])
            began = time.monotonic()
            for result in self._results(cells):
                now = time.monotonic()
                result["wall_seconds"] = round(now - began, 2)
                yield cells[done].to_row() | result | context
                began, done = now, done + 1
            cells = cells[done:]

    def _context(self, cell: Cell) -> Row:
        return {
            "commit": commit(),
            "versions": versions(),
            "machine": machine(),
            "settings": self.settings | {"timeout": self.limits[cell.kind]},
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _results(self, cells: list[Cell]) -> Iterator[Row]:
        """Results in the order of the cells; the last one may say that the process was ended."""
        with tempfile.TemporaryDirectory(prefix="leaven-benchmark-") as folder:
            home = Path(folder)
            process = self._start(cells, home)
            try:
                for place, cell in enumerate(cells):
                    result = self._wait(process, home, place, self.limits[cell.kind])
                    if result is None:
                        return
                    yield result
                    if not (home / f"{place}.json").exists():  # the process is at its end
                        return
            finally:
                _end(process)

    def _start(self, cells: list[Cell], home: Path) -> subprocess.Popen[bytes]:
        job = {
            "cells": [cell.to_row() for cell in cells],
            "data": str(self.data.resolve()),
            "settings": self.settings,
            "encoder": self.encoder,
        }
        with (home / "log.txt").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fit", json.dumps(job), str(home)],
                stdin=subprocess.PIPE,  # never written to: its end tells the fits to end
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=repository(),
                env=os.environ | _ONE_THREAD,
                start_new_session=True,
            )

    def _wait(
        self, process: subprocess.Popen[bytes], home: Path, place: int, limit: float
    ) -> Row | None:
        """The result of one cell; None where all is to stop."""
        result, began = home / f"{place}.json", home / f"{place}.began"
        since, fitting = time.monotonic(), False
        while not self.stop.is_set():
            ended = process.poll() is not None  # before the look, for its last act is to write
            if result.exists():
                found: Row = json.loads(result.read_text(encoding="utf-8"))
                return found
            if ended:
                return _ended(process.returncode, home)
            if not fitting and began.exists():
                since, fitting = time.monotonic(), True
            if time.monotonic() - since > (limit if fitting else _PREPARATION):
                what = "" if fitting else "reading the set "
                most = limit if fitting else _PREPARATION
                return {"status": "timeout", "error": f"{what}took longer than {most:g} s"}
            time.sleep(_LOOK)
        return None


def _ended(code: int, home: Path) -> Row:
    """What a process that left no result has come to."""
    if code < 0:
        return {"status": "killed", "error": f"ended by {signal.Signals(-code).name}"}
    last = (home / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
    return {"status": "error", "error": f"ended with {code}: {' '.join(last)}"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the fits and of what they started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()
