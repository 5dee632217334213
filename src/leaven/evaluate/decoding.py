"""Decoding the records of a run once, so that a killed one need not do it again."""

from __future__ import annotations

from typing import Any

import numpy as np

from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.evaluate.folder import RunFolder
from leaven.learn.front import Front
from leaven.learn.rewriters import Rewriting

__all__ = ["decoded"]


def decoded(
    dataset: Dataset, front: Front, folder: RunFolder, rewriting: Rewriting | None = None
) -> tuple[Dataset, Arrays]:
    """Arrays mapped from the folder, and the data without the records that cannot be decoded."""
    home = folder.work / "arrays"
    arrays, rejected = Arrays.open(home), folder.read("rejected.json")
    if arrays is None or rejected is None:
        arrays, bad = front.decode(dataset)
        rejected = [[int(position), reason, detail] for position, reason, detail in bad]
        if rejected:
            keep = np.setdiff1d(np.arange(len(dataset)), [row[0] for row in rejected])
            arrays = arrays.take(keep)
        if rewriting is not None:
            kept = _without(dataset, rejected)
            arrays = arrays.beside({"rewritten": rewriting(kept, front.spec)})
        folder.write("rejected.json", rejected)
        arrays.save(home)
        arrays = Arrays.open(home) or arrays
        folder.tick()
    arrays.remembered = {}  # the fits ask for the same features many times
    return _without(dataset, rejected), arrays


def _without(dataset: Dataset, rejected: list[list[Any]]) -> Dataset:
    """The data with rejected records in quarantine; of each position, reason and detail."""
    positions = np.array([row[0] for row in rejected], np.int64)
    return dataset.reject(positions, [(row[1], row[2]) for row in rejected])
