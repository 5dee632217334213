"""Where a model loses what it wins on the whole: classes, and parts of the data.

Each slice is tested by itself, paired (exact McNemar), and the p-values are corrected for their
number (Holm 1979), so that among many slices none is blamed by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binomtest

from leaven.core.wording import count, points
from leaven.data.dataset import Dataset, Index

__all__ = ["Slice", "corrected", "parts_of", "sliced", "told"]

Mask = npt.NDArray[np.bool_]

_LEAST = 8  # records of a slice
_LEVELS = 6  # of a column of categories
_COLUMNS = 30
_MOST_CLASSES = 200
_LEVEL = 0.05


@dataclass(frozen=True)
class Slice:
    """One slice: `n` records, how often each model is right there, and the corrected p-value."""

    name: str
    n: int
    method: float
    baseline: float
    p_value: float

    @property
    def lost(self) -> bool:
        """Whether the method is shown to be worse here."""
        return self.method < self.baseline and self.p_value < _LEVEL

    def __str__(self) -> str:
        return f"{self.name}: {points(self.method - self.baseline)} points on {count(self.n)}"


def sliced(ours: npt.ArrayLike, theirs: npt.ArrayLike, parts: Mapping[str, Mask]) -> list[Slice]:
    """Every part's figures, the greatest loss first.

    Parameters
    ----------
    ours, theirs : (n,) whether each model was right.
    parts : of each slice (n,) which records are in it; parts of fewer than 8 are left out.

    >>> right, wrong = [True] * 20, [False] * 20
    >>> parts = {"a": np.arange(40) < 20, "b": np.arange(40) > 19}
    >>> found = sliced(right + wrong, wrong + right, parts)
    >>> [(one.name, one.lost) for one in found]
    [('b', True), ('a', False)]
    """
    a, b = np.asarray(ours, bool), np.asarray(theirs, bool)
    rows = []
    for name, mask in parts.items():
        n = int(mask.sum())
        if n < _LEAST:
            continue
        won, lost = int((a & ~b & mask).sum()), int((b & ~a & mask).sum())
        p_value = float(binomtest(lost, won + lost).pvalue) if won + lost else 1.0
        rows.append((name, n, float(a[mask].mean()), float(b[mask].mean()), p_value))
    mended = corrected([row[-1] for row in rows])
    found = [Slice(*row[:-1], p) for row, p in zip(rows, mended, strict=True)]
    return sorted(found, key=lambda one: (one.method - one.baseline, one.name))


def corrected(p_values: list[float]) -> list[float]:
    """Holm's step-down correction, in the order given.

    >>> corrected([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    left = np.arange(len(order), 0, -1)
    stepped = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * left), 1.0)
    found = np.empty(len(order))
    found[order] = stepped
    return [round(float(p), 6) for p in found]


def parts_of(dataset: Dataset, rows: Index) -> dict[str, Mask]:
    """The slices that the data itself offers: classes, levels, low and high numbers, lengths.

    `rows` are the positions of the judged records. Masks are (rows,).
    """
    parts: dict[str, Mask] = {}
    if len(dataset.classes) <= _MOST_CLASSES:
        for place, name in enumerate(dataset.classes):
            parts[f"class {name}"] = dataset.targets[rows] == place
    for column in list(dataset.columns)[:_COLUMNS]:
        if column.name not in dataset.records.column_names:
            continue
        values = dataset.records[column.name].take(pa.array(rows))
        parts |= _of_column(column.name, column.kind, values.combine_chunks())
    return parts


def _of_column(name: str, kind: str, values: Any) -> dict[str, Mask]:
    if kind == "text":
        return _thirds(f"{name} is short", f"{name} is long", pc.utf8_length(values.cast("string")))
    if kind == "numeric":
        return _thirds(f"{name} is low", f"{name} is high", values.cast("double"))
    if kind in ("categorical", "boolean"):
        said = np.array([str(v) for v in values.to_pylist()])
        levels, counts = np.unique(said, return_counts=True)
        often = levels[np.argsort(-counts, kind="stable")][:_LEVELS]
        return {f"{name} = {level}": said == level for level in often}
    return {}


def _thirds(low: str, high: str, values: Any) -> dict[str, Mask]:
    """The lowest and the highest third of the numbers; none where all are the same."""
    number = np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
    known = number[np.isfinite(number)]
    if len(known) < 3 * _LEAST or known.min() == known.max():
        return {}
    first, second = np.quantile(known, [1 / 3, 2 / 3])
    return {low: number <= first, high: number > second}


def told(slices: list[Slice], most: int = 8) -> list[dict[str, Any]]:
    """As plain JSON: those where the method loses most, then those where it gains most."""
    chosen = slices if len(slices) <= 2 * most else slices[:most] + slices[-most:]
    return [asdict(one) | {"lost": one.lost} for one in chosen]
