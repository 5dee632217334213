"""New records scored by a run: predictions, what was odd about the data, and how right they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.checks import unseen_labels
from leaven.data.dataset import Dataset, Finding
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.metrics import measure
from leaven.evaluate.run import Run
from leaven.evaluate.tables import predictions_table, write_quarantine, write_table

__all__ = ["DECISIONS", "Predictions", "score"]

#: What a prediction is to be good at: being right, or finding each class.
DECISIONS = ("accuracy", "balanced")


@dataclass(frozen=True)
class Predictions:
    """What a run says of new records.

    `table` has `id`, `prediction`, `confidence` and one `p_<class>` a class; `findings` is what
    was noticed while reading; `quarantine` lists the records that could not be read and so have
    no row; `metrics` are measured where the records came with labels, and empty otherwise.
    """

    table: pa.Table
    findings: tuple[Finding, ...]
    quarantine: pa.Table
    metrics: dict[str, Estimate]


def score(
    run: Run,
    records: Any,
    label: str | None,
    compared: bool,
    decide: str,
    out: Path | None,
    distilled: bool = False,
) -> Predictions:
    """Predict, measure where there are labels, and write to `out` by its ending."""
    if compared and distilled:
        raise SettingError("distilled", "asked for alone", "with compared", "Choose one model.")
    if decide not in DECISIONS:
        raise UnknownNameError("decide", decide, DECISIONS)
    if out is not None:
        write_table(None, out)
    given = run.dataset(records, label)
    predictor = run.distilled if distilled else run.compared if compared else run.predictor
    predictor = predictor.balanced() if decide == "balanced" else predictor
    dataset, probabilities = predictor.predict(given)
    table = predictions_table(dataset.ids, probabilities, run.classes)
    if out is not None:
        write_table(table, out)
        write_quarantine(dataset, out)
    unseen = unseen_labels(dataset, run.classes)
    findings = dataset.findings + (() if unseen is None else (unseen,))
    metrics = _measured(dataset, probabilities, run.classes)
    return Predictions(table, findings, dataset.quarantine, metrics)


def _measured(
    dataset: Dataset, probabilities: npt.NDArray[np.float64], classes: Sequence[str]
) -> dict[str, Estimate]:
    """Figures on the labelled ones of the records; of labels the model does not know, none."""
    place = {name: i for i, name in enumerate(classes)}
    targets = np.array([place.get(name, -1) for name in dataset.labels.to_pylist()], np.int64)
    known = targets >= 0
    return measure(probabilities[known], targets[known]) if known.any() else {}
