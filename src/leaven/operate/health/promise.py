"""What a run lets expect of its service: its accuracy, its confidences, the answers it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, LeavenError
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.tables import read_parquet
from leaven.operate.drift.reference import Reference
from leaven.operate.health.calibrated import Calibration
from leaven.operate.health.frame import Frame
from leaven.operate.health.reference import reference_of

__all__ = ["Promise", "entropies", "promise_of"]

Floats = npt.NDArray[np.float64]

_SAMPLE = 20_000  # of the records without labels


@dataclass(frozen=True, eq=False)
class Promise:
    """What is known of a run from when it was made.

    `accuracy` is that of the judged records, on which `calibration` rests. What the model said of
    the records without labels, which are drawn as those of production are: `confidence` (n,) and
    `entropy` (n,), as shares of the highest, and `answers` (n,). `frame` counts records on the
    reference for drift. `why` says of `calibration`, `answers` and `frame` why there is none.
    """

    accuracy: Estimate
    classes: tuple[str, ...]
    calibration: Calibration | None
    confidence: Floats
    entropy: Floats
    answers: tuple[str, ...]
    frame: Frame | None
    why: Mapping[str, str]


def promise_of(folder: Path, told: Mapping[str, Any]) -> Promise:
    """The promise of a registered run: its folder, and what the registry keeps of it.

    What the folder no longer has is left out, with the reason. Raises DataError for a run without
    an accuracy.
    """
    try:
        accuracy = Estimate(**told["metrics"]["accuracy"])
    except (KeyError, TypeError) as none:
        raise DataError("The live run was not judged by its accuracy, so none can be held against "
                        "it. Release a run of classes.") from none  # fmt: skip
    why: dict[str, str] = {}
    bare = Promise(
        accuracy, tuple(told["dataset"]["classes"]), None, np.zeros(0), np.zeros(0), (), None, why
    )
    for name, step in (("calibration", _judged), ("answers", _answered), ("frame", _framed)):
        try:
            bare = step(bare, folder, told)
        except (LeavenError, OSError, KeyError, ValueError) as reason:  # a damaged file is one
            gone = f"The files of the run are not at '{folder}'."
            why[name] = str(reason) if isinstance(reason, LeavenError) else gone
    return bare


def entropies(probabilities: npt.ArrayLike) -> Floats:
    """(n,) of probabilities (n, k), as shares of the highest, that of k equal ones."""
    p = np.asarray(probabilities, np.float64)
    if not p.size:
        return np.zeros(0)
    logs = np.log(np.maximum(p, 1e-12))
    highest = np.log(max(p.shape[1], 2))
    return np.asarray(np.clip(-(p * logs).sum(axis=1) / highest, 0, 1), np.float64)


def _judged(bare: Promise, folder: Path, told: Mapping[str, Any]) -> Promise:
    kept = told["verdict"]["kept"]
    names = ["label", kept, f"{kept} confidence"]
    table = read_parquet(folder / "evidence.parquet", names)
    right = np.array(table["label"].to_pylist()) == np.array(table[kept].to_pylist())
    made = Calibration.of(table[names[2]].to_numpy(), right)
    return replace(bare, calibration=made)


def _answered(bare: Promise, folder: Path, told: Mapping[str, Any]) -> Promise:
    table = read_parquet(folder / "predictions.parquet")
    if not table.num_rows:
        raise DataError("The run had no records without labels, whose answers could be compared.")
    every = -(-table.num_rows // _SAMPLE)
    table = table.take(np.arange(0, table.num_rows, every))
    columns = [name for name in table.column_names if name.startswith("p_")]
    p = np.stack([table[name].to_numpy() for name in columns], axis=1)
    return replace(
        bare,
        confidence=np.clip(table["confidence"].to_numpy(), 0, 1),
        entropy=entropies(p),
        answers=tuple(table["prediction"].to_pylist()),
    )


def _framed(bare: Promise, folder: Path, told: Mapping[str, Any]) -> Promise:
    reference: Reference | None = reference_of(folder)
    if reference is None:
        raise DataError(
            f"No reference for drift was kept of the {told['dataset']['modality']} records of this "
            "run: they were not at hand at its release, or are nodes of a graph."
        )
    return replace(bare, frame=Frame(reference))
