"""Rows of a table: numbers, categories, dates, and short texts among them.

To add a modality, write one file like this one: a class that implements `Modality`, registered
under its name. `describe` looks at the first records and says as plain JSON what decoding must
remember; `decode` turns records into arrays and names those it cannot; `plain`, `weak` and
`strong` turn a batch of those arrays into what the encoder reads; `show` is for people. Name the
encoders in `encoder` and `features`; if none reads your arrays, add one to the encoders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.cells import days, level_names, numbers
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.shown import shown_row
from leaven.data.views.corrupting import CorruptCells
from leaven.data.views.table_ops import SwapCells, cells
from leaven.data.words import word_codes

__all__ = ["BUCKETS", "Tabular"]

WEAK = SwapCells(0.1, 0.1)
STRONG = SwapCells(0.3, 0.6)
CONTRASTIVE = CorruptCells(0.6)

#: Columns of "numeric" that one column of texts becomes.
BUCKETS = 64
_LEVELS = 1000
_KINDS = ("numeric", "boolean", "datetime", "categorical", "text")


@MODALITIES.register("tabular")
class Tabular(Modality):
    """A row a record.

    Arrays: "numeric" (n, p + 64 t) float32, NaN where missing: p numbers, booleans and dates, then
    64 signed word buckets of length 1 for each of t texts. "codes" (n, q) int32: 0 for a missing
    or new category, else its level's place, from 1. Either may have no columns.

    Spec: {"numeric": [names, of booleans and dates too], "datetime": {name: its day zero},
    "categorical": {name: [levels, the most frequent first, at most 1000]}, "text": [names]}.
    """

    name = "tabular"
    encoder = "tabular-mlp"
    features = "tabular-standard"

    def describe(self, dataset: Dataset) -> Spec:
        """Which columns are what, each date's earliest day and each category's levels."""
        odd = [f"{c.name} ({c.kind})" for c in dataset.columns if c.kind not in _KINDS]
        if odd:
            raise DataError(
                f"a table's columns must be one of: {', '.join(_KINDS)}. Got {', '.join(odd)}. "
                "Leave these columns out, or choose the modality made for them."
            )
        if not dataset.columns:
            raise DataError("the table has no feature columns. Give at least one.")
        names = {kind: [c.name for c in dataset.columns if c.kind == kind] for kind in _KINDS}
        counted = ("numeric", "boolean", "datetime")
        return {
            "numeric": [c.name for c in dataset.columns if c.kind in counted],
            # Days are counted from the earliest: float32 would round 1970's to three minutes.
            "datetime": {n: _earliest(dataset.records[n]) for n in names["datetime"]},
            "categorical": {n: _levels(dataset.records[n]) for n in names["categorical"]},
            "text": names["text"],
        }

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """Cells as numbers and codes; no row is rejected, what cannot be read is missing.

        Columns that the spec lacks are ignored; one that it has and the records lack is a
        DataError.
        """
        records = dataset.records
        wanted = [*spec["numeric"], *spec["categorical"], *spec["text"]]
        missing = [name for name in wanted if name not in records.column_names]
        if missing:
            raise DataError(
                f"columns are missing: {', '.join(missing)}. "
                f"The columns are: {', '.join(records.column_names) or 'none'}. "
                "Give new records the columns that the model was made with."
            )
        n, counted = len(dataset), len(spec["numeric"])
        numeric = np.empty((n, counted + BUCKETS * len(spec["text"])), np.float32)
        for i, name in enumerate(spec["numeric"]):
            if name in spec["datetime"]:
                numeric[:, i] = days(records[name]) - spec["datetime"][name]
            else:
                numeric[:, i] = numbers(records[name])
        for i, name in enumerate(spec["text"]):
            first = counted + BUCKETS * i
            _fill_buckets(records[name], numeric[:, first : first + BUCKETS])
        codes = np.zeros((n, len(spec["categorical"])), np.int32)
        for i, (name, levels) in enumerate(spec["categorical"].items()):
            known = pa.array(levels, pa.string())
            place = pc.index_in(level_names(records[name]), value_set=known, skip_nulls=True)
            codes[:, i] = pc.fill_null(place, -1).to_numpy() + 1
        return Arrays({"numeric": numeric, "codes": codes}), []

    def plain(self, batch: Batch) -> Batch:
        """The cells."""
        return batch

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A tenth of the cells from other rows."""
        return _swapped(WEAK, batch, spec, rng)

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """30 to 60 % of the cells from other rows."""
        return _swapped(STRONG, batch, spec, rng)

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Exactly 60 % of each row's cells from other rows."""
        return _swapped(CONTRASTIVE, batch, spec, rng)

    def show(self, dataset: Dataset, position: int) -> Shown:
        """All cells as text, each at most 200 characters; not escaped."""
        return shown_row(dataset, position)


def _swapped(
    operation: SwapCells | CorruptCells, batch: Batch, spec: Spec, rng: torch.Generator
) -> Batch:
    """Cells swapped as wholes: a text's buckets stay together."""
    numeric, codes = batch["numeric"], batch["codes"]
    widths = [1] * len(spec["numeric"]) + [BUCKETS] * len(spec["text"])
    cell = cells(widths, numeric.device)
    lenders = operation.draw(len(numeric), len(widths) + codes.shape[1], rng)
    return {
        "numeric": operation.apply(numeric, lenders[:, cell]),
        "codes": operation.apply(codes, lenders[:, len(widths) :]),
    }


def _earliest(column: pa.ChunkedArray) -> float:
    """The first day of a column of dates, 0 where it has none."""
    found = days(column)
    found = found[np.isfinite(found)]
    return float(np.floor(found.min())) if len(found) else 0.0


def _levels(column: pa.ChunkedArray) -> list[str]:
    """The most frequent categories first, equally frequent ones by name."""
    counted = level_names(column).drop_null().value_counts()
    table = pa.table({"level": counted.field(0), "count": counted.field(1)})
    table = table.sort_by([("count", "descending"), ("level", "ascending")])
    levels: list[str] = table["level"].slice(0, _LEVELS).to_pylist()
    return levels


def _fill_buckets(column: pa.ChunkedArray, into: npt.NDArray[np.float32]) -> None:
    """Write each text's hashed bag of words, of length 1, or zeros for a text without words.

    The hashing trick with signs (Weinberger et al. 2009), into `into` (n, 64).
    """
    for rows, codes, ends in word_codes(column.cast(pa.large_string())):
        size = len(ends)
        row = np.repeat(np.arange(size), np.diff(ends, prepend=0))
        sign = np.where(codes >> 6 & 1, 1.0, -1.0)
        bags = np.bincount(row * BUCKETS + codes % BUCKETS, sign, size * BUCKETS)
        bags = bags.reshape(size, BUCKETS)
        norm = np.sqrt(np.square(bags).sum(1, keepdims=True))
        into[rows] = bags / np.maximum(norm, 1e-12)
