"""Message passing as nodes of a graph: over a frozen graph that one new node has joined.

The frozen graph is constants, the new node's neighbours an input. What is asked is the new node's
row alone, so each round passes along only those edges that lead to a node whose row is read in the
next one: with two rounds those are the edges of its neighbours, however large the graph is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.data.arrays import Arrays
from leaven.learn.message_passing import Projection, weighted_sum
from leaven.operate.export.graph import Value

__all__ = ["Frozen", "Joined", "Round"]

_SPARSE = 0.2  # share of features that are not zero, below which they are kept as a list


@dataclass(frozen=True)
class Frozen:
    """The graph of a run as NumPy arrays; edges (m,) both ways and without loops."""

    size: int
    width: int
    into: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    strength: npt.NDArray[np.float32]
    columns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, arrays: Arrays, width: int) -> Frozen:
        """Of decoded nodes with `width` features."""
        into, source = np.asarray(arrays["@edges"])
        apart = into != source
        return cls(
            len(arrays), width, into[apart], source[apart],
            np.asarray(arrays["@strength"])[apart].astype(np.float32),
            *(np.asarray(arrays[f"@{name}"]) for name in ("columns", "values", "offsets")),
        )  # fmt: skip


@dataclass(frozen=True)
class Round:
    """The edges that a round passes along: ends (e,), strengths (e,), and normalised ones (e,)."""

    into: Value
    source: Value
    strength: Value
    weight: Value


class Joined:
    """The frozen graph with a new node behind its own, see `learn.message_passing.Graph`.

    Parameters
    ----------
    features : (1, width) of the new node.
    neighbours, strength : (d,) places of its neighbours, and weights of the edges to them.
    """

    def __init__(self, frozen: Frozen, features: Value, neighbours: Value, strength: Value) -> None:
        self.frozen, self.graph = frozen, features.graph
        self._features = features
        graph, size = self.graph, frozen.size
        new = graph.op("Expand", np.array([size]), graph.op("Shape", neighbours))
        nodes = np.arange(size + 1)
        total = strength.sum(0) * 2.0 + float(frozen.strength.sum(dtype=np.float64))
        count = graph.op("Size", neighbours).cast(np.float32) * 2.0 + float(len(frozen.into))
        loop = graph.op("Expand", total / count, np.array([size + 1]))  # of mean weight
        self._into = graph.concat(frozen.into, new, neighbours, nodes, axis=0)
        self._source = graph.concat(frozen.source, neighbours, new, nodes, axis=0)
        self._strength = graph.concat(frozen.strength, strength, strength, loop, axis=0)
        known = np.bincount(frozen.into, frozen.strength, size).astype(np.float32)
        degree = graph.concat(known, strength.sum(0, keep=True), axis=0) + loop
        degree = graph.op("ScatterElements", degree, neighbours, strength, axis=0, reduction="add")
        self._root = graph.op("Reciprocal", degree.apply("Sqrt"))

    def rounds(self, count: int) -> tuple[Round, ...]:
        """The edges of each of so many rounds; they are found from the last one back."""
        graph, nodes = self.graph, self.frozen.size + 1
        read: Value = graph.constant(np.arange(nodes) == self.frozen.size)
        found: list[Round] = []
        for _ in range(count):
            edges = graph.op("NonZero", read.take(self._into)).squeeze(0)
            into, source = self._into.take(edges), self._source.take(edges)
            strength = self._strength.take(edges)
            weight = strength * self._root.take(into) * self._root.take(source)
            found.append(Round(into, source, strength, weight))
            ones = graph.op("Expand", np.ones(1, np.float32), graph.op("Shape", source))
            nothing = np.zeros(nodes, np.float32)
            # A node's loop is among the edges, so that who is read now is read before as well.
            read = graph.op("ScatterElements", nothing, source, ones, axis=0).cast(np.bool_)
        return tuple(reversed(found))

    def new(self, rows: Value) -> Value:
        """(1, h) the new node's row of (nodes, h)."""
        return rows.take(np.array([self.frozen.size]))

    def projected(self, layer: Projection) -> Value:
        """(nodes, outputs) of the features times the layer's matrix."""
        own = weighted_sum(layer.weight.detach(), *self._sparse())
        return self.graph.concat(own, self._features @ layer.weight, axis=0)

    def dense(self) -> Value:
        """(nodes, width) the features, unfolded."""
        frozen, graph = self.frozen, self.graph
        ends = np.append(frozen.offsets[1:], len(frozen.values))
        row = np.repeat(np.arange(frozen.size), ends - frozen.offsets)
        shape = (frozen.size, frozen.width)
        if len(frozen.values) > _SPARSE * frozen.size * frozen.width:
            full = np.zeros(shape, np.float32)
            full[row, frozen.columns] = frozen.values
            return graph.concat(full, self._features, axis=0)
        nothing = graph.op("Expand", np.zeros(1, np.float32), np.array(shape))
        places = np.stack([row, frozen.columns], 1)
        own = graph.op("ScatterND", nothing, places, frozen.values)
        return graph.concat(own, self._features, axis=0)

    def spread(self, values: Value, along: Round) -> Value:
        """(nodes, h) of each node the sum of its neighbours' rows, by normalised weights."""
        return self._scattered(values.take(along.source) * along.weight.unsqueeze(1), along)

    def attended(
        self, values: Value, own: Tensor, other: Tensor, slope: float, along: Round
    ) -> Value:
        """(nodes, heads · units) of each head the neighbours' values, by attention; see `GAT`.

        `own` and `other` are (heads, units), `values` (nodes, heads · units).
        """
        heads, units = own.shape
        split = values.reshape(-1, heads, units)
        pairs = ((own, along.into), (other, along.source))
        score = [(split * vector.detach()).sum(2).take(ends) for vector, ends in pairs]
        raised = self.graph.op("LeakyRelu", score[0] + score[1], alpha=slope)
        raised = raised + along.strength.apply("Log").unsqueeze(1)
        highest = self._scattered(raised, along, "max", -np.inf)
        raised = (raised - highest.take(along.into)).apply("Exp")
        share = raised / self._scattered(raised, along).take(along.into)
        rows = (split.take(along.source) * share.unsqueeze(2)).reshape(-1, heads * units)
        return self._scattered(rows, along)

    def _scattered(
        self, rows: Value, along: Round, how: str = "add", nothing: float = 0.0
    ) -> Value:
        """(nodes, h) the sum or the largest of the rows (e, h) that lead into each node."""
        graph = self.graph
        wide = graph.op("Shape", rows, start=1)
        shape = graph.concat(np.array([self.frozen.size + 1]), wide, axis=0)
        blank = graph.op("Expand", np.array([nothing], np.float32), shape)
        return graph.op("ScatterND", blank, along.into.unsqueeze(1), rows, reduction=how)

    def _sparse(self) -> tuple[Tensor, Tensor, Tensor]:
        """Columns, offsets and values of the features, as `weighted_sum` takes them."""
        frozen = self.frozen
        return tuple(
            torch.from_numpy(np.ascontiguousarray(one))
            for one in (frozen.columns, frozen.offsets, frozen.values)
        )  # type: ignore[return-value]
