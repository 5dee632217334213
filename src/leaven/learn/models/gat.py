"""Graph attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.message_passing import Graph, GraphEncoder, Projection

__all__ = ["GAT"]

_SLOPE = 0.2


class GAT(GraphEncoder):
    """Veličković et al. 2018, arXiv:1710.10903, section 2.1 and 3.3: two layers of attention.

    Eight heads of eight units and ELU, then one head before the linear layer. An edge's weight is
    the softmax, over the edges into a node, of LeakyReLU(aᵀ [W h_i ‖ W h_j]); it is dropped with
    the rate of the features. The second layer's W is the head's, so that its attention reads the
    hidden units. Weights of edges count as factors: their logarithm is added before the softmax.
    """

    name = "gat"
    summary = "two layers of attention over neighbours, eight heads of eight units"

    def __init__(self, inputs: int, heads: int = 8, units: int = 8, dropout: float = 0.6) -> None:
        super().__init__(inputs=inputs, heads=heads, units=units, dropout=dropout)
        self.heads, self.units, self.dropout = heads, units, dropout
        self.width = heads * units
        self.first = Projection(inputs, self.width, dropout)
        self.bias = nn.Parameter(torch.zeros(self.width))
        self.own = nn.Parameter(torch.empty(heads, units))
        self.other = nn.Parameter(torch.empty(heads, units))
        self.last_own = nn.Parameter(torch.empty(1, self.width))
        self.last_other = nn.Parameter(torch.empty(1, self.width))
        for vector in (self.own, self.other, self.last_own, self.last_other):
            nn.init.xavier_uniform_(vector)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many inputs as the nodes have features."""
        return {"inputs": spec["width"]}

    def nodes(self, graph: Graph) -> Tensor:
        """(n, heads · units) of all nodes."""
        hidden = F.elu(self._attend(graph, self.first(graph), self.own, self.other) + self.bias)
        hidden = F.dropout(hidden, self.dropout, self.training)
        return self._attend(graph, hidden, self.last_own, self.last_other)

    def _attend(self, graph: Graph, values: Tensor, own: Tensor, other: Tensor) -> Tensor:
        """(n, width) of each head the neighbours' `values` (n, width), weighted by attention."""
        split = values.view(graph.size, *own.shape)  # (n, heads, units)
        score = (split * own).sum(-1)[graph.into] + (split * other).sum(-1)[graph.source]
        weight = _softmax(F.leaky_relu(score, _SLOPE) + graph.strength.log()[:, None], graph)
        weight = F.dropout(weight, self.dropout, self.training)
        dropped = F.dropout(values, self.dropout, self.training).view_as(split)
        heads = [
            graph.attend(dropped[:, head].contiguous(), weight[:, head].contiguous())
            for head in range(len(own))
        ]
        return torch.cat(heads, 1)


def _softmax(score: Tensor, graph: Graph) -> Tensor:
    """(m, heads) of row sum one over the edges into each node."""
    index = graph.into[:, None].expand_as(score)
    lowest = score.new_full((graph.size, score.shape[1]), -torch.inf)
    highest = lowest.scatter_reduce(0, index, score.detach(), "amax")
    raised = (score - highest[graph.into]).exp()
    total = raised.new_zeros(graph.size, score.shape[1]).index_add(0, graph.into, raised)
    return raised / total[graph.into]


ENCODERS.add(GAT.name, GAT)
