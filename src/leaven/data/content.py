"""Digests of records that do not depend on format, order of columns or order of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.data.dataset import Column
from leaven.data.series import as_bytes

__all__ = ["LARGEST_FILE", "contents", "make_ids"]

#: A single image or sound file larger than this is refused unread.
LARGEST_FILE = 64 << 20
_BATCH = 16_384
_MARK = pa.scalar(b"\x1f", pa.large_binary())
_END = pa.scalar(b"\x1e", pa.large_binary())


def contents(
    records: pa.Table, columns: Sequence[Column], root: Path | None, *, confined: bool = True
) -> tuple[npt.NDArray[np.str_], list[tuple[int, str, str]]]:
    """(n,) 32 hexadecimal digits a record, and the (position, reason, detail) of unreadable files.

    Numbers count by their value, missing values not at all, line ends as one sign. An image
    or a sound counts by the bytes of its file, wherever they lie; its name does not count.
    `confined` refuses files whose path leads out of `root`.
    """
    refused: list[tuple[int, str, str]] = []
    if len(columns) == 1 and columns[0].kind in ("image", "audio"):
        column = records[columns[0].name]
        if pa.types.is_string(column.type):
            digests = _file_digests(column, root or Path(), confined, refused)
        else:
            digests = [_digest(v) for c in column.chunks for s in c for v in [s.as_buffer() or b""]]
    else:
        ordered = sorted(columns, key=lambda c: c.name)
        digests = []
        for start in range(0, records.num_rows, _BATCH):
            rows = _lines(records.slice(start, _BATCH), ordered)
            digests += map(_digest, rows.to_pylist())
    return np.array(digests, dtype="U32"), refused


def _digest(value: bytes | pa.Buffer) -> str:
    return hashlib.blake2b(value, digest_size=16).hexdigest()


def _lines(records: pa.Table, columns: Sequence[Column]) -> pa.Array:
    """One binary line a record: name, length and value of each cell that is there."""
    cells = []
    for column in columns:
        text = _canonical(records[column.name].combine_chunks(), column.kind)
        length = pc.binary_length(text).cast(pa.string()).cast(pa.large_binary())
        named = "" if column.kind == "series" else column.name  # what a file calls it counts not
        name = pa.scalar(named.encode(), pa.large_binary())
        cells.append(pc.binary_join_element_wise(name, length, text, _MARK))
    return pc.binary_join_element_wise(*cells, _END, null_handling="skip")


def _canonical(values: pa.Array, kind: str) -> pa.Array:
    """The values as bytes, alike for alike values."""
    if kind == "series":
        return as_bytes(values)
    if kind == "numeric":
        values = pc.add(values, 0.0).cast(pa.string())  # minus zero is zero
    elif kind == "vector":
        width = values.type.list_size
        flat = np.ascontiguousarray(values.fill_null([0.0] * width).flatten(), dtype="<f4") + 0.0
        packed = flat.astype("<f4").view(f"V{4 * width}")
        joined = pa.array([item.tobytes() for item in packed], pa.large_binary())
        return pc.if_else(values.is_valid(), joined, pa.scalar(None, pa.large_binary()))
    elif kind == "text":
        values = pc.replace_substring_regex(values, "\r\n?", "\n")
        values = pc.utf8_rtrim(values, "\n")
    elif kind not in ("image", "audio"):
        values = values.cast(pa.string())
    return values.cast(pa.large_binary())


def _file_digests(
    column: pa.ChunkedArray, root: Path, confined: bool, refused: list[tuple[int, str, str]]
) -> list[str]:
    digests = []
    home = root.resolve()
    for position, name in enumerate(column.to_pylist()):
        path = root / name
        if confined and not path.resolve().is_relative_to(home):
            refused.append((position, "path outside the folder", name))
            digests.append("")
            continue
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise OSError(f"larger than {LARGEST_FILE >> 20} MB")
            digests.append(_digest(path.read_bytes()))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "missing file" if missing else "unreadable file"
            refused.append((position, reason, f"{name}: {error.strerror or error}"))
            digests.append("")
    return digests


def make_ids(content: npt.NDArray[np.str_], labels: pa.StringArray) -> npt.NDArray[np.str_]:
    """(n,) unique ids: 16 digits of the content, then -2, -3 … for further equal records.

    Equal records are numbered in the order of their labels, so the order of rows is not felt.
    """
    short = content.astype("U16")
    if not len(short):
        return short
    names = np.array(labels.fill_null("").to_pylist(), dtype=np.str_)
    order = np.lexsort((names, content))
    ordered = short[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    ids = short.astype("U28")
    for place in np.flatnonzero(rank):
        ids[order[place]] = f"{ordered[place]}-{rank[place] + 1}"
    return ids
