"""Starts a fit in a process of its own, and turns whatever becomes of it into a row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.grid import Cell, repository
from benchmarks.machine import commit, machine, versions
from benchmarks.sets import MOST_RECORDS

__all__ = ["fit_apart"]


def fit_apart(cell: Cell, data: Path, timeout: float) -> dict[str, Any]:
    """The row of a cell. Its `status` is ok, error, timeout or killed.

    This process must stay small (no NumPy, no torch): a child's peak memory is counted from its
    parent's size upwards.
    """
    context = {
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "settings": {"most_records": MOST_RECORDS, "timeout": timeout},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leaven-benchmark-") as home:
        result = _run(cell, data, Path(home), timeout)
    result["wall_seconds"] = round(time.monotonic() - began, 2)
    return cell.to_row() | result | context


def _run(cell: Cell, data: Path, home: Path, timeout: float) -> dict[str, Any]:
    job = json.dumps(cell.to_row() | {"data": str(data.resolve())})
    log = home / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fit", job, str(home)],
            stdin=subprocess.PIPE,  # never written to: its end tells the fit to end
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=repository(),
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return {"status": "timeout", "error": f"took longer than {timeout:g} s"}
        finally:
            _end(process)
    if (home / "result.json").exists():
        result: dict[str, Any] = json.loads((home / "result.json").read_text(encoding="utf-8"))
        return result
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        return {"status": "killed", "error": f"ended by {name}"}
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    return {"status": "error", "error": f"ended with {process.returncode}: {' '.join(last)}"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the fit and of what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()
