"""Columns of records as values that a sketch can count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.data.dataset import Column
from leaven.operate.drift.sketch import Floats

__all__ = ["Names", "Values", "values_of"]


@dataclass(frozen=True, eq=False)
class Names:
    """Categories of n records: (n,) positions among the names, None being missing."""

    codes: npt.NDArray[np.int64]
    names: tuple[str | None, ...]

    @classmethod
    def of(cls, values: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> Names:
        """Of strings, None where missing."""
        given = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        encoded = pc.dictionary_encode(given.cast(pa.string()), null_encoding="encode")
        whole = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        if isinstance(whole, pa.ChunkedArray):  # none, or more than fit one
            whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], given.type)
            whole = pc.dictionary_encode(whole.cast(pa.string()), null_encoding="encode")
        codes = np.asarray(whole.indices.to_numpy(zero_copy_only=False), np.int64)
        return cls(codes, tuple(whole.dictionary.to_pylist()))

    def __len__(self) -> int:
        return len(self.codes)


#: Of n records: numbers, NaN where missing; or categories.
Values = Floats | Names


def values_of(columns: Sequence[Column], records: pa.Table) -> dict[str, Values]:
    """What is watched of each column of some records, by name.

    Numbers as they are, dates in seconds, of free text its length in letters, truth values and
    categories as categories. Pictures, sounds, series and vectors are watched by their features.
    """
    found: dict[str, Values] = {}
    for column in columns:
        values = _values(column, records[column.name])
        if values is not None:
            name = column.name if column.kind != "text" else f"length of {column.name}"
            found[name] = values
    return found


def _values(column: Column, cells: pa.ChunkedArray) -> Values | None:
    if column.kind in ("categorical", "boolean"):
        return Names.of(cells)
    if column.kind == "numeric":
        numbers = cells
    elif column.kind == "datetime" and pa.types.is_temporal(cells.type):
        numbers = cells.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    elif column.kind == "text":
        numbers = pc.utf8_length(cells.cast(pa.string()))
    else:
        return None
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)
