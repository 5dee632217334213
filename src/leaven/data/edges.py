"""Edges between records: cleaned once, so that every graph is simple, undirected and known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core.errors import DataError
from leaven.data.dataset import EDGES_SCHEMA, Dataset, Finding, Index

__all__ = ["joined", "joined_at", "places"]

Floats = npt.NDArray[np.float64]
_SHOWN = 5


def joined(
    dataset: Dataset, source: Index, target: Index, weight: Floats, told: Callable[[int], str]
) -> Dataset:
    """The records with edges between them, and a finding for each kind of edge left out.

    `source` and `target` (m,) are positions of records, -1 where an end is missing or names no
    record; `weight` (m,) must be finite and above zero; `told` shows the edge of a number.
    An edge counts for both directions: of edges between the same two records the first is kept.
    The content of a record takes its id in, since equal features at two places of a graph are two
    records. Raises DataError if no edge is left.
    """
    unknown = (source < 0) | (target < 0)
    weightless = ~unknown & ~(np.isfinite(weight) & (weight > 0))
    loop = ~unknown & ~weightless & (source == target)
    left = np.flatnonzero(~(unknown | weightless | loop))
    low, high = np.minimum(source, target)[left], np.maximum(source, target)[left]
    _, first = np.unique(low * max(len(dataset), 1) + high, return_index=True)
    kept = np.sort(first)
    repeated = np.setdiff1d(left, left[kept])
    findings = [
        *_left_out("edges-unknown", "warning", "name a record that is not there", unknown, told),
        *_left_out("edges-weight", "warning", "have no weight above zero", weightless, told),
        *_left_out("edges-loop", "info", "lead from a record to itself", loop, told),
        *_left_out("edges-repeated", "info", "repeat another, or its reverse", repeated, told),
    ]
    if not len(kept):
        said = " ".join(f.message for f in findings)
        raise DataError(
            f"{dataset.source or dataset.name} holds no usable edge. {said} "
            "Give edges as two columns of ids, source and target, as the nodes have them."
        )
    edges = pa.table(
        [low[kept], high[kept], weight[left[kept]].astype(np.float32)], schema=EDGES_SCHEMA
    )
    content = [
        hashlib.blake2b(f"{own}\x1f{name}".encode(), digest_size=16).hexdigest()
        for own, name in zip(dataset.content, dataset.ids, strict=True)
    ]
    return dataset.with_edges(edges, np.array(content, dtype="U32"), findings)


def joined_at(dataset: Dataset, pairs: npt.NDArray[np.integer[Any]]) -> Dataset:
    """The same by whole numbers (2, m), the positions of the records; no edge has a weight."""
    there = (pairs >= 0) & (pairs < len(dataset))
    one, other = np.where(there, pairs, -1).astype(np.int64)
    weight = np.ones(pairs.shape[1])
    return joined(dataset, one, other, weight, lambda i: f"{pairs[0, i]} – {pairs[1, i]}")


def places(names: pa.Array | pa.ChunkedArray, ids: npt.NDArray[np.str_]) -> Index:
    """(m,) the position of each name among the ids, -1 where it is none of them.

    >>> places(pa.array([" b", "a", None, "c"]), np.array(["a", "b"])).tolist()
    [1, 0, -1, -1]
    """
    trimmed = pc.utf8_trim_whitespace(names.cast(pa.string()))
    found = pc.index_in(trimmed, value_set=pa.array(ids.tolist(), pa.string()), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def _left_out(
    name: str,
    severity: str,
    why: str,
    which: npt.NDArray[np.bool_] | Index,
    told: Callable[[int], str],
) -> list[Finding]:
    """What is said of some edges; nothing where there are none."""
    chosen = np.flatnonzero(which) if which.dtype == bool else which
    if not len(chosen):
        return []
    message = f"Edges left out, for they {why}: {len(chosen)}."
    advice = "Mend them in the source." if severity == "warning" else ""
    shown = tuple(told(i) for i in chosen[:_SHOWN].tolist())
    return [Finding(name, severity, message, len(chosen), shown, advice)]
