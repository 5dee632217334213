"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.core.errors import DataError
from leaven.data.lines import open_bytes
from leaven.data.raw import ROW, SOURCE, Raw

__all__ = ["read_columnar"]

_BATCH = 20_000
_BYTES = 32 << 20  # of a batch, about, as they lie in the file without compression


def read_columnar(path: str, source: str) -> Iterator[Raw]:
    """The rows of one Parquet file, some thousands at a time, with the types they have.

    Raises DataError if the file is no sound Parquet.
    """
    row = 0
    try:
        with open_bytes(path) as stream:
            file = pq.ParquetFile(stream)
            for batch in file.iter_batches(batch_size=_rows(file.metadata)):
                decoded = [_decoded(column) for column in batch.columns]
                n = batch.num_rows
                decoded += [pa.array([source] * n), pa.array(np.arange(row + 1, row + n + 1))]
                row += n
                table = pa.table(decoded, [*batch.schema.names, SOURCE, ROW])
                yield Raw(table, share=row / file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source} is not sound Parquet: {str(error).rstrip('. ')}.") from error


def _rows(told: pq.FileMetaData) -> int:
    """How many rows a batch has, so that pictures do not fill the memory."""
    size = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
    return int(min(max(_BYTES * told.num_rows // max(size, 1), 64), _BATCH))


def _decoded(column: pa.Array) -> pa.Array:
    """A dictionary's values: dictionaries that differ between batches cannot share a file."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
