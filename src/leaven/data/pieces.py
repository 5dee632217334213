"""Records of a source of any size, piece by piece, as a model with known columns reads them.

What `Dataset.read` does to all records at once is done to some thousands: the same readers, the
same conversion, the same digests. Nothing is inferred, so no piece hangs on another; only what
needs all records (an id of its own for each of two equal ones) is left to whoever sees them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError, UnknownNameError
from leaven.data.assemble import NOTHING, absent, converted, own_id
from leaven.data.content import contents
from leaven.data.conversion import as_strings
from leaven.data.dataset import Column, Dataset, Finding
from leaven.data.labels import clean_labels
from leaven.data.raw import ROW, SOURCE, Raw, Refused
from leaven.data.readers.objects import objects_table
from leaven.data.roles import Roles
from leaven.data.series_rows import as_series

__all__ = ["Piece", "Reading", "objects_piece", "read_piece", "whole_piece"]


@dataclass(frozen=True)
class Reading:
    """How records are read, all alike.

    `columns` are those of the model and `modality` its own; `label` and `id` name columns of the
    data that hold true labels and ids. Without `id` a column called id serves, if there is one.
    `width` is the length of vectors, for a model of these.
    """

    columns: tuple[Column, ...]
    modality: str
    label: str | None = None
    id: str | None = None
    width: int = 0


@dataclass(frozen=True)
class Piece:
    """Some records, in the order of the data.

    Attributes
    ----------
    dataset : those that can be read, each named by its place in the piece: "0", "1" …
    sources, rows : (m,) where each record came from; rows count from 1 within their source.
    ids : (m,) the data's own ids, "" where there is none.
    refused : by place, why others cannot be read: reason and detail.
    stray : what is refused and has no place among the records, such as a file of another kind.
    slips : by column, how many cells were given up, and some of them.
    share : how much of the data has been read by then; None where that is not known.
    files : whether each record is a file, which its source names.
    """

    dataset: Dataset
    sources: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    refused: dict[int, tuple[str, str]]
    stray: tuple[Refused, ...] = ()
    findings: tuple[Finding, ...] = ()
    slips: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    share: float | None = None
    files: bool = False

    def __len__(self) -> int:
        return len(self.rows)


def read_piece(raw: Raw, reading: Reading) -> Piece:
    """One part of a source, see `leaven.data.readers.parts`, as the model reads it.

    Raises UnknownNameError where a named column is not in it. Graphs have no pieces; tables of
    series with a row a step have none either.
    """
    if reading.modality == "series" and raw.table.num_rows:
        label = reading.label or False
        raw, _ = as_series(raw, Roles(label, "series", columns=reading.columns))
    return _piece(raw, reading)


def whole_piece(dataset: Dataset) -> Piece:
    """Records that must be read together, with the ids that they have."""
    meta = dataset.meta
    told = meta is not None and {"source", "row"} <= set(meta.column_names)
    n = len(dataset)
    return Piece(
        replace(dataset, ids=np.arange(n).astype(np.str_)),
        tuple(meta["source"].to_pylist()) if meta is not None and told else ("",) * n,
        meta["row"].to_numpy() if meta is not None and told else np.arange(1, n + 1),
        tuple(map(str, dataset.ids.tolist())),
        {},
        tuple(
            (one["source"] or "", one["row"] or 0, one["reason"], one["detail"])
            for one in dataset.quarantine.to_pylist()
        ),
        dataset.findings,
        share=1.0,
    )


def objects_piece(
    objects: Sequence[tuple[int, Any]], reading: Reading, source: str = "stream"
) -> Piece:
    """Objects of cells by column, each with its number, as a line of JSON Lines would be read.

    What is no object stands for why there is none. Files are not opened, whatever a cell says.
    """
    return _piece(objects_table(objects, source), reading, named=False)


def _piece(raw: Raw, reading: Reading, named: bool = True) -> Piece:
    """One part of the source; `named` says that columns which were asked for must be there."""
    table = raw.table
    placed = [one for one in raw.refused if one[1]]
    stray = tuple(one for one in raw.refused if not one[1])
    good = table.num_rows
    if not good:
        return _nothing(placed, stray, raw, reading)
    names = [name for name in table.column_names if name not in (SOURCE, ROW)]
    label, id_ = (_named(role, getattr(reading, role), names, named) for role in ("label", "id"))
    id_ = id_ or own_id(names)
    cells = converted(table, reading.columns, None, reading.width)
    content, unreadable = contents(
        cells.records, reading.columns, raw.root, confined=not raw.listed
    )
    rows = np.concatenate([table[ROW].to_numpy(), np.array([one[1] for one in placed], np.int64)])
    order = np.argsort(rows, kind="stable")
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    refused = {int(place[good + i]): (one[2], one[3]) for i, one in enumerate(placed)}
    empty = np.setdiff1d(np.arange(good), cells.kept)
    refused |= {int(place[i]): cells.why.get(int(i), NOTHING) for i in empty.tolist()}
    refused |= {int(place[cells.kept[at]]): (why, detail) for at, why, detail in unreadable}
    labels = pa.nulls(good, pa.string()) if label is None else clean_labels(table[label])
    dataset = Dataset(
        records=cells.records,
        ids=place[cells.kept].astype(np.str_),
        labels=labels.take(pa.array(cells.kept)),
        modality=reading.modality,
        columns=reading.columns,
        content=content,
        root=raw.root if reading.modality in ("image", "audio") else None,
    )
    if unreadable:
        there = np.setdiff1d(np.arange(len(dataset)), [at for at, _, _ in unreadable])
        dataset = dataset.select(there)
    sources = [*table[SOURCE].to_pylist(), *(one[0] for one in placed)]
    given = _ids(table, id_) + [""] * len(placed)
    return Piece(
        dataset,
        tuple(sources[i] for i in order),
        rows[order],
        tuple(given[i] for i in order),
        refused,
        stray,
        (*raw.findings, *absent(reading.columns, table)),
        cells.slips,
        raw.share,
        raw.listed,
    )


def _nothing(
    placed: Sequence[Refused], stray: tuple[Refused, ...], raw: Raw, reading: Reading
) -> Piece:
    """A part of the source that no record could be read from."""
    records = pa.table({c.name: pa.array([], pa.string()) for c in reading.columns})
    nobody = np.zeros(0, np.str_)
    dataset = Dataset(
        records, nobody, pa.array([], pa.string()), reading.modality, reading.columns, nobody
    )
    return Piece(
        dataset,
        tuple(one[0] for one in placed),
        np.array([one[1] for one in placed], np.int64),
        ("",) * len(placed),
        {i: (one[2], one[3]) for i, one in enumerate(placed)},
        stray,
        tuple(raw.findings),
        share=raw.share,
    )


def _named(role: str, name: str | None, names: list[str], must: bool) -> str | None:
    if name is None or name in names:
        return name
    if must:
        raise UnknownNameError(role, name, names)
    return None


def _ids(table: pa.Table, name: str | None) -> list[str]:
    """The data's own ids, "" where there is none."""
    if name is None:
        return [""] * table.num_rows
    if pa.types.is_nested(table[name].type):
        raise DataError(f"The column {name!r} holds lists or objects, which are no ids.")
    told: list[str] = pc.fill_null(as_strings(table[name]), "").to_pylist()
    return told
