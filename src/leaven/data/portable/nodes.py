"""Nodes of a frozen graph: its own by their ids, a new one by its cells and its neighbours' ids.

See `data/modalities/graph.py`. A new node is an object of cells by column with `neighbours`, a
list of ids, and perhaps `weights`, a number above zero for each of them; by itself each is one
where they are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.portable.cells import named, number, truth

__all__ = ["NODE", "RESERVED", "New", "features", "neighbours"]

#: The key of an own node's id.
NODE = "node"
#: Names that no column of a graph's nodes may have, for a request means something else by them.
RESERVED = (NODE, "neighbours", "weights")

#: A new node: features (width,), the places of its neighbours (d,), and the weights (d,).
New = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]]


def neighbours(
    record: Mapping[str, Any], places: Mapping[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """(d,) places and (d,) weights of a new node's neighbours; ValueError for what is wrong."""
    names = record.get("neighbours")
    names = [] if names is None else names
    if not isinstance(names, list) or any(not _is_id(one) for one in names):
        raise ValueError("no neighbours: they must be a list of ids")
    unknown = next((one for one in names if str(one) not in places), None)
    if unknown is not None:
        raise ValueError(f"unknown neighbour: {unknown!r:.60} is not in the graph")
    found = [places[str(one)] for one in names]
    if len(set(found)) < len(found):
        raise ValueError("repeated neighbour: each counts once")
    weights = record.get("weights")
    weights = [1.0] * len(found) if weights is None else weights
    if not isinstance(weights, list) or len(weights) != len(found):
        raise ValueError("no weights: they must be a list of numbers, one for each neighbour")
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in weights):
        raise ValueError("no weights: they must be numbers")
    with np.errstate(over="ignore"):
        told = np.array([number(one) or math.nan for one in weights], np.float32)
    if not ((told > 0) & np.isfinite(told)).all():
        raise ValueError("no weight: it must be a number above zero")
    return np.array(found, np.int64), told


def features(record: Mapping[str, Any], spec: Mapping[str, Any]) -> npt.NDArray[np.float32] | None:
    """(width,) as the encoder reads them; None where no cell has a value.

    Raises ValueError for a vector of another width, or what is none.
    """
    parts, there = [], False
    for column in spec["columns"]:
        value = record.get(column["name"])
        if column["kind"] == "vector":
            part = _vector(value, column)
            there |= value is not None
        elif column["kind"] == "categorical":
            level = named(value)
            there |= level is not None
            part = np.array([own == level for own in column["levels"]], np.float64)
        else:
            told = truth(value) if column["kind"] == "boolean" else number(value)
            there |= told is not None
            part = np.array([math.nan if told is None else told], np.float64)
        parts.append(part)
    values = np.concatenate(parts)
    if spec["counts"]:
        counts = np.maximum(np.nan_to_num(values), 0)
        values = counts / max(counts.sum(), 1e-12)
    else:
        values = (values - np.array(spec["centre"])) / np.array(spec["scale"])
    return np.nan_to_num(values).astype(np.float32) if there else None


def _vector(value: Any, column: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    width = column["width"]
    if value is None:
        return np.full(width, np.nan)
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"not numbers: expected a list of {width} numbers") from None
    if found.shape != (width,):
        raise ValueError(f"wrong width: expected {width} numbers, got {found.size}")
    return np.where(np.isfinite(found), found, np.nan)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
