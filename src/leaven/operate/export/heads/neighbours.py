"""The nearest of the records that labels were spread over."""

from __future__ import annotations

import math

import numpy as np

from leaven.learn.heads.neighbours import NeighbourHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS

__all__ = ["neighbours"]

# As `NeighbourHead` has them.
_CANDIDATES = 5000
_SPARE = 4
_FLOOR = 1e-4


def neighbours(features: Value, head: NeighbourHead) -> Value:
    """The weighted mean of the nearest references' scores.

    All references are compared by one product, and the nearest, with a few to spare, measured
    again by difference. Where they stand in cells only those of the cells near a record count, as
    they do for the head itself.
    """
    graph = features.graph
    asked = features.unit() if head.unit else features
    far = _products(asked, head)
    if len(head.centres):
        far = graph.where(_near(asked, head), far, np.float32(np.inf))
    count, k = len(head.reference), min(head.k, len(head.reference))
    found = graph.ops(
        "TopK", 2, far, np.array([min(k + _SPARE, count)], np.int64), axis=-1, largest=0
    )
    place = found[1]
    apart = graph.constant(head.reference).take(place, exact=True) - asked.unsqueeze(1)
    exact = graph.reduced("ReduceL2", apart, (-1,), False)
    best = graph.ops("TopK", 2, exact, np.array([k], np.int64), axis=-1, largest=0)
    distance, place = best[0], graph.op("GatherElements", place, best[1], axis=1)
    own = distance.cut(1, k - 1).clip(1e-6)
    scale = graph.constant(head.scale).take(place, exact=True)
    weights = ((distance * distance).apply("Neg") / (own * scale)).softmax().unsqueeze(1)
    mixed = (weights @ graph.constant(head.scores).take(place, exact=True)).squeeze(1)
    return ((mixed + _FLOOR) / (1 + _FLOOR * head.outputs)).apply("Log")


def _products(asked: Value, head: NeighbourHead) -> Value:
    """(n, references) squared distances less the record's own square, which orders none."""
    reference = head.reference
    return (asked @ (-2 * reference.T).contiguous()) + reference.square().sum(1)


def _near(asked: Value, head: NeighbourHead) -> Value:
    """(n, references) whether a reference is in one of the cells nearest to a record."""
    graph, centres, sizes = asked.graph, head.centres, head.starts.diff()
    some = min(math.ceil(_CANDIDATES / float(sizes.float().mean())), len(sizes))
    far = (asked @ (-2 * centres.T).contiguous()) + centres.square().sum(1)
    furthest = graph.ops("TopK", 2, far, np.array([some], np.int64), axis=-1, largest=0)[0]
    inside = graph.op("LessOrEqual", far, furthest.cut(1, some - 1))
    return inside.take(_cells(head), axis=1)


def _cells(head: NeighbourHead) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(references,) the cell of each."""
    return np.repeat(np.arange(len(head.centres)), head.starts.diff().numpy())


HEAD_GRAPHS.add(NeighbourHead.kind, neighbours)
