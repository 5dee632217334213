"""Arrays and data frames in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from leaven.core.errors import DataError, SettingError
from leaven.data.assemble import Roles, assemble
from leaven.data.dataset import Dataset
from leaven.data.edges import joined_at
from leaven.data.raw import ROW, SOURCE, Raw
from leaven.data.series import packed, tidied
from leaven.data.sounds import wave_file

__all__ = ["from_arrays", "from_frame"]

_CHANNELS = (1, 3, 4)
#: Samples a second of sounds that come as arrays.
_RATE = 16_000


def from_arrays(
    X: Any,
    y: Any = None,
    *,
    modality: str | None,
    ids: Sequence[str] | None,
    audit: Any = None,
    edges: Any = None,
    name: str,
) -> Dataset:
    """See `Dataset.from_arrays`."""
    if edges is not None:
        if modality not in (None, "graph"):
            raise SettingError("modality", "graph, where edges are given", modality)
        modality = "graph"
    columns = _features(X, modality)
    n = len(next(iter(columns.values())))
    for what, values in (("y", y), ("ids", ids), ("audit", audit)):
        if values is not None and len(values) != n:
            raise SettingError(what, f"as long as X, {n}", len(values))
    if y is not None:
        columns["\x1flabel"] = _one_dimensional(y)
    if ids is None and edges is not None:
        ids = [str(place) for place in range(n)]
    if ids is not None:
        columns["\x1fid"] = pa.array([str(value) for value in ids], pa.string())
    if audit is not None:
        columns["\x1faudit"] = _one_dimensional(audit)
    raw = _raw(pa.table(columns), name)
    raw.fixed_labels = "\x1flabel" if y is not None else None
    roles = Roles(
        label=None if y is not None else False,
        modality=modality or ("text" if "text" in columns else None),
        id="\x1fid" if ids is not None else None,
        audit="\x1faudit" if audit is not None else None,
    )
    dataset = assemble(raw, roles, name=name, source=name)
    return dataset if edges is None else _joined(dataset, edges)


def _joined(dataset: Dataset, edges: Any) -> Dataset:
    """The records with edges (2, m) between their positions."""
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[0] != 2 or pairs.dtype.kind not in "iu":
        raise SettingError("edges", "whole numbers (2, m)", f"{pairs.dtype} {pairs.shape}")
    return joined_at(dataset, pairs)


def from_frame(frame: Any, roles: Roles, *, name: str) -> Dataset:
    """See `Dataset.from_frame`."""
    try:
        data = nw.from_native(frame)
        if isinstance(data, nw.LazyFrame):
            data = data.collect()
        table = data.to_arrow()
    except TypeError as error:
        raise SettingError(
            "frame", "a pandas, polars or Arrow table", type(frame).__name__
        ) from error
    except pa.ArrowException as error:
        raise DataError(f"The frame cannot be read: {error}. Give each column one type.") from error
    return assemble(_raw(_plain(table), name), roles, name=name, source=name)


def _raw(table: pa.Table, name: str) -> Raw:
    n = table.num_rows
    table = table.append_column(SOURCE, pa.array([name] * n, pa.string()))
    return Raw(table.append_column(ROW, pa.array(np.arange(1, n + 1))))


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries, as pandas' and polars' categories come, as their values."""
    for i, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            plain = table[column.name].cast(column.type.value_type)
            table = table.set_column(i, column.name, plain)
    return table


def _features(X: Any, modality: str | None) -> dict[str, Any]:
    """The feature columns that an array stands for."""
    if modality == "series":
        return {"series": packed(_series(X))}
    if modality == "audio":
        return {"audio": pa.array(_sounds(X), pa.large_binary())}
    values = np.asarray(X)
    if values.ndim == 0 or not len(values):
        raise SettingError("X", "an array with at least one record", values.shape)
    if values.dtype.kind in "USO" and values.ndim == 1:
        if not all(v is None or v != v or isinstance(v, str) for v in values.tolist()):
            raise SettingError("X", "numbers, uint8 images or strings", f"a list of {type(X[0])}")
        texts = [v if isinstance(v, str) else None for v in values.tolist()]
        return {"text": pa.array(texts, pa.string())}
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        return {"image": pa.array(_encoded(values), pa.large_binary())}
    if values.dtype.kind not in "fiub" or values.ndim != 2:
        raise SettingError(
            "X",
            "numbers (n, d), uint8 images (n, h, w), (n, h, w, c) or (n, c, h, w), or strings (n,)",
            f"{values.dtype} {values.shape}",
        )
    if modality in ("embedding", "graph"):
        flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
        return {"features": pa.FixedSizeListArray.from_arrays(flat, values.shape[1])}
    return {f"x{i}": pa.array(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])}


def _series(X: Any) -> Iterator[npt.NDArray[np.float64] | None]:
    """Records of (n, steps), (n, channels, steps), or a list of (channels, steps) or (steps,)."""
    if not len(X):
        raise SettingError("X", "at least one series", 0)
    for values in X:
        try:
            found = None if values is None else np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise SettingError("X", "series of numbers, NaN where missing", str(error)) from None
        if found is not None and found.ndim not in (1, 2):
            raise SettingError(
                "X", "series (n, steps), (n, channels, steps) or a list of these", found.shape
            )
        yield None if found is None else tidied(found)


def _encoded(pixels: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    """Each image as a PNG, which keeps every pixel."""
    if pixels.ndim == 4 and pixels.shape[-1] not in _CHANNELS:
        if pixels.shape[1] not in _CHANNELS:
            raise SettingError("X", "images of 1, 3 or 4 channels", pixels.shape)
        pixels = np.moveaxis(pixels, 1, -1)
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    for picture in pixels:
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(stream, "PNG", compress_level=1)
        yield stream.getvalue()


def _sounds(X: Any) -> Iterator[bytes]:
    """Each sound as a WAV file that keeps every sample."""
    if not len(X):
        raise SettingError("X", "at least one sound", X)
    for place, sound in enumerate(X):
        samples = np.asarray(sound)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            wanted = f"sounds of {_RATE} samples a second, one-dimensional arrays of floats"
            raise SettingError(f"X[{place}]", wanted, f"{samples.dtype} {samples.shape}")
        yield wave_file(samples, _RATE, exact=True)


def _one_dimensional(y: Any) -> pa.Array:
    """Labels as an Arrow array; None and not-a-number are null."""
    if isinstance(y, pa.Array | pa.ChunkedArray):
        return y
    values = np.asarray(y)
    if values.ndim != 1:
        raise SettingError("y", "one label a record", f"an array of shape {values.shape}")
    if values.dtype.kind != "O":
        return pa.array(values.tolist())
    return pa.array([None if v is None or v != v else str(v) for v in values], pa.string())
