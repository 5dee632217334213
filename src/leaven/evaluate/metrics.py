"""The figures of a classifier, each with its 95 % interval.

All are computed from probabilities and true classes, so any model fits. Values agree with
scikit-learn's; intervals come from one bootstrap of the records that serves every figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

from leaven.core.errors import SettingError
from leaven.evaluate.calibration import bin_of
from leaven.evaluate.intervals import Estimate, percentiles, resampled_sums, wilson
from leaven.learn.predictions import Floats, Ints, check_predictions

__all__ = ["Estimate", "confusion", "indicator", "measure", "per_class"]

_BINS = 15
_SMALLEST = float(np.finfo(np.float64).eps)


def measure(
    probabilities: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Estimate]:
    """The figures of a model on records that it was not trained on.

    Parameters
    ----------
    probabilities : (n, k) rows that sum to 1.
    targets : (n,) true class positions.
    seed, resamples : of the bootstrap.

    Returns
    -------
    accuracy, balanced_accuracy (mean recall of the classes present), macro_f1 (classes present
    or predicted), log_loss (nats), brier ([0, 2]), ece (15 bins of equal width) and auroc (one
    against the rest, mean over the classes present; left out when only one is). Shares, not per
    cent. No records: an empty dict.

    Intervals are 95 % percentile bootstrap over records; accuracy's is Wilson's, which has a
    width even when every record is right. For auroc the resampled value is its first-order
    part, the projection on single records (DeLong, DeLong & Clarke-Pearson 1988, Biometrics
    44), because ranking every resample anew would take k sorts each.

    >>> figures = measure([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1])
    >>> round(figures["accuracy"].value, 3), figures["auroc"].value
    (0.667, 1.0)
    """
    p, y = check_predictions(probabilities, targets)
    n, k = p.shape
    if not n:
        return {}
    guess, confidence = p.argmax(axis=1), p.max(axis=1)
    hit = guess == y
    per_record = np.column_stack(
        [
            -np.log(np.maximum(p[np.arange(n), y], _SMALLEST)),
            (p**2).sum(axis=1) - 2 * p[np.arange(n), y] + 1,
        ]
    )
    columns = [
        per_record,
        indicator(bin_of(confidence, _BINS), _BINS, confidence - hit),
        indicator(y, k, hit),
        indicator(y, k),
        indicator(guess, k),
    ]
    ranked = _Ranked(p, y)
    columns += ranked.columns
    whole = [np.asarray(c.sum(axis=0), dtype=np.float64)[None, :] for c in columns]
    drawn = resampled_sums(*columns, seed=seed, resamples=resamples)

    low, high = wilson(hit.sum(), n)
    figures = {"accuracy": Estimate(float(hit.mean()), float(low), float(high), n)}
    values, resampled = _figures(whole, n), _figures(drawn, n)
    if ranked.columns:
        values["auroc"], resampled["auroc"] = ranked.area(*whole[5:]), ranked.area(*drawn[5:])
    for name, value in values.items():
        figures[name] = percentiles(float(value[0]), resampled[name], n)
    return figures


def confusion(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> Ints:
    """(k, k) counts: row = true class, column = predicted class."""
    p, y = check_predictions(probabilities, targets)
    k = p.shape[1]
    return np.bincount(y * k + p.argmax(axis=1), minlength=k * k).reshape(k, k).astype(np.int64)


def per_class(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a class: class, n, precision, recall, f1; recall and precision with their 95 %
    Wilson intervals (`recall_low`, `recall_high`, `precision_low`, `precision_high`).

    A figure that is undefined (no record of the class, or none predicted) is None.
    """
    table = confusion(probabilities, targets)
    if len(classes) != len(table):
        raise SettingError("classes", f"{len(table)} names, one a column", len(classes))
    right, true, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    ends = {
        "recall": (true, *wilson(right, true)),
        "precision": (predicted, *wilson(right, predicted)),
    }
    rows = []
    for i, name in enumerate(classes):
        row: dict[str, Any] = {"class": name, "n": int(true[i])}
        for figure, (total, low, high) in ends.items():
            known = total[i] > 0
            row[figure] = float(right[i] / total[i]) if known else None
            row[f"{figure}_low"] = float(low[i]) if known else None
            row[f"{figure}_high"] = float(high[i]) if known else None
        both = true[i] + predicted[i]
        row["f1"] = float(2 * right[i] / both) if both else None
        rows.append(row)
    return rows


def indicator(
    group: npt.NDArray[np.integer[Any]], groups: int, value: npt.ArrayLike = 1.0
) -> sparse.csr_array:
    """(n, groups) sparse: each record's value in the column of its group."""
    n = len(group)
    values = np.broadcast_to(np.asarray(value, dtype=np.float64), n)
    return sparse.csr_array((values, (np.arange(n), group)), shape=(n, groups))


def _figures(sums: list[Floats], n: int) -> dict[str, Floats]:
    """Figures from column sums, one value a row: rows are resamples (or the whole alone)."""
    per_record, gaps, right, true, predicted = sums[:5]
    return {
        "balanced_accuracy": _mean_defined(right, true),
        "macro_f1": _mean_defined(2 * right, true + predicted),
        "log_loss": per_record[:, 0] / n,
        "brier": per_record[:, 1] / n,
        "ece": np.abs(gaps).sum(axis=1) / n,
    }


def _mean_defined(above: Floats, below: Floats) -> Floats:
    """Row means of above / below over the columns where below is not 0."""
    known = below > 0
    shares = np.divide(above, below, out=np.zeros_like(above), where=known)
    return np.asarray(shares.sum(axis=1) / np.maximum(known.sum(axis=1), 1), dtype=np.float64)


class _Ranked:
    """The area under the ROC curve of each class as two means over single records.

    A positive's placement is the share of negatives ranked below it (a tie counts half), a
    negative's is the share of positives above it. The area is the mean of either; under
    resampling, to first order, it moves with both (DeLong 1988).
    """

    def __init__(self, p: Floats, y: Ints) -> None:
        n, k = p.shape
        counts = np.bincount(y, minlength=k)
        self.present = np.flatnonzero((counts > 0) & (counts < n))
        positive, negative = np.zeros((n, len(self.present))), np.zeros((n, len(self.present)))
        self.areas = np.zeros(len(self.present))
        for column, c in enumerate(self.present):
            own = y == c
            rank = rankdata(p[:, c])
            below = rank[own] - rankdata(p[own, c])
            above = counts[c] - (rank[~own] - rankdata(p[~own, c]))
            positive[own, column] = below / (n - counts[c])
            negative[~own, column] = above / counts[c]
            self.areas[column] = below.mean() / (n - counts[c])
        member = np.equal(y[:, None], self.present).astype(np.float64)
        self.columns: list[Floats] = (
            [positive, negative, member, 1 - member] if len(self.present) else []
        )

    def area(
        self, positive: Floats, negative: Floats, positives: Floats, negatives: Floats
    ) -> Floats:
        """Macro mean of the areas, one value a row of sums; NaN where no class has both sides."""
        known = (positives > 0) & (negatives > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            area = positive / positives + negative / negatives - self.areas
        total = np.where(known, np.clip(area, 0, 1), 0.0).sum(axis=1)
        present = known.sum(axis=1)
        return np.asarray(np.where(present, total / np.maximum(present, 1), math.nan))
