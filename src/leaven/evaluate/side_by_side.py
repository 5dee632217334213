"""Several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from leaven.core.wording import points, span
from leaven.evaluate.comparison import paired
from leaven.evaluate.run import Run
from leaven.evaluate.tables import read_parquet

__all__ = ["judged_right", "side_by_side"]


def side_by_side(runs: Sequence[Run]) -> dict[str, Any]:
    """Rows of figures, and a paired comparison of each two runs on the records both judged."""
    rows = [
        {
            "run": str(run.folder),
            "method": run.verdict.method,
            "kept": run.verdict.kept,
            "dataset": run.story["dataset"]["name"],
            "accuracy": run.story["metrics"].get("accuracy"),
            "baseline": run.story["baseline"]["metrics"].get("accuracy"),
            "verdict": run.verdict.sentence,
            "seconds": run.story["run"]["seconds"],
        }
        for run in runs
    ]
    warnings = []
    if len({run.story["dataset"]["hash"] for run in runs}) > 1:
        warnings.append(
            "The runs were made of different data; only records that both judged are compared."
        )
    pairs = [pair for a, b in combinations(runs, 2) if (pair := _pair(a, b)) is not None]
    if len(runs) > 1 and not pairs:
        warnings.append("No two runs judged the same records, so none can be compared in pairs.")
    return {"rows": rows, "pairs": pairs, "warnings": warnings}


def _pair(a: Run, b: Run) -> dict[str, Any] | None:
    """Run b against run a on the records that both judged; None where there are none."""
    right_a, right_b = judged_right(a), judged_right(b)
    shared = sorted(right_a.keys() & right_b.keys())
    if not shared:
        return None
    ours = np.array([right_b[key] for key in shared])
    theirs = np.array([right_a[key] for key in shared])
    difference, p_value = paired(ours, theirs)
    finding = f"{points(difference.value)} points ({span(difference.low, difference.high)})"
    settled = p_value < 0.05 and (difference.low > 0 or difference.high < 0)
    better = "" if not settled else " It is better." if difference.low > 0 else " It is worse."
    return {
        "a": str(a.folder),
        "b": str(b.folder),
        "difference": asdict(difference),
        "p_value": p_value,
        "sentence": f"{b.folder.name} against {a.folder.name}: {finding} on {len(shared)} "
        f"records.{better or ' Not settled.'}",
    }


def judged_right(run: Run) -> dict[tuple[str, str], bool]:
    """For each judged record, by id and content, whether the shipping model was right."""
    table = read_parquet(run.folder / "evidence.parquet")
    keys = zip(table["id"].to_pylist(), table["content"].to_pylist(), strict=True)
    said, label = table[run.verdict.kept].to_pylist(), table["label"].to_pylist()
    return {key: a == b for key, a, b in zip(keys, said, label, strict=True)}
