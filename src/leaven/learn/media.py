"""The files or bytes of records, a column of them, read by a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from leaven.data.dataset import Dataset
from leaven.data.file_column import files_of, root_of
from leaven.data.files import Unreadable

__all__ = ["items", "readable"]

Read = TypeVar("Read")
_THREADS = 2


def items(dataset: Dataset, kind: str) -> tuple[pa.ChunkedArray, Path | None]:
    """(n,) file names or bytes of the column of that kind (else of that name), and the folder.

    Raises DataError where there is no such column.
    """
    return files_of(dataset, kind), root_of(dataset)


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
