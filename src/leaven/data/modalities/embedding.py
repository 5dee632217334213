"""Vectors made elsewhere: embeddings of a frozen model, spectra, any fixed-length features.

To add a modality, write one file like this one: a class that implements `Modality`, registered
under its name. `describe` says as plain JSON what decoding must remember; `decode` turns records
into arrays and names those it cannot; `plain`, `weak` and `strong` turn a batch of those arrays
into what the encoder reads; `show` is for people. Name the encoders in `encoder` and `features`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.views.draws import compose
from leaven.data.views.table_ops import DropColumns, Noise

__all__ = ["Embedding"]

WEAK = (Noise(0.1),)
STRONG = (Noise(0.3), DropColumns(0.2, 0.5))

_SHOWN = 16


@MODALITIES.register("embedding")
class Embedding(Modality):
    """A vector a record. Arrays: "features" (n, width) float32, all finite.

    Beside them there may be "inner" (n, inner), from a frozen encoder: its layers before the last.
    Spec: {"column": name, "width": numbers a vector}, and perhaps "inner".
    """

    name = "embedding"
    encoder = "mlp"
    features = "standardised"
    beside: ClassVar[Mapping[str, str]] = {"inner": "inner-states"}
    blocks = "embedding-blocks"

    def describe(self, dataset: Dataset) -> Spec:
        """The column's width: its type's, else its vectors' most frequent one."""
        name = _column(dataset)
        column = _vectors(dataset, name)
        if pa.types.is_fixed_size_list(column.type):
            width = column.type.list_size
        else:
            usual = pc.mode(pc.list_value_length(column))
            width = usual[0]["mode"].as_py() if len(usual) else 0
        if not width:
            raise DataError(f"column {name!r} holds no vectors: all are missing or empty.")
        return {"column": name, "width": width}

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """Vectors as rows. Rejected: missing ones, other widths, numbers that are not finite.

        Raises DataError where the column is missing or holds no lists of numbers.
        """
        column = _vectors(dataset, spec["column"])
        width: int = spec["width"]
        found = pc.fill_null(pc.list_value_length(column), -1).to_numpy().astype(np.int64)
        right = found == width
        features = np.zeros((len(column), width), np.float32)
        features[right] = _numbers(column.filter(pa.array(right)), spec["column"], width)
        broken = np.isnan(features).any(1)
        features[broken] = 0
        rejected = [(int(i), *_why(int(found[i]), width)) for i in np.flatnonzero(broken | ~right)]
        return Arrays({"features": features}), rejected

    def plain(self, batch: Batch) -> Batch:
        """The vectors."""
        return batch

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A little noise."""
        return {"features": compose(WEAK, batch["features"], rng)}

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """More noise, and a fifth to a half of the numbers dropped."""
        return {"features": compose(STRONG, batch["features"], rng)}

    def show(self, dataset: Dataset, position: int) -> Shown:
        """The first 16 numbers, in one cell."""
        name = _column(dataset)
        vector = dataset.records[name].slice(position, 1)[0].as_py() or []
        text = ", ".join("—" if v is None else f"{v:.4g}" for v in vector[:_SHOWN])
        if len(vector) > _SHOWN:
            text += f", … ({len(vector)} numbers)"
        return {"kind": "row", "cells": [{"name": name, "value": text or "—"}]}


def _column(dataset: Dataset) -> str:
    """The one column of vectors."""
    names = [c.name for c in dataset.columns if c.kind == "vector"]
    if len(names) != 1:
        found = ", ".join(f"{c.name} ({c.kind})" for c in dataset.columns) or "none"
        raise DataError(
            f"embedding needs exactly one column of vectors. The columns are: {found}. "
            "Join several vectors into one column, or leave the others out."
        )
    return names[0]


def _vectors(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """The column, checked to hold lists."""
    if name not in dataset.records.column_names:
        found = ", ".join(dataset.records.column_names) or "none"
        raise DataError(
            f"the column of vectors {name!r} is missing. The columns are: {found}. "
            f"Rename the column that holds the vectors to {name!r}."
        )
    column = dataset.records[name]
    if not (
        pa.types.is_fixed_size_list(column.type)
        or pa.types.is_list(column.type)
        or pa.types.is_large_list(column.type)
    ):
        raise DataError(f"column {name!r} must hold lists of numbers. Got {column.type}.")
    return column


def _numbers(column: pa.ChunkedArray, name: str, width: int) -> npt.NDArray[np.float32]:
    """(n, width) of vectors that are all present and of this width; NaN for what is not finite."""
    try:
        flat = pc.list_flatten(column).cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column {name!r} must hold lists of numbers: {error}.") from error
    with np.errstate(over="ignore"):  # beyond float32 is as good as infinite
        numbers = flat.to_numpy().astype(np.float32)
    numbers[~np.isfinite(numbers)] = np.nan
    vectors: npt.NDArray[np.float32] = numbers.reshape(-1, width)
    return vectors


def _why(found: int, width: int) -> tuple[str, str]:
    """Reason and detail for a vector that cannot be used."""
    if found < 0:
        return "missing vector", "the vector is missing"
    if found != width:
        return "wrong width", f"expected {width} numbers, got {found}"
    return "not finite", "a number is missing, infinite or not a number"
