"""The noun that enters everything: records, some of them labelled.

A `Dataset` is frozen. Reading, checking and splitting return new things and never change it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Column",
    "Dataset",
    "EDGES_SCHEMA",
    "Finding",
    "Index",
    "QUARANTINE_SCHEMA",
    "class_order",
]

Index = npt.NDArray[np.int64]

#: One row a rejected record. `row` counts from 1 within `source` (the header is not a row).
QUARANTINE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)

#: One row an edge between two records: their positions, the lower one first, and its weight.
EDGES_SCHEMA = pa.schema([("source", pa.int64()), ("target", pa.int64()), ("weight", pa.float32())])


@dataclass(frozen=True)
class Column:
    """A feature column and what its values are.

    `kind` is one of numeric, categorical, boolean, datetime, text, image, vector,
    series.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Finding:
    """Something a check found, said so that a person can act on it.

    `severity` is `info`, `warning` (the model may suffer) or `error` (must be mended before the
    figures can be trusted). `examples` are record ids, or names where it is about columns.
    """

    name: str
    severity: str
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()
    advice: str = ""


def class_order(names: Sequence[str]) -> tuple[str, ...]:
    """Class names sorted, numbers by value.

    >>> class_order(["10", "9", "10"])
    ('9', '10')
    """
    unique = set(names)
    try:
        return tuple(sorted(unique, key=float))
    except ValueError:
        return tuple(sorted(unique))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Records with or without labels, of one modality.

    Attributes
    ----------
    records : (n, columns) feature columns only; may be memory-mapped.
    ids : (n,) unique strings. From the data's own `id` column, else from the record's content.
    labels : (n,) strings, null where unlabelled.
    modality : name in the registry of modalities.
    columns : the feature columns, in the order of `records`, with their kinds.
    content : (n,) hex digest of each record's features, equal for equal records.
    meta : (n, …) what is known of a record but is no feature: source, group, time, audit, who
        gave its label (`by`), what rules say of it (`votes`).
    root : the folder to which file paths among the records are relative.
    quarantine : rejected records, by QUARANTINE_SCHEMA; nothing is dropped unseen.
    findings : what was noticed while reading.
    edges : of a graph, the undirected edges between records by EDGES_SCHEMA, each once and no
        loops; None for records that stand alone.
    """

    records: pa.Table
    ids: npt.NDArray[np.str_]
    labels: pa.StringArray
    modality: str
    columns: tuple[Column, ...]
    content: npt.NDArray[np.str_]
    name: str = "data"
    source: str = ""
    meta: pa.Table | None = None
    root: Path | None = None
    quarantine: pa.Table = field(default_factory=QUARANTINE_SCHEMA.empty_table)
    findings: tuple[Finding, ...] = ()
    edges: pa.Table | None = None

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        label: str | bool | None = None,
        modality: str | None = None,
        id: str | None = None,
        group: str | None = None,
        time: str | None = None,
        audit: str | None = None,
        labels: str | os.PathLike[str] | None = None,
        columns: Sequence[Column] | None = None,
        cache: Path | None = None,
    ) -> Dataset:
        """Read a table, a list of tables, or a folder.

        Tables are CSV, TSV (any usual delimiter and encoding, also .gz), Parquet, JSON Lines and
        JSON arrays, local or by fsspec URL. Folders hold tables; or one sub-folder a class and
        `unlabelled/`, of images or .txt files; or files and a table of their labels; or a graph,
        as tables `nodes` and `edges` (`source`, `target`, perhaps `weight`). An .npz is a graph.
        Large tables are streamed to disk and memory-mapped.

        Parameters
        ----------
        label : the column of labels. By default one called label, target, class, y, category or
            intent; False says that there are none and leaves all records unlabelled.
        modality : image, text, tabular, embedding or graph; by default found from the columns.
        id, group, time : columns that name a record, its group (patient, author …) and its time
            (ISO dates or numbers). The last two go to `meta` and steer the splits.
        audit : a column of true labels of records that are to be treated as unlabelled. It goes
            to `meta`, is never a feature, and nothing that learns or splits reads it.
        labels : the table of labels of a flat folder; by default `labels.csv`, `labels.parquet`
            or `metadata.csv` in it.
        columns : feature columns and kinds as an earlier dataset had them. Nothing is inferred
            then, other columns are ignored, and missing ones are null.
        cache : where what does not fit in memory is laid down; by default the system's
            temporary folder.

        Raises DataError where no records or no labels can be found, UnknownNameError for columns
        that are not there, SettingError for a modality that does not fit.
        """
        from leaven.data.assemble import Roles
        from leaven.data.readers import read

        roles = Roles(label, modality, id, group, time, columns, audit)
        return read(path, roles, labels=labels, cache=cache)

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: Any = None,
        *,
        modality: str | None = None,
        ids: Sequence[str] | None = None,
        audit: Any = None,
        edges: Any = None,
        name: str = "data",
    ) -> Dataset:
        """Records in memory: numbers (n, d), uint8 images, or n strings.

        Images are (n, h, w), (n, h, w, c) or (n, c, h, w) with 1, 3 or 4 channels. Numbers are
        tabular, or embeddings with `modality="embedding"`. With `modality="audio"` X is a list of
        sounds, (samples,) floats in [-1, 1] at 16,000 a second. In `y`, -1, None, "" and
        not-a-number mean unlabelled; `audit` has the true labels of such records, as for `read`.
        Numbers with `edges`, (2, m) positions of records, are the nodes of a graph.
        Raises SettingError for anything else.

        >>> Dataset.from_arrays(np.eye(3), [0, 1, -1])
        Dataset('data', tabular, 3 records, 2 labelled, 2 classes)
        """
        from leaven.data.memory import from_arrays

        return from_arrays(X, y, modality=modality, ids=ids, audit=audit, edges=edges, name=name)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        label: str | bool | None = None,
        modality: str | None = None,
        id: str | None = None,
        group: str | None = None,
        time: str | None = None,
        audit: str | None = None,
        columns: Sequence[Column] | None = None,
        name: str = "data",
    ) -> Dataset:
        """Records from a pandas, polars or Arrow table; parameters as for `read`."""
        from leaven.data.assemble import Roles
        from leaven.data.memory import from_frame

        roles = Roles(label, modality, id, group, time, columns, audit)
        return from_frame(frame, roles, name=name)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {self.modality}, {len(self)} records, "
            f"{len(self.labelled)} labelled, {len(self.classes)} classes)"
        )

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in the order used by every array and picture."""
        return class_order(self.labels.drop_null().unique().to_pylist())

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """(n,) the label's place in `classes`, -1 where unlabelled."""
        place = {name: i for i, name in enumerate(self.classes)}
        encoded = self.labels.dictionary_encode()
        table = np.array([place[v] for v in encoded.dictionary.to_pylist()] + [-1], dtype=np.int64)
        codes = encoded.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(table[codes], dtype=np.int64)

    @cached_property
    def labelled(self) -> Index:
        """Positions of the labelled records."""
        return np.flatnonzero(self.targets >= 0)

    @cached_property
    def unlabelled(self) -> Index:
        """Positions of the unlabelled records."""
        return np.flatnonzero(self.targets < 0)

    @cached_property
    def audited(self) -> npt.NDArray[np.int64] | None:
        """(n,) true classes of unlabelled records; None where no audit column was named.

        -1 where nothing is known and for labelled records; the number of classes where the audit
        column holds a label that is none of them. Not for anything that learns.
        """
        if self.meta is None or "audit" not in self.meta.column_names:
            return None
        place = {name: i for i, name in enumerate(self.classes)} | {None: -1}
        said = self.meta["audit"].to_pylist()
        known = np.array([place.get(name, len(self.classes)) for name in said], dtype=np.int64)
        known[self.labelled] = -1
        return known

    @cached_property
    def votes(self) -> npt.NDArray[np.int16] | None:
        """(n, rules) what rules say of each record, see `with_votes`; None where there are none."""
        if self.meta is None or "votes" not in self.meta.column_names:
            return None
        column = self.meta["votes"].combine_chunks()
        codes = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(codes, np.int16).reshape(len(self), column.type.list_size)

    @cached_property
    def hash(self) -> str:
        """Digest of contents, labels and edges; the order and the file format do not matter."""
        lines = sorted(
            f"{content}\x1f{'' if label is None else 'L' + label}"
            for content, label in zip(self.content, self.labels.to_pylist(), strict=True)
        )
        digest = hashlib.sha256(self.modality.encode())
        for line in lines + self._edge_lines():
            digest.update(b"\x1e" + line.encode())
        return digest.hexdigest()

    def select(self, index: Index) -> Dataset:
        """The records at `index`, in that order."""
        index = np.asarray(index, dtype=np.int64)
        taken = pa.array(index)
        return replace(
            self,
            records=self.records.take(taken),
            ids=self.ids[index],
            labels=self.labels.take(taken),
            content=self.content[index],
            meta=None if self.meta is None else self.meta.take(taken),
            edges=None if self.edges is None else _among(self.edges, index, len(self)),
        )

    def reject(self, index: Index, reasons: Sequence[tuple[str, str]]) -> Dataset:
        """Move the records at `index` to quarantine, each with its (reason, detail)."""
        if not len(index):
            return self
        source, row = self._origin(np.asarray(index, dtype=np.int64))
        rows = pa.table(
            {
                "id": self.ids[index].tolist(),
                "source": source,
                "row": row,
                "reason": [reason for reason, _ in reasons],
                "detail": [detail for _, detail in reasons],
            },
            schema=QUARANTINE_SCHEMA,
        )
        kept = self.select(np.setdiff1d(np.arange(len(self)), index))
        return replace(kept, quarantine=pa.concat_tables([self.quarantine, rows]))

    def with_votes(self, codes: npt.NDArray[np.int16], rules: str = "rules") -> Dataset:
        """The same records with what rules say of them: guesses, which no figure takes for labels.

        `codes` (n, rules) are positions in `classes`, -1 where a rule abstains; `rules` is what
        the rules are called by.
        """
        flat = pa.array(np.ascontiguousarray(codes, np.int16).ravel())
        votes = pa.FixedSizeListArray.from_arrays(flat, codes.shape[1])
        return self.with_meta("votes", votes, {"rules": rules})

    def with_meta(self, name: str, values: pa.Array, told: dict[str, str] | None = None) -> Dataset:
        """The same records with a further column of what is known of them and is no feature."""
        there = self.meta
        if there is None:
            there = pa.table({"row": np.arange(len(self))}).drop_columns(["row"])
        elif name in there.column_names:
            there = there.drop_columns([name])
        field = pa.field(name, values.type, metadata=told)
        return replace(self, meta=there.append_column(field, values))

    def with_edges(
        self, edges: pa.Table, content: npt.NDArray[np.str_], findings: Sequence[Finding]
    ) -> Dataset:
        """The same records as the nodes of a graph, each with a content of its own."""
        told = (*self.findings, *findings)
        return replace(self, edges=edges, content=content, findings=told)

    def _edge_lines(self) -> list[str]:
        """Each edge by the contents of its two ends, sorted; none where there is no graph."""
        if self.edges is None:
            return []
        ends = [self.content[self.edges[name].to_numpy()] for name in ("source", "target")]
        weights = self.edges["weight"].to_pylist()
        return sorted(
            f"{min(a, b)}\x1f{max(a, b)}\x1f{weight!r}"
            for a, b, weight in zip(*ends, weights, strict=True)
        )

    def places(self, ids: Iterable[str]) -> dict[str, str]:
        """Of records without a name of their own, whose ids say only what is in them: their place.

        A file or, where it holds several records, a file and the row there, counted from 1 without
        the header.
        """
        wanted = np.flatnonzero(np.isin(self.ids, list(ids)))
        made = [p for p in wanted if self.ids[p].startswith(self.content[p][:16])]
        sources, rows = self._origin(np.asarray(made, dtype=np.int64))
        alone = self._of_one_record(sources)
        return {
            str(self.ids[p]): f"{source} row {row}" if row and source not in alone else str(source)
            for p, source, row in zip(made, sources, rows, strict=True)
            if source
        }

    def _of_one_record(self, sources: Sequence[str]) -> set[str]:
        """Which of these files hold a single record, as those of a folder of pictures do."""
        if self.meta is None or "source" not in self.meta.column_names or len(self) < 2:
            return set()
        every = self.meta["source"]
        asked = every.filter(pc.is_in(every, pa.array(set(sources), every.type)))
        held = asked.value_counts().to_pylist()
        return {one["values"] for one in held if one["counts"] == 1}

    def _origin(self, index: Index) -> tuple[list[Any], list[Any]]:
        """For each record at `index` the file it came from and its row there."""
        if self.meta is None or not {"source", "row"} <= set(self.meta.column_names):
            return [self.source] * len(index), [None] * len(index)
        taken = self.meta.select(["source", "row"]).take(pa.array(index))
        return taken["source"].to_pylist(), taken["row"].to_pylist()


def _among(edges: pa.Table, index: Index, size: int) -> pa.Table:
    """The edges whose ends are both at `index`, by their places there."""
    place = np.full(size, -1, np.int64)
    place[index] = np.arange(len(index))
    one, other = (place[edges[name].to_numpy()] for name in ("source", "target"))
    kept = (one >= 0) & (other >= 0)
    ends = [np.minimum(one, other)[kept], np.maximum(one, other)[kept]]
    return pa.table([*ends, edges["weight"].to_numpy()[kept]], schema=EDGES_SCHEMA)
