"""Graphs: a folder of two tables, `nodes` and `edges`, or an archive of arrays."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.core.errors import DataError, UnknownNameError
from leaven.data.assemble import Roles, assemble
from leaven.data.cells import numbers
from leaven.data.conversion import as_strings
from leaven.data.dataset import Dataset
from leaven.data.edges import joined, joined_at, places
from leaven.data.raw import ROW, SOURCE, Raw

__all__ = ["graph_tables", "read_graph_archive", "read_graph_tables"]

_ENDS = (("source", "target"), ("src", "dst"), ("from", "to"))
_IDS = ("id", "node", "node_id", "nodeid", "name")
_WEIGHTS = ("weight", "strength")
#: An archive may not unpack to more bytes, nor its features to more numbers, than this.
_LARGEST, _MOST_CELLS = 1 << 30, 1 << 28
_PARTS = ("train_idx", "val_idx", "test_idx")
_ARRAYS = ("edges", "x_indptr", "x_indices", "x_data", "x_shape", "y", "train_idx")


def graph_tables(paths: Sequence[Path]) -> tuple[Path, Path] | None:
    """The tables of nodes and edges among some tables; None where they are not both there."""
    named = {path.name.split(".")[0].lower(): path for path in paths}
    if "nodes" in named and "edges" in named:
        return named["nodes"], named["edges"]
    return None


def read_graph_tables(
    nodes: Raw, edges: Raw, roles: Roles, *, name: str, source: str, cache: Path | None = None
) -> Dataset:
    """Nodes with an id, features and labels; edges by two columns of ids, and maybe a weight.

    The id column is the one that `roles` names, else the one called id, node, node_id or name.
    Edges are in the columns source and target (or src and dst, from and to), else in the first
    two; a column weight, or strength, says how much each counts.

    Raises DataError where the nodes have no id column, or no edge can be used.
    """
    ids = roles.id or _called(nodes.table, _IDS)
    if ids is None:
        found = ", ".join(_names(nodes.table))
        raise DataError(
            f"the nodes of {source} need a column of ids, for edges name them. The columns are: "
            f"{found}. Call it id, or name it with --id (id=… in Python)."
        )
    own = replace(roles, id=ids, modality="graph")
    dataset = assemble(nodes, own, name=name, source=source, cache=cache)
    ends = _end_columns(edges.table, source)
    first, second = (as_strings(edges.table[column]) for column in ends)
    weighted = _called(edges.table, _WEIGHTS)
    count = edges.table.num_rows
    weight = np.ones(count) if weighted is None else numbers(edges.table[weighted])
    one, other = (places(named, dataset.ids) for named in (first, second))
    return joined(dataset, one, other, weight, lambda i: f"{first[i]} – {second[i]}")


def read_graph_archive(path: str, roles: Roles) -> Dataset:
    """A graph as arrays in one .npz file.

    `edges` (2, m) positions of nodes; the features as a sparse matrix by rows: `x_indptr` (n+1,),
    `x_indices` and `x_data` (z,), `x_shape` (2,); `y` (n,) labels; `train_idx`, the positions of
    the nodes whose labels are known. All others are unlabelled, and what `y` says of them goes to
    the audit. Ids are the positions.

    Raises DataError for a file that is no such archive, that holds Python objects, or whose
    arrays do not fit each other, UnknownNameError for a label that it has not.
    """
    if isinstance(roles.label, str) and roles.label != "y":
        raise UnknownNameError("label", roles.label, ["y"])
    found = _loaded(path)
    features, labels = _features(path, found), [str(value) for value in found["y"].tolist()]
    size = len(features)
    known = np.zeros(size, bool)
    known[_positions(path, found["train_idx"], "train_idx", size)] = True
    for part in _PARTS[1:]:
        if part in found and known[_positions(path, found[part], part, size)].any():
            raise DataError(f"{path!r} has nodes in both train_idx and {part}.")
    # A model that was made with a table calls its vectors as that one did.
    called = next((c.name for c in roles.columns or () if c.kind == "vector"), "features")
    flat = pa.array(features.ravel())
    columns = {
        called: pa.FixedSizeListArray.from_arrays(flat, features.shape[1]),
        "\x1fid": pa.array([str(place) for place in range(size)]),
        SOURCE: pa.array([Path(path).name] * size),
        ROW: pa.array(np.arange(1, size + 1)),
    }
    blind = roles.label is False
    if not blind:
        columns |= {"\x1flabel": _where(labels, known), "\x1faudit": _where(labels, ~known)}
    raw = Raw(pa.table(columns), fixed_labels=None if blind else "\x1flabel")
    own = replace(
        roles,
        label=False if blind else None,
        modality="graph",
        id="\x1fid",
        audit=None if blind else "\x1faudit",
    )
    name = Path(path).name.split(".")[0] or "data"
    dataset = assemble(raw, own, name=name, source=path)
    pairs = found["edges"]
    if pairs.ndim != 2 or len(pairs) != 2 or pairs.dtype.kind not in "iu":
        raise _unfit(path, "edges", "whole numbers (2, m)", pairs)
    return joined_at(dataset, pairs)


def _names(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name not in (SOURCE, ROW)]


def _called(table: pa.Table, names: Sequence[str]) -> str | None:
    """The column that bears the first of these names that one bears."""
    there = {name.lower(): name for name in _names(table)}
    return next((there[name] for name in names if name in there), None)


def _end_columns(table: pa.Table, source: str) -> tuple[str, str]:
    """The two columns that edges lead between."""
    for pair in _ENDS:
        one, other = (_called(table, (name,)) for name in pair)
        if one is not None and other is not None:
            return one, other
    names = _names(table)
    if len(names) < 2:
        raise DataError(
            f"the edges of {source} need two columns, source and target. "
            f"The columns are: {', '.join(names) or 'none'}."
        )
    return names[0], names[1]


def _loaded(path: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive, none of which may unpack beyond bounds or hold objects."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LARGEST:
            raise DataError(f"{path!r} unpacks to {size >> 20} MB; {_LARGEST >> 20} are read.")
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files if name in (*_ARRAYS, *_PARTS)}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{os.fspath(path)!r} cannot be read as a graph: {error}.") from error
    absent = [name for name in _ARRAYS if name not in found]
    if absent:
        raise DataError(
            f"{path!r} is no graph that can be read: it lacks {', '.join(absent)}. "
            f"A graph has {', '.join(_ARRAYS)}."
        )
    return found


def _features(path: str, found: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """(n, w) the sparse matrix of an archive, checked before it is unfolded."""
    shape, labels = found["x_shape"], found["y"]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or (shape < 1).any():
        raise _unfit(path, "x_shape", "two whole numbers above zero", shape)
    size, width = (int(number) for number in shape)
    if size * width > _MOST_CELLS:
        raise DataError(f"{path!r} has {size} x {width} features; {_MOST_CELLS} are read.")
    if labels.shape != (size,) or labels.dtype.kind not in "iuU":
        raise _unfit(path, "y", f"{size} whole numbers or names", labels)
    starts, columns, values = found["x_indptr"], found["x_indices"], found["x_data"]
    ascending = _whole(starts) and len(starts) == size + 1 and starts[0] == 0
    if not ascending or (np.diff(starts) < 0).any():
        raise _unfit(path, "x_indptr", f"{size + 1} ascending whole numbers from 0", starts)
    if not _whole(columns, below=width) or len(columns) != starts[-1]:
        raise _unfit(path, "x_indices", f"{starts[-1]} columns below {width}", columns)
    if values.shape != columns.shape or values.dtype.kind not in "fiub":
        raise _unfit(path, "x_data", f"{len(columns)} numbers", values)
    features = np.zeros((size, width), np.float32)
    np.add.at(features, (np.repeat(np.arange(size), np.diff(starts)), columns), values)
    return features


def _positions(path: str, index: npt.NDArray[Any], name: str, size: int) -> npt.NDArray[Any]:
    if not _whole(index, below=size):
        raise _unfit(path, name, f"positions of the {size} nodes", index)
    return index


def _whole(values: npt.NDArray[Any], below: int | None = None) -> bool:
    """Whether they are a row of whole numbers, none below zero nor as large as `below`."""
    if values.ndim != 1 or values.dtype.kind not in "iu" or (values < 0).any():
        return False
    return below is None or not (values >= below).any()


def _where(labels: list[str], which: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array([one if there else None for one, there in zip(labels, which, strict=True)])


def _unfit(path: str, name: str, wanted: str, got: npt.NDArray[Any]) -> DataError:
    return DataError(f"{name!r} of {path!r} must be {wanted}. Got {got.dtype} {got.shape}.")
