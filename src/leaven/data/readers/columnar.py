"""Parquet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.core.errors import DataError
from leaven.data.dataset import Finding
from leaven.data.lines import open_bytes
from leaven.data.raw import ROW, SOURCE, Refused, Spool

__all__ = ["read_columnar"]

_BATCH = 20_000


def read_columnar(path: str, source: str, spool: Spool) -> tuple[list[Refused], list[Finding]]:
    """Write the rows of one Parquet file to `spool`, with the types they have.

    Raises DataError if the file is no sound Parquet.
    """
    row = 0
    try:
        with open_bytes(path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=_BATCH):
                decoded = [_decoded(column) for column in batch.columns]
                n = batch.num_rows
                decoded += [pa.array([source] * n), pa.array(np.arange(row + 1, row + n + 1))]
                spool.write(pa.record_batch(decoded, [*batch.schema.names, SOURCE, ROW]))
                row += n
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source} is not sound Parquet: {str(error).rstrip('. ')}.") from error
    return [], []


def _decoded(column: pa.Array) -> pa.Array:
    """A dictionary's values: dictionaries that differ between batches cannot share a file."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
