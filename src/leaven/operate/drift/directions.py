"""Pictures, sounds, series and vectors as columns of numbers, which sketches count as any others.

Of each record: its level, spread and roughness in words of its kind, where it lies along the
leading principal directions of the reference's records, and how far from all of them it is (the
residual of a principal component model: Jackson & Mudholkar 1979, "Control procedures for
residuals associated with principal component analysis"). What is looked at are the decoded records,
not the network's features: reading them needs NumPy alone, so a server that has no torch does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError
from leaven.data.portable.decoding import decode
from leaven.operate.drift.columns import Values
from leaven.operate.drift.sketch import Floats

if TYPE_CHECKING:
    from leaven.data.dataset import Dataset

__all__ = ["DIRECTED", "Directions"]

#: Level, spread and roughness of a record as its kind has them; of sounds the frames besides.
_CALLED: dict[str, tuple[str, ...]] = {
    "image": ("brightness", "contrast", "sharpness"),
    "audio": ("loudness", "range", "roughness", "length"),
    "series": ("level", "spread", "roughness"),
    "embedding": (),
}
#: Modalities of records that are read so.
DIRECTED = tuple(_CALLED)
_SHOWN, _AXES = 8, 16  # directions that are columns; those that a record's distance is from
_MOST, _MOST_SOUNDS = 8000, 2000  # records of the reference that are looked at; sounds are slow
_TOGETHER = 256  # records that are decoded at once
_FEWEST = 8
_SIDE = 32  # numbers along an axis of time, height or width at most
_LEAST_SPREAD = 0.1  # of a number, as a share of the usual one: else what never changed is all

Decoded = Mapping[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Directions:
    """How records are read: decoded by `spec` and `columns` (kinds by name), and then held against
    the reference's mean (width,), spread (width,) and principal directions (width, axes)."""

    modality: str
    spec: Mapping[str, Any]
    columns: Mapping[str, str]
    mean: Rows
    spread: Rows
    axes: Rows

    @classmethod
    def of(cls, dataset: Dataset, seed: int = 0) -> tuple[Directions, dict[str, Values]]:
        """The directions of records, and columns of them.

        They are found by a quarter of a sample, and the columns are of the others: records lie
        nearer to directions that were made of them than any others do. Raises DataError where fewer
        than eight can be read.
        """
        from sklearn.utils.extmath import randomized_svd

        from leaven.data.modality import MODALITIES

        spec = MODALITIES[dataset.modality].describe(dataset)
        columns = {column.name: column.kind for column in dataset.columns}
        most = _MOST_SOUNDS if dataset.modality == "audio" else _MOST
        order = np.random.default_rng(seed).permutation(len(dataset))[:most]
        flat, told = _read(dataset.select(order), spec)
        if len(flat) < _FEWEST:
            raise DataError(f"A reference needs {_FEWEST} records that can be read at least.")
        first = len(flat) // 4
        mean, spread = flat[:first].mean(0), flat[:first].std(0)
        usual = float(np.sqrt((spread**2).mean())) or 1.0
        spread = np.maximum(spread, _LEAST_SPREAD * usual)
        ready = (flat[:first] - mean) / spread
        _, _, rows = randomized_svd(ready, min(_AXES, *ready.shape), random_state=seed)
        axes = np.ascontiguousarray(rows.T, np.float32)  # a file keeps no other order
        found = cls(dataset.modality, spec, columns, mean, spread, axes)
        return found, found._values(flat[first:], [one[first:] for one in told])

    def of_dataset(self, dataset: Dataset) -> dict[str, Values]:
        """Columns of the records that can be read (n of each)."""
        return self._values(*_read(dataset, self.spec))

    def of_records(self, records: Sequence[object]) -> dict[str, Values]:
        """The same of records as a request has them, without torch."""
        decoded, kept, _ = decode(self.modality, self.spec, self.columns, records)
        if not kept:
            return {name: np.zeros(0) for name in self._names}
        return self._values(_flat(self.modality, decoded), _told(self.modality, decoded))

    def _values(self, flat: Rows, told: Sequence[Floats]) -> dict[str, Values]:
        ready = (flat - self.mean) / self.spread
        along = ready @ self.axes
        every = [*told, *along.T[:_SHOWN]]
        if self._beyond:
            every.append(np.sqrt(np.maximum((ready**2).sum(1) - (along**2).sum(1), 0)))
        return {
            name: np.asarray(one, np.float64) for name, one in zip(self._names, every, strict=True)
        }

    @property
    def _beyond(self) -> bool:
        """Whether a record can lie beyond all directions: not where there are as many as numbers,
        and what is left is rounding."""
        return bool(self.axes.shape[1] < self.axes.shape[0])

    @property
    def _names(self) -> list[str]:
        shown = [f"component {i + 1}" for i in range(min(_SHOWN, self.axes.shape[1]))]
        return [*_CALLED[self.modality], *shown, *["beyond components"][: self._beyond]]


def _read(dataset: Dataset, spec: Mapping[str, Any]) -> tuple[Rows, list[Floats]]:
    """`_flat` and `_told` of the records that can be read, some decoded at a time."""
    from leaven.data.modality import MODALITIES

    modality, flat, told = MODALITIES[dataset.modality], [], []
    for start in range(0, len(dataset), _TOGETHER):
        few = dataset.select(np.arange(start, min(start + _TOGETHER, len(dataset))))
        arrays, rejected = modality.decode(few, dict(spec))
        kept = np.setdiff1d(np.arange(len(few)), [place for place, *_ in rejected])
        decoded = {name: np.asarray(arrays[name][kept]) for name in arrays.names}
        flat.append(_flat(dataset.modality, decoded))
        told.append(_told(dataset.modality, decoded))
    return np.concatenate(flat), [np.concatenate(parts) for parts in zip(*told, strict=True)]


def _planes(modality: str, decoded: Decoded) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """(n, channels, height, width) what records hold, and whether it is there, of the same shape
    but for axes of one."""
    if modality == "image":
        planes = decoded["pixels"].astype(np.float32) / np.float32(255)
        return planes, np.ones((len(planes), 1, 1, 1), bool)
    if modality == "audio":
        mel = decoded["mel"].astype(np.float32)
        there = np.arange(mel.shape[1]) < decoded["length"][:, None]
        return mel[:, None].transpose(0, 1, 3, 2), there[:, None, None]  # time last
    if modality == "series":
        values = decoded["values"].transpose(0, 2, 1)[:, :, None]
        return values, decoded["there"].transpose(0, 2, 1)[:, :, None] > 0
    vectors = decoded["features"].astype(np.float32)[:, None, None]
    return vectors, np.ones((len(vectors), 1, 1, 1), bool)


def _flat(modality: str, decoded: Decoded) -> Rows:
    """(n, width) the records as rows, times, heights and widths made at most 32 by means."""
    planes, _ = _planes(modality, decoded)
    if modality != "embedding":
        planes = _pooled(_pooled(planes, 2), 3)
    return planes.reshape(len(planes), -1)


def _pooled(planes: Rows, axis: int) -> Rows:
    """Means of neighbours along an axis that is longer than 32."""
    size = planes.shape[axis]
    if size <= _SIDE:
        return planes
    starts = np.arange(_SIDE) * size // _SIDE
    sums = np.add.reduceat(planes, starts, axis)
    shape = [1] * planes.ndim
    shape[axis] = _SIDE
    widths = np.diff(np.append(starts, size)).reshape(shape)
    return np.asarray(sums / widths, np.float32)


def _told(modality: str, decoded: Decoded) -> list[Floats]:
    """(n,) each: level, spread, roughness, and of sounds the frames; nothing of vectors."""
    if not _CALLED[modality]:
        return []
    planes, there = _planes(modality, decoded)
    there = np.broadcast_to(there, planes.shape)
    level = _mean(planes, there)
    apart = planes - level[:, None, None, None].astype(np.float32)
    spread = np.sqrt(_mean(apart**2, there))
    steps, known = np.abs(np.diff(planes, axis=3)), there[..., 1:] & there[..., :-1]
    found = [level, spread, _mean(steps, known)]
    return [*found, decoded["length"].astype(np.float64)] if modality == "audio" else found


def _mean(planes: Rows, there: npt.NDArray[np.bool_]) -> Floats:
    """(n,) of what is there of each record."""
    axes = (1, 2, 3)
    sums = (planes * there).sum(axes, dtype=np.float64)
    return np.asarray(sums / np.maximum(there.sum(axes), 1), np.float64)
