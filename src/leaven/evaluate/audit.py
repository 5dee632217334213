"""How right the predictions are where true labels of unlabelled records were kept aside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.dataset import Dataset
from leaven.evaluate.intervals import Estimate, wilson

__all__ = ["audit", "share_right"]


def audit(
    dataset: Dataset, probabilities: npt.NDArray[np.float64], confident: float
) -> dict[str, Any] | None:
    """The shares of audited records that are predicted rightly; None where nothing was asked.

    `probabilities` (u, k) are calibrated, of the unlabelled records. `precision` is that of
    predictions made with a confidence of `confident` or more, `accuracy` that of all, each with
    its Wilson interval, None where there is no such record. A true label that is no class of the
    model counts as wrong; `unknown` are how many records bear one. The intervals hold for all
    unlabelled records if the audited ones were drawn from them by chance.
    """
    if dataset.audited is None:
        return None
    truth = dataset.audited[dataset.unlabelled]
    known = truth >= 0
    said, top = probabilities[known].argmax(1), probabilities[known].max(1)
    right, sure = said == truth[known], top >= confident
    return {
        "records": int(known.sum()),
        "unknown": int((truth == len(dataset.classes)).sum()),
        "threshold": confident,
        "precision": share_right(right[sure]),
        "accuracy": share_right(right),
    }


def share_right(right: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """The share of (n,) answers that are right with its Wilson interval; None for no answers."""
    if not len(right):
        return None
    low, high = wilson(right.sum(), len(right))
    return asdict(Estimate(float(right.mean()), float(low), float(high), len(right)))
