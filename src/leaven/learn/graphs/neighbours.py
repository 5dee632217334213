"""Who is near whom: exactly among some thousands, in cells of near records among millions.

Up to `EXACT` records every pair is compared. Above, records lie in cells (`cells.py`), and those
of a cell are compared with all of the cells around it, some thousands, in one matrix product. That
is an inverted file (Jégou, Douze & Schmid 2011, section 4) whose lists are read for all their
askers at once. Features are read in blocks, never copied whole.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.learn.graphs.cells import Rows, cells, part_distance, records
from leaven.learn.graphs.parallel import side_by_side

__all__ = ["EXACT", "nearest", "nearest_in_order", "recall"]

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.floating]

#: Records of which every pair is compared.
EXACT = 20_000
_CELL = 125  # records of a cell
_CANDIDATES = 8000  # records that one is compared with, where not with all
_CELLS = 64  # cells whose surroundings are looked for at once
_ASKED, _BLOCK = 1024, 4096  # records compared at once, where every pair is
_SPARE = 4  # more than k are found by the product and measured again by difference


def nearest(features: Features, k: int, seed: int = 0, exact: int = EXACT) -> tuple[Rows, Floats]:
    """The k nearest other records of each: positions (n, k) int32 and squared distances (n, k).

    Nearest first. A record is never its own neighbour, even among exact copies of itself. `k` is
    cut to n - 1. Up to `exact` records they are the nearest; above nearly so (`recall` tells), and
    `seed` draws the cells.
    """
    order, position, distance = nearest_in_order(features, k, seed, exact)
    where, far = np.empty_like(position), np.empty_like(distance)
    where[order], far[order] = order[position], distance
    return where, far


def nearest_in_order(
    features: Features, k: int, seed: int = 0, exact: int = EXACT
) -> tuple[Rows, Rows, Floats]:
    """`nearest` of records renumbered so that near ones have near numbers: order (n,), and that.

    Record `order[i]` has the neighbours `order[position[i]]`. A graph in this order multiplies
    two to three times as fast: what it reads lies close together.
    """
    n, k = len(features), min(k, len(features) - 1)
    if n <= exact or n <= k + 1:
        return _every_pair(features, k)
    return _in_cells(features, k, seed)


def recall(features: Features, position: Rows, sample: int = 1000, seed: int = 0) -> float:
    """Share of the true nearest that `position` (n, k) names, over a sample of records."""
    n, k = position.shape
    asked = np.sort(np.random.default_rng(seed).permutation(n)[:sample]).astype(np.int32)
    centre = _middle(features)

    def hits(rows: Rows) -> int:
        true, _ = _nearest_of(features, rows, k, centre)
        return int((true[:, :, None] == position[rows][:, None, :]).any(-1).sum())

    found = sum(side_by_side(hits, np.array_split(asked, math.ceil(len(asked) / 250))))
    return found / (len(asked) * k) if k else 1.0


def _every_pair(features: Features, k: int) -> tuple[Rows, Rows, Floats]:
    order = np.arange(len(features), dtype=np.int32)
    position = np.empty((len(features), k), np.int32)
    distance = np.empty((len(features), k), np.float32)
    if k:
        centre = _middle(features)

        def fill(start: int) -> None:
            rows = order[start : start + _ASKED]
            position[rows], distance[rows] = _nearest_of(features, rows, k, centre)

        side_by_side(fill, range(0, len(features), _ASKED))
    return order, position, distance


def _nearest_of(features: Features, rows: Rows, k: int, centre: Tensor) -> tuple[Rows, Floats]:
    """The k nearest others of these records among all, exactly."""
    asked = records(features, rows) - centre
    best = torch.full((len(rows), 0), torch.inf)
    place = torch.zeros((len(rows), 0), dtype=torch.int32)
    for start in range(0, len(features), _BLOCK):
        others = records(features, slice(start, start + _BLOCK)) - centre
        own = torch.from_numpy(rows.astype(np.int64) - start)
        found, far = _closest(asked, others, own, k)
        best, place = torch.cat([best, far], 1), torch.cat([place, found.int() + start], 1)
        best, kept = best.topk(min(k, best.shape[1]), largest=False)
        place = place.gather(1, kept)
    return place.numpy(), best.numpy()


def _in_cells(features: Features, k: int, seed: int) -> tuple[Rows, Rows, Floats]:
    members = cells(features, _CELL, seed)
    order = np.concatenate(members)
    ends = np.cumsum([len(rows) for rows in members])
    starts = ends - [len(rows) for rows in members]
    centres = torch.stack([records(features, rows).mean(0) for rows in members])
    position = np.empty((len(order), k), np.int32)
    distance = np.empty((len(order), k), np.float32)

    def fill(block: int) -> None:
        around = _around(centres, block, ends - starts, max(_CANDIDATES, 20 * k))
        for cell, near in enumerate(around, block):
            places = np.concatenate([np.arange(starts[j], ends[j]) for j in near])
            others = records(features, order[places]).sub_(centres[cell])
            asked = others[: len(members[cell])]
            found, far = _closest(asked, others, torch.arange(len(asked)), k)
            rows = slice(starts[cell], ends[cell])
            position[rows], distance[rows] = places[found.numpy()], far.numpy()

    side_by_side(fill, range(0, len(members), _CELLS))
    return order, position, distance


def _around(
    centres: Tensor, block: int, sizes: npt.NDArray[np.int64], wanted: int
) -> list[npt.NDArray[np.int64]]:
    """For each cell of a block itself and the nearest others, until they hold `wanted` records."""
    own = torch.arange(block, min(block + _CELLS, len(centres)))
    far = part_distance(centres[own], centres)
    far[torch.arange(len(own)), own] = -torch.inf
    most = min(4 * math.ceil(wanted / _CELL), len(centres))
    chosen = []
    for row, near in zip(far, far.topk(most, largest=False).indices.numpy(), strict=True):
        held = np.cumsum(sizes[near])
        if held[-1] < min(wanted, sizes.sum()):  # many cells of few
            near = row.argsort().numpy()
            held = np.cumsum(sizes[near])
        chosen.append(near[: np.searchsorted(held, wanted) + 1])
    return chosen


def _closest(asked: Tensor, others: Tensor, own: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Positions among `others` and squared distances of the k nearest (fewer, where fewer are).

    `own` says where an asked record itself is, and may point outside. What the product finds is
    measured again by difference: copies are at distance zero, and near ones in their true order.
    """
    far = part_distance(asked, others)
    inside = ((own >= 0) & (own < len(others))).nonzero()[:, 0]
    far[inside, own[inside]] = torch.inf
    found = far.topk(min(k + _SPARE, len(others)), largest=False)
    exact = (others[found.indices] - asked[:, None]).square_().sum(-1)
    exact[found.values.isinf()] = torch.inf
    best = exact.topk(min(k, exact.shape[1]), largest=False)
    return found.indices.gather(1, best.indices), best.values


def _middle(features: Features) -> Tensor:
    """The medians of some records: lengths from there lose fewer digits than from the origin."""
    step = max(len(features) // 1000, 1)
    return records(features, slice(0, None, step)).median(0).values
