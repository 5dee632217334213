"""Nodes of a given graph: papers that cite, accounts that pay, pages that link.

A record is a node. All nodes share one graph, which every batch holds whole: the features of a
node that judges, and its edges, may be seen by whoever learns; its label may not. That is the
transductive setting of the field, and it is what a graph offers: labels are few, the graph is
known.

Edges count for both directions. To predict for new nodes give the graph that they are part of,
with the nodes that they are tied to.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from scipy import sparse

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.cells import level_names, numbers
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.views.graph_ops import DropNodes, whole

__all__ = ["Graph"]

Floats = npt.NDArray[np.float64]

WEAK = DropNodes(0.1)
STRONG = DropNodes(0.5)

_KINDS = ("numeric", "boolean", "categorical", "vector")
_LEVELS = 64  # of a categorical column, the most frequent ones
_STRONGEST = 6


@MODALITIES.register("graph")
class Graph(Modality):
    """A node a record. Arrays: "node" (n,) int64, its place in the graph, and what all share.

    - "@columns", "@values" (z,) and "@offsets" (n,): the features, of each node the columns that
      are not zero from its offset on.
    - "@edges" (2, m) int64: into which node, from which; both directions and a loop at each node,
      sorted by the first. "@strength" (m,) float32: their weights, one where none were given; a
      loop has the mean weight.
    - "@key" (n,) int64: a hash of each node's id.

    Spec: {"columns": [{"name", "kind", "width" or "levels"}], "width": all features,
    "counts": whether they are rare counts, "centre" and "scale": of others, a number a feature}.
    """

    name = "graph"
    encoder = "grand"
    features = "graph-hops"

    def describe(self, dataset: Dataset) -> Spec:
        """Widths, levels and units of the columns.

        Counts, or words that are there or not, are mostly zero and never negative; they become
        shares of their node. Other numbers are standardised.
        """
        if not dataset.columns:
            raise DataError("the nodes have no feature columns. Give at least one.")
        columns = [_described(dataset, c.name, c.kind) for c in dataset.columns]
        width = sum(_width(column) for column in columns)
        spec: Spec = {"columns": columns, "width": width, "counts": True}
        values = _values(dataset, spec)
        known = ~np.isnan(values)
        filled = np.where(known, values, 0)
        if (filled >= 0).all() and (filled != 0).mean() < 0.5:
            return spec | {"centre": [], "scale": []}
        count = np.maximum(known.sum(0), 1)
        centre = filled.sum(0) / count
        spread = np.sqrt((np.square(filled - centre) * known).sum(0) / count)
        scale = np.where(spread > 0, spread, 1.0)
        return spec | {"counts": False, "centre": centre.tolist(), "scale": scale.tolist()}

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """The graph, and each node's place in it. No node is rejected; what is missing is usual.

        Raises DataError where there are no edges, or a column is missing or not what it was.
        """
        if dataset.edges is None:
            raise DataError(
                f"'{dataset.source or dataset.name}' has nodes and no edges. Give a folder with "
                "tables nodes and edges, an .npz of a graph, or edges=… in Python."
            )
        features = _features(dataset, spec)
        edges, strength = _both_ways(dataset.edges, len(dataset))
        return Arrays(
            {
                "node": np.arange(len(dataset)),
                "@columns": features.indices.astype(np.int64),
                "@values": features.data.astype(np.float32),
                "@offsets": features.indptr[:-1].astype(np.int64),
                "@edges": edges,
                "@strength": strength,
                "@key": np.array([_key(str(name)) for name in dataset.ids], np.int64),
            }
        ), []

    def plain(self, batch: Batch) -> Batch:
        """The graph as it is."""
        return whole(batch)

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A tenth of the nodes without their features, one draw for the batch."""
        return WEAK(batch, rng)

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Half of the nodes without their features, one draw for the batch."""
        return STRONG(batch, rng)

    def show(self, dataset: Dataset, position: int) -> Shown:
        """How many neighbours it has and what they are labelled, and what is most in it."""
        one = dataset.select(np.array([position]))
        columns = [_described(one, c.name, c.kind) for c in dataset.columns]
        row = np.nan_to_num(_values(one, {"columns": columns})[0])
        names = [name for column in columns for name in _feature_names(column)]
        cells = {"neighbours": _neighbours(dataset, position)}
        strongest = np.argsort(-np.abs(row), kind="stable")[:_STRONGEST]
        cells |= {names[i]: f"{row[i]:.4g}" for i in strongest if row[i]}
        return {"kind": "row", "cells": [{"name": n, "value": v} for n, v in cells.items()]}


def _described(dataset: Dataset, name: str, kind: str) -> dict[str, Any]:
    """A column as plain JSON."""
    if kind not in _KINDS:
        raise DataError(
            f"the columns of a graph's nodes must be one of: {', '.join(_KINDS)}. "
            f"Got {name} ({kind}). Leave it out, or give its embedding as a vector."
        )
    if kind == "vector":
        return {"name": name, "kind": kind, "width": dataset.records[name].type.list_size}
    if kind == "categorical":
        counted = level_names(dataset.records[name]).drop_null().value_counts()
        table = pa.table({"level": counted.field(0), "count": counted.field(1)})
        table = table.sort_by([("count", "descending"), ("level", "ascending")])
        return {"name": name, "kind": kind, "levels": table["level"].slice(0, _LEVELS).to_pylist()}
    return {"name": name, "kind": kind, "width": 1}


def _width(column: dict[str, Any]) -> int:
    """How many features a column makes."""
    return len(column["levels"]) if "levels" in column else int(column["width"])


def _feature_names(column: dict[str, Any]) -> list[str]:
    """What its features are called."""
    name, kind = column["name"], column["kind"]
    if kind == "vector":
        return [f"{name}[{i}]" for i in range(column["width"])]
    return [f"{name}={level}" for level in column["levels"]] if "levels" in column else [name]


def _values(dataset: Dataset, spec: Spec) -> Floats:
    """(n, width) the cells as numbers, NaN where missing; categories as indicators."""
    parts: list[Floats] = []
    for column in spec["columns"]:
        name = column["name"]
        if name not in dataset.records.column_names:
            raise DataError(
                f"column {name!r} of the nodes is missing. "
                "Give new nodes the columns that the model was made with."
            )
        cells = dataset.records[name]
        if column["kind"] == "vector":
            parts.append(_vectors(cells, name, column["width"]))
        elif column["kind"] == "categorical":
            place = pc.index_in(level_names(cells), value_set=pa.array(column["levels"]))
            codes = pc.fill_null(place, -1).to_numpy()
            parts.append((codes[:, None] == np.arange(len(column["levels"]))).astype(np.float64))
        else:
            parts.append(numbers(cells)[:, None])
    return np.concatenate(parts, 1)


def _vectors(cells: pa.ChunkedArray, name: str, width: int) -> Floats:
    """(n, width) the numbers of a column of vectors, NaN where one is missing or not finite."""
    kind = cells.type
    if len(cells) == cells.null_count:
        return np.full((len(cells), width), np.nan)
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != width:
        raise DataError(f"column {name!r} of the nodes must hold vectors of {width}. Got {kind}.")
    blank = [np.nan] * width
    flat = [chunk.fill_null(blank).flatten().cast(pa.float64()) for chunk in cells.chunks]
    values = np.concatenate([part.fill_null(np.nan).to_numpy() for part in flat])
    values[~np.isfinite(values)] = np.nan
    return values.reshape(-1, width)


def _features(dataset: Dataset, spec: Spec) -> sparse.csr_matrix:
    """(n, width) as the encoders read them."""
    values = _values(dataset, spec)
    if spec["counts"]:
        counts = np.maximum(np.nan_to_num(values), 0)
        values = counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)
    else:
        values = (values - np.array(spec["centre"])) / np.array(spec["scale"])
    return sparse.csr_matrix(np.nan_to_num(values).astype(np.float32))


def _both_ways(edges: pa.Table, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Edges in both directions and a loop at each node, (2, m) and (m,)."""
    one, other = edges["source"].to_numpy(), edges["target"].to_numpy()
    weight = edges["weight"].to_numpy()
    own = np.arange(size)
    loop = np.full(size, weight.mean() if len(weight) else 1.0, np.float32)
    into, source = np.concatenate([one, other, own]), np.concatenate([other, one, own])
    order = np.lexsort((source, into))
    strength = np.concatenate([weight, weight, loop])[order].astype(np.float32)
    return np.stack([into, source])[:, order].astype(np.int64), strength


def _key(name: str) -> int:
    """63 bits of a hash of an id."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _neighbours(dataset: Dataset, position: int) -> str:
    """How many edges the record has, and how often each label stands at their other ends.

    Such as `12 (Theory 3, Case_Based 1)`.
    """
    if dataset.edges is None:
        return "0"
    ends = [dataset.edges[name].to_numpy() for name in ("source", "target")]
    others = np.concatenate([ends[1][ends[0] == position], ends[0][ends[1] == position]])
    labels = Counter(v for v in dataset.labels.take(pa.array(others)).to_pylist() if v is not None)
    told = ", ".join(f"{label} {times}" for label, times in labels.most_common())
    return f"{len(others)} ({told})" if told else str(len(others))
