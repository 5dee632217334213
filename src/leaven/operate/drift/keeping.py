"""A reference as a file: its grids and counts, so that nobody needs the records again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from leaven.core.errors import DataError
from leaven.core.files import reading, write_bytes
from leaven.operate.drift.directions import Directions
from leaven.operate.drift.reference import Reference, Sketch
from leaven.operate.drift.sketch import Categories, Counts, Numbers

__all__ = ["Kept", "is_kept", "keep", "kept"]

_FORMAT = "leaven-drift-1"
#: What directions are made of: plain values, and arrays.
_PLAIN, _ARRAYS = ("modality", "spec", "columns"), ("mean", "spread", "axes")


class Kept:
    """A reference with what is needed to read records as its own were read.

    `directions` make columns of records that have none; None where they have.
    """

    def __init__(
        self, reference: Reference, told: dict[str, Any], directions: Directions | None = None
    ) -> None:
        self.reference, self.directions = reference, directions
        #: name, modality, season, slice, label and time of the records, and what was ignored.
        self.told = told


def keep(path: Path, kept: Kept) -> None:
    """Write it, encrypted where there is a key: names of categories are parts of records."""
    reference = kept.reference
    tensors: dict[str, Any] = {}
    grids: list[dict[str, Any]] = []
    for i, (name, grid) in enumerate(reference.grids.items()):
        counts = reference.own.counts[name]
        cells = np.flatnonzero(counts)
        tensors |= {f"{i}.cells": cells, f"{i}.counts": counts[cells]}
        for part in ("seasons", "slices"):
            table: dict[str, Counts] = getattr(reference.own, part)
            if name in table:
                tensors[f"{i}.{part}"] = table[name]
        if isinstance(grid, Numbers):
            grids.append({"name": name, "centre": grid.centre, "scale": grid.scale})
        else:
            known = grid.rare is not None
            tensors[f"{i}.rare"] = np.array(sorted(grid.rare or ()), np.uint64)
            grids.append({"name": name, "names": grid.names, "known": known})
    tensors |= {
        "season_sizes": reference.own.season_sizes,
        "slice_sizes": reference.own.slice_sizes,
    }
    told = {
        "format": _FORMAT,
        "n": reference.own.n,
        "grids": grids,
        "seasons": reference.seasons,
        "slices": reference.slices,
        "told": kept.told,
    }
    if (along := kept.directions) is not None:
        tensors |= {f"directions.{name}": getattr(along, name) for name in _ARRAYS}
        told["directions"] = {name: getattr(along, name) for name in _PLAIN}
    write_bytes(path, save(tensors, {"leaven": json.dumps(told)}))


def is_kept(path: str | Path) -> bool:
    """Whether a path is one of a kept reference, by its ending."""
    return str(path).endswith(".drift")


def kept(path: Path) -> Kept:
    """Read what `keep` wrote. Raises DataError for anything else."""
    try:
        with reading(path) as plain, safe_open(plain, framework="numpy") as file:
            told = json.loads((file.metadata() or {}).get("leaven", "{}"))
            if told.get("format") != _FORMAT:
                raise DataError(f"'{path}' is no reference for drift.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Kept(_rebuilt(told, tensors), told["told"], _directions(told, tensors))
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError) as broken:
        raise DataError(f"'{path}' is damaged, or no reference for drift: {broken}.") from broken


def _directions(told: dict[str, Any], tensors: dict[str, Any]) -> Directions | None:
    if (plain := told.get("directions")) is None:
        return None
    arrays = {name: tensors[f"directions.{name}"] for name in _ARRAYS}
    return Directions(**{name: plain[name] for name in _PLAIN}, **arrays)


def _rebuilt(told: dict[str, Any], tensors: dict[str, Any]) -> Reference:
    grids: dict[str, Numbers | Categories] = {}
    counts: dict[str, Counts] = {}
    parts: dict[str, dict[str, Counts]] = {"seasons": {}, "slices": {}}
    for i, grid in enumerate(told["grids"]):
        name = grid["name"]
        if "names" in grid:
            rare = frozenset(tensors[f"{i}.rare"].tolist()) if grid["known"] else None
            grids[name] = Categories(tuple(grid["names"]), rare)
        else:
            grids[name] = Numbers(grid["centre"], grid["scale"])
        whole = np.zeros(grids[name].cells, np.int64)
        whole[tensors[f"{i}.cells"]] = tensors[f"{i}.counts"]
        counts[name] = whole
        for part, table in parts.items():
            if f"{i}.{part}" in tensors:
                table[name] = tensors[f"{i}.{part}"]
    own = Sketch(
        told["n"], counts, parts["seasons"], parts["slices"],
        tensors["season_sizes"], tensors["slice_sizes"],
    )  # fmt: skip
    return Reference(grids, own, tuple(told["seasons"]), tuple(told["slices"]))
