"""Records in cells of near ones: a tree of k-means, each level learnt from a sample.

A cell holds some `size` records. The tree splits a set of many cells' records into 64 at most, and
those again, so that time grows as n log n. Records are read in blocks by their numbers: features
may be a memory map larger than memory.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.learn.graphs.parallel import side_by_side

__all__ = ["cells", "part_distance", "records"]

Rows = npt.NDArray[np.int32]

_BRANCHES = 64  # children of a node at most
_SAMPLE = 100  # records that a centre is learnt from
_ROUNDS = 8  # of Lloyd's algorithm
_DEEPEST = 24  # levels; what k-means cannot split in as many is cut in order
_BLOCK = 16_384  # records read at once


def cells(features: npt.NDArray[np.floating], size: int, seed: int) -> list[Rows]:
    """The numbers of the records of each cell, 1.5 times `size` at most.

    Every record is in one cell, and cells near in the list are mostly near each other. Copies by
    the thousand are cut in order.
    """
    everything = np.arange(len(features), dtype=np.int32)
    if len(everything) <= 1.5 * size:
        return [everything]
    first = _split(features, everything, size, np.random.default_rng(seed))

    def below(number: int) -> list[Rows]:
        return _tree(features, first[number], size, np.random.default_rng((seed, number)))

    return [rows for found in side_by_side(below, range(len(first))) for rows in found]


def _tree(
    features: npt.NDArray[np.floating], rows: Rows, size: int, rng: np.random.Generator
) -> list[Rows]:
    """The cells of these records."""
    waiting, found = [(rows, 0)], []
    while waiting:
        rows, depth = waiting.pop()
        if len(rows) <= 1.5 * size:
            found.append(rows)
            continue
        children = _split(features, rows, size, rng) if depth < _DEEPEST else []
        if len(children) > 1:
            waiting += [(child, depth + 1) for child in reversed(children)]
        else:
            found += np.array_split(rows, math.ceil(len(rows) / size))
    return found


def records(features: npt.NDArray[np.floating], rows: Rows | slice) -> Tensor:
    """The records of these numbers, float32, copied."""
    read = features[rows] if isinstance(rows, slice) else np.take(features, rows, axis=0)
    return torch.from_numpy(np.array(read, np.float32, copy=isinstance(rows, slice) or None))


def part_distance(asked: Tensor, others: Tensor) -> Tensor:
    """(a, o) squared distances less the squared length of the asked, which orders nothing."""
    return torch.addmm(others.square().sum(1)[None], asked, others.T, alpha=-2)


def _split(
    features: npt.NDArray[np.floating], rows: Rows, size: int, rng: np.random.Generator
) -> list[Rows]:
    """The rows by the nearest of some centres; empty ones are left out."""
    wanted = math.ceil(len(rows) / size)
    branches = wanted if wanted <= _BRANCHES else min(_BRANCHES, math.isqrt(wanted) + 1)
    drawn = rng.permutation(len(rows))[: branches * _SAMPLE]
    sample = records(features, rows[np.sort(drawn)])
    centre = sample.mean(0)
    centres = _centres(sample - centre, branches, rng)
    child = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = records(features, rows[start : start + _BLOCK]) - centre
        child[start : start + _BLOCK] = part_distance(block, centres).argmin(1).numpy()
    order = np.argsort(child, kind="stable")
    ends = np.cumsum(np.bincount(child, minlength=branches))
    return [part for part in np.split(rows[order], ends[:-1]) if len(part)]


def _centres(sample: Tensor, branches: int, rng: np.random.Generator) -> Tensor:
    """k-means (Lloyd 1982) from drawn records; a centre without records stays where it is."""
    centres = sample[rng.permutation(len(sample))[:branches]]
    for _ in range(_ROUNDS):
        nearest = part_distance(sample, centres).argmin(1)
        count = torch.bincount(nearest, minlength=len(centres))[:, None]
        total = torch.zeros_like(centres).index_add_(0, nearest, sample)
        centres = torch.where(count > 0, total / count.clamp_min(1), centres)
    return centres
