"""What the encoders of graphs share: sparse features, weights between nodes, views, one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.data.views.graph_ops import kept
from leaven.learn.encoder import Encoder

__all__ = ["Graph", "GraphEncoder", "Projection", "adjacency", "weighted_sum"]


def weighted_sum(values: Tensor, index: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
    """(n, h) sums of the rows of `values` (r, h) at `index` (m,), each by its `weight` (m,).

    The i-th sum begins at `starts[i]` and ends where the next one begins; an empty one is zero.
    Gradients flow to `values` and to `weight`.
    """
    return F.embedding_bag(index, values, starts, mode="sum", per_sample_weights=weight)


def adjacency(batch: Batch) -> sparse.csr_matrix:
    """(n, n) the symmetric weights between the nodes of a batch's graph, without loops."""
    into, source = batch["@edges"].cpu().numpy()
    strength = batch["@strength"].cpu().numpy().astype(np.float64)
    apart, size = into != source, len(batch["@offsets"])
    pairs = (into[apart], source[apart])
    return sparse.csr_matrix((strength[apart], pairs), shape=(size, size))


@dataclass(frozen=True)
class Graph:
    """One view of the graph of a batch, all nodes of it.

    `into` and `source` (m,) are the ends of the edges, both directions and loops, sorted by
    `into`; `starts` (n,) says where those of each node begin; `strength` (m,) is positive.
    `columns`, `values` (z,) and `offsets` (n,) are the features, sparse; `kept` (n, 1) are
    factors on the features of whole nodes, None where the view drops none.
    """

    into: Tensor
    source: Tensor
    starts: Tensor
    strength: Tensor
    columns: Tensor
    values: Tensor
    offsets: Tensor
    kept: Tensor | None = None

    @classmethod
    def of(cls, batch: Batch, seed: int = 0, rate: float = 0.0) -> Graph:
        """The graph that a batch brings, in the view of this seed and rate."""
        into, source = batch["@edges"]
        offsets = batch["@offsets"]
        nodes = torch.arange(len(offsets), device=into.device)
        return cls(
            into,
            source,
            torch.searchsorted(into.contiguous(), nodes),
            batch["@strength"],
            batch["@columns"],
            batch["@values"],
            offsets,
            kept(seed, rate, len(offsets), into.device),
        )

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.offsets)

    def normalised(self) -> Tensor:
        """(m,) the weights of D^-½ (A + I) D^-½ (Kipf & Welling 2017, section 2.2)."""
        degree = self.strength.new_zeros(self.size).index_add(0, self.into, self.strength)
        root = degree.rsqrt()
        return self.strength * root[self.into] * root[self.source]

    def spread(self, values: Tensor, weight: Tensor) -> Tensor:
        """(n, h) of each node the sum over its edges of `weight` (m,) times its neighbour's row.

        `weight` must be alike in both directions of an edge, and gets no gradient.
        """
        return _spread(values, self.source, self.starts, weight)

    def attend(self, values: Tensor, weight: Tensor) -> Tensor:
        """The same for any `weight` (m,), which gets a gradient too."""
        return weighted_sum(values, self.source, self.starts, weight)

    def dense(self, width: int) -> Tensor:
        """(n, width) the features, unfolded."""
        full = self.values.new_zeros(self.size, width)
        ends = torch.cat([self.offsets[1:], self.offsets.new_tensor([len(self.values)])])
        row = torch.arange(self.size, device=ends.device).repeat_interleave(ends - self.offsets)
        full[row, self.columns] = self.values
        return full if self.kept is None else full * self.kept


class _Spread(torch.autograd.Function):
    """A product with a symmetric sparse matrix: its gradient is the same product.

    The general gradient of `weighted_sum` sorts the edges at each call and takes twenty times as
    long.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, *matrix: Tensor) -> Tensor:
        context.save_for_backward(*matrix)
        return weighted_sum(values, *matrix)

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Any:
        return _spread(slope.contiguous(), *context.saved_tensors), None, None, None


def _spread(values: Tensor, *matrix: Tensor) -> Tensor:
    spread: Tensor = _Spread.apply(values, *matrix)  # type: ignore[no-untyped-call]
    return spread


class Projection(nn.Module):
    """A linear layer on the sparse features: its cost is that of the numbers that are there."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, graph: Graph) -> Tensor:
        """(n, outputs) X W with single features dropped while training; no bias.

        That nodes are dropped before or after the product is the same.
        """
        values = F.dropout(graph.values, self.dropout, self.training)
        product = weighted_sum(self.weight, graph.columns, graph.offsets, values)
        return product if graph.kept is None else product * graph.kept


class GraphEncoder(Encoder):
    """An encoder that passes over the whole graph, once a view, and gives the rows asked for.

    The pass is part of `enter`, so that methods may change what has entered record by record: no
    neighbour is touched by it any more.
    """

    modality = "graph"
    #: The pass costs what it costs, however many of its rows are asked for.
    trained_by: ClassVar[Mapping[str, Any]] = {
        "labelled_batch": 128,
        "unlabelled_ratio": 16,
        "rate": 0.01,
        "weight_decay": 1.0,
    }

    @abstractmethod
    def nodes(self, graph: Graph) -> Tensor:
        """(n, width) what is said of all nodes of a graph."""

    def enter(self, batch: Batch) -> Tensor:
        """(batch, width) the rows of `batch["node"]`, each from its own view of the graph."""
        views, group = torch.unique(batch["view"], return_inverse=True)
        rows, parts = [], []
        for number, seed in enumerate(views.tolist()):
            own = (group == number).nonzero().squeeze(1)
            graph = Graph.of(batch, seed, float(batch["drop"][own[0]]))
            rows.append(own)
            # Whose gradient is a sum and not, as that of plain indexing, a sort.
            parts.append(self.nodes(graph).index_select(0, batch["node"][own]))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts).index_select(0, torch.cat(rows).argsort())
