"""The files or bytes of records, a column of them, read by a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.files import Unreadable

__all__ = ["items", "readable"]

Read = TypeVar("Read")
_THREADS = 2


def items(dataset: Dataset, kind: str) -> tuple[pa.ChunkedArray, Path | None]:
    """(n,) file names or bytes of the column of that kind (else of that name), and the folder.

    Raises DataError where there is no such column.
    """
    names = [column.name for column in dataset.columns if column.kind == kind] or [kind]
    if names[0] not in dataset.records.column_names:
        raise DataError(f"the records have no column of kind {kind}, and none is named so.")
    column = dataset.records[names[0]]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column, None if dataset.root is None else dataset.root.absolute()


def readable(found: Sequence[Any], read: Callable[[Any], Read]) -> Iterator[tuple[int, Read]]:
    """Position and content of those that can be read, in order."""

    def attempt(item: Any) -> Read | None:
        try:
            return read(item)
        except Unreadable:  # decoding has told of it
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        for position, content in enumerate(pool.map(attempt, found)):
            if content is not None:
                yield position, content
