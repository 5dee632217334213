"""Time series: one column of channels by steps, of any lengths, with gaps.

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
import torch

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.portable.series import at_places
from leaven.data.series import SERIES, unpacked
from leaven.data.views.draws import Operation, compose
from leaven.data.views.series_ops import (
    Crop,
    Hide,
    Jitter,
    MagnitudeWarp,
    Permute,
    Scale,
    Series,
    Shift,
    TimeWarp,
    Window,
    WindowWarp,
)

__all__ = ["TimeSeries"]

# How large a series is, and where it lies, may be what its label says: the views hardly change it.
WEAK = (Shift(0.02), Scale(0.95, 1.05), Jitter(0.0, 0.05))
STRONG = (
    Permute(2),
    TimeWarp(6, 0.3),
    WindowWarp(0.2, 2.0),
    MagnitudeWarp(4, 0.15),
    Hide(0.05, 0.2),
    Jitter(0.0, 0.1),
)
CONTRASTIVE = (Crop(0.5, 1.0), Scale(0.8, 1.2), Jitter(0.0, 0.1))
LOCAL = (Scale(0.8, 1.2), Jitter(0.0, 0.1))

_LONGEST = 1024
_MOST_STEPS, _MOST_CHANNELS = 200, 6


@MODALITIES.register("series")
class TimeSeries(Modality):
    """A series of one or several channels a record.

    Arrays: "values" (n, length, channels) float32, 0 where nothing was measured and before the
    first or after the last value of a channel; between two values they lie on a line. "there"
    (n, length, channels) uint8, 1 where a value was measured. Spec: {"column": name, "channels":
    their number, "length": steps kept, "usual": the median length where lengths differ, 0 where 9
    in 10 are alike}.
    """

    name = "series"
    encoder = "tcn"
    features = "rocket"
    beside: ClassVar[Mapping[str, str]] = {
        "raw": "steps", "hydra": "hydra", "intervals": "intervals",
    }  # fmt: skip
    blocks = "series-blocks"

    def describe(self, dataset: Dataset) -> Spec:
        """The usual number of channels, and the length that 95 % do not exceed, 1024 at most."""
        name = _column(dataset)
        shapes = np.array(
            [found.shape for found in unpacked(_series(dataset, name)) if found is not None]
        )
        if not len(shapes):
            raise DataError(f"column {name!r} holds no series: all are missing.")
        counts = np.bincount(shapes[:, 0])
        least, usual, most = np.percentile(shapes[:, 1], (5, 50, 95))
        length = max(1, min(_LONGEST, int(np.ceil(most))))
        return {
            "column": name,
            "channels": int(counts.argmax()),
            "length": length,
            "usual": min(int(usual), length) if least < most else 0,
        }

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """Shorter series end early, longer ones are read at fewer, even places.

        Rejected: missing ones, those without a value, and those of another number of channels.
        Raises DataError where the column is missing or holds no series.
        """
        length, channels = spec["length"], spec["channels"]
        values = np.zeros((len(dataset), length, channels), np.float32)
        there = np.zeros((len(dataset), length, channels), np.uint8)
        rejected: list[Rejected] = []
        for place, found in enumerate(unpacked(_series(dataset, spec["column"]))):
            if found is None or np.isnan(found).all():
                rejected.append((place, "no value", "the series is missing or has no value"))
            elif len(found) != channels:
                told = f"expected {channels} channels, got {len(found)}"
                rejected.append((place, "wrong channels", told))
            else:
                steps = min(length, found.shape[1])
                for channel, row in enumerate(found):
                    read, known = at_places(row, steps)
                    values[place, :steps, channel] = read
                    there[place, :steps, channel] = known
        return Arrays({"values": values, "there": there}), rejected

    def plain(self, batch: Batch) -> Batch:
        """The series."""
        return batch

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Moved, scaled and disturbed a little."""
        return _viewed(WEAK, batch, rng)

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Halves swapped, time and size warped, a span hidden, noise."""
        return _viewed(STRONG, batch, rng)

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A half of the record at least, scaled, with noise."""
        return _viewed(CONTRASTIVE, batch, rng)

    def local(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A window of a third of the length, of eight steps at least, as a shorter array."""
        window = Window(min(spec["length"], max(8, spec["length"] // 3)))
        return _viewed((window, *LOCAL), batch, rng)

    def show(self, dataset: Dataset, position: int) -> Shown:
        """At most 6 channels, each at 200 even places at most; None where nothing was measured."""
        name = _column(dataset)
        found = next(unpacked(_series(dataset, name).slice(position, 1)))
        rows = [] if found is None else list(found[:_MOST_CHANNELS])
        several = len(rows) > 1
        return {
            "kind": "series",
            "steps": 0 if found is None else found.shape[1],
            "channels": [
                {"name": f"{name} {number}" if several else name, "values": _few(row)}
                for number, row in enumerate(rows, 1)
            ],
        }


def _column(dataset: Dataset) -> str:
    """The one column of series."""
    names = [c.name for c in dataset.columns if c.kind == "series"]
    if len(names) != 1:
        found = ", ".join(f"{c.name} ({c.kind})" for c in dataset.columns) or "none"
        raise DataError(
            f"series needs exactly one column of series. The columns are: {found}. "
            "Join several into one list of lists a record, or leave the others out."
        )
    return names[0]


def _series(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """The column, checked to hold series."""
    if name not in dataset.records.column_names:
        found = ", ".join(dataset.records.column_names) or "none"
        raise DataError(
            f"the column of series {name!r} is missing. The columns are: {found}. "
            f"Rename the column that holds the series to {name!r}."
        )
    column = dataset.records[name]
    if column.type != SERIES:
        raise DataError(f"column {name!r} must hold lists of lists of numbers. Got {column.type}.")
    return column


def _viewed(operations: Sequence[Operation[Series]], batch: Batch, rng: torch.Generator) -> Batch:
    values, there = compose(operations, Series(batch["values"], batch["there"]), rng)
    return {"values": values, "there": there}


def _few(row: npt.NDArray[np.float64]) -> list[float | None]:
    """At most 200 of the values, at even places."""
    kept = row[np.unique(np.linspace(0, len(row) - 1, _MOST_STEPS).round().astype(np.int64))]
    return [None if np.isnan(value) else float(f"{value:.5g}") for value in kept]
