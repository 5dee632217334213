"""What it costs to hold a million records against a million others, and what is found.

    python -m benchmarks.drift [--rows 1000000] [--columns 50] [--seeds 0,1,2]

Reference and new records are columns of standard normal numbers; of the new records five columns
have shifted (the mean by a tenth of the spread, the spread by 15 %, a spike of 4 % of the values,
5 % missing, a tenth drawn from elsewhere), all others not at all. A point is one system on one seed
in a process of its own on one thread. CPU seconds count the comparison, not making the data;
`above_mb` is the peak of memory above what the process had when the data was there.

Peers: Kolmogorov and Smirnov's test of each column by SciPy at 5 %, alone and with Benjamini and
Hochberg's correction; the population stability index in deciles with the usual limit of 0.1; and
Evidently's report with its own settings, from an interpreter that has it (DRIFT_PYTHON). Each has
looked at a hundred records before the clock starts, so that importing it does not count.
Goals: 5 CPU seconds, 150 MB above the data, five of five found, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SYSTEMS", "made", "measure"]

_RESULTS = Path(__file__).parent / "results" / "drift.jsonl"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SHIFTED = 5

Columns = dict[str, npt.NDArray[np.float64]]
#: Reference and new records into the names of the columns that have shifted.
Find = Callable[[Columns, Columns], set[str]]


def made(rows: int, columns: int, seed: int) -> tuple[Columns, Columns]:
    """Reference and new records; columns c0 to c4 have shifted."""
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(columns)]
    before = {name: rng.normal(size=rows) for name in names}
    now = {name: rng.normal(size=rows) for name in names}
    now["c0"] += 0.1
    now["c1"] *= 1.15
    now["c2"][rng.random(rows) < 0.04] = 1.0
    now["c3"][rng.random(rows) < 0.05] = np.nan
    elsewhere = rng.random(rows) < 0.1
    now["c4"][elsewhere] = rng.normal(2.0, 0.5, int(elsewhere.sum()))
    return before, now


def _leaven(before: Columns, now: Columns) -> set[str]:
    from leaven.operate.drift.comparing import compare
    from leaven.operate.drift.reference import Reference

    reference = Reference.of(before)
    found = compare(reference, reference.sketch(now))
    return {shift.column for shift in found if shift.verdict == "shifted"}


def _scipy(before: Columns, now: Columns) -> dict[str, float]:
    from scipy.stats import ks_2samp

    def known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return values[~np.isnan(values)]

    return {n: float(ks_2samp(known(before[n]), known(now[n])).pvalue) for n in before}


def _ks(before: Columns, now: Columns) -> set[str]:
    return {name for name, p in _scipy(before, now).items() if p < 0.05}


def _ks_corrected(before: Columns, now: Columns) -> set[str]:
    from scipy.stats import false_discovery_control

    p = _scipy(before, now)
    adjusted = false_discovery_control(list(p.values()))
    return {name for name, q in zip(p, adjusted, strict=True) if q < 0.05}


def _psi(before: Columns, now: Columns) -> set[str]:
    found = set()
    for name, values in before.items():
        edges = np.quantile(values, np.linspace(0, 1, 11)[1:-1])
        shares = [
            np.bincount(np.searchsorted(edges, side[~np.isnan(side)]), minlength=10) / len(side)
            for side in (values, now[name])
        ]
        p, q = (np.maximum(s, 1e-4) for s in shares)
        if ((q - p) * np.log(q / p)).sum() > 0.1:
            found.add(name)
    return found


def _evidently(before: Columns, now: Columns) -> set[str]:
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    told = Report([DataDriftPreset()]).run(pd.DataFrame(now), pd.DataFrame(before)).dict()
    found = set()
    for metric in told["metrics"]:
        config = metric.get("config", {})
        if "column" not in config or not isinstance(metric["value"], float):
            continue
        value, limit = metric["value"], config.get("threshold") or 0.1
        test = str(config.get("method", ""))
        if (value < limit) if "p_value" in test else (value >= limit):
            found.add(config["column"])
    return found


SYSTEMS: dict[str, Find] = {
    "leaven": _leaven,
    "scipy ks": _ks,
    "scipy ks corrected": _ks_corrected,
    "psi": _psi,
    "evidently": _evidently,
}


def measure(system: str, rows: int, columns: int, seed: int) -> dict[str, Any]:
    """One point, in this process."""
    SYSTEMS[system](*made(100, _SHIFTED, seed))
    before, now = made(rows, columns, seed)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, spent = time.perf_counter(), time.process_time()
    found = SYSTEMS[system](before, now)
    cpu, seconds = time.process_time() - spent, time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    real = {f"c{i}" for i in range(_SHIFTED)}
    return {
        "system": system, "rows": rows, "columns": columns, "seed": seed,
        "cpu_seconds": round(cpu, 2), "seconds": round(seconds, 2),
        "above_mb": round((peak - base) / 1024), "found": len(found & real),
        "false": len(found - real),
    }  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--columns", type=int, default=50)
    words.add_argument("--seeds", default="0,1,2")
    words.add_argument("--systems", default=",".join(SYSTEMS))
    words.add_argument("--out", type=Path, default=_RESULTS)
    words.add_argument("--one", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.one:
        system, seed = asked.one.rsplit(":", 1)
        print(json.dumps(measure(system, asked.rows, asked.columns, int(seed))))
        return
    for seed in map(int, asked.seeds.split(",")):
        for system in asked.systems.split(","):
            point = _apart(system, seed, asked)
            print(json.dumps(point), flush=True)
            if "failed" not in point:
                with asked.out.open("a") as file:
                    file.write(json.dumps(point) + "\n")


def _apart(system: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """One point in a process of its own."""
    python = os.environ.get("DRIFT_PYTHON") if system == "evidently" else None
    told = subprocess.run(
        [
            python or sys.executable, "-m", "benchmarks.drift", "--one", f"{system}:{seed}",
            "--rows", str(asked.rows), "--columns", str(asked.columns),
        ],
        capture_output=True, text=True, env=os.environ | dict.fromkeys(_THREADS, "1"),
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    if told.returncode:
        last = (told.stderr.strip().splitlines() or ["no output"])[-1]
        return {"system": system, "seed": seed, "failed": last}
    return json.loads(told.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
