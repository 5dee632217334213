"""The column of a dataset that names files, or holds their bytes: pictures, sounds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset

__all__ = ["files_of", "root_of"]

#: What files of a kind are called in messages.
_THINGS = {"image": "pictures", "audio": "sounds"}


def files_of(dataset: Dataset, kind: str) -> pa.ChunkedArray:
    """(n,) file names or bytes of the column of this kind (else of this name), null where missing.

    Raises DataError for no such column, for several, and for names that no folder is known of.
    """
    things = _THINGS[kind]
    names = [c.name for c in dataset.columns if c.kind == kind] or [kind]
    if len(names) > 1 or names[0] not in dataset.records.column_names:
        found = ", ".join(f"{c.name} ({c.kind})" for c in dataset.columns) or "none"
        raise DataError(
            f"{kind} needs exactly one column of {things}, of kind {kind} or named '{kind}'. "
            f"The columns are: {found}. Keep one of them, or rename it."
        )
    column = dataset.records[names[0]]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(
            f"column {names[0]!r} must hold file names or the bytes of {things}. Got {column.type}."
        )
    if dataset.root is None:
        raise DataError(
            f"column {names[0]!r} names files, and the dataset says no folder that they are "
            f"relative to. Read the dataset from that folder, or give the bytes of the {things}."
        )
    return column


def root_of(dataset: Dataset) -> Path | None:
    """The folder of the files, as an absolute path."""
    return None if dataset.root is None else dataset.root.absolute()
