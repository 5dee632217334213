"""A graph convolutional network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.message_passing import Graph, GraphEncoder, Projection

__all__ = ["GCN"]


class GCN(GraphEncoder):
    """Kipf & Welling 2017, arXiv:1609.02907, eq. 9: Â ReLU(Â X W + b), and the head after it.

    Â = D^-½ (A + I) D^-½. The second product with Â comes before the head instead of after it,
    which is the same. 64 hidden units instead of 16.
    """

    name = "gcn"
    summary = "two graph convolutions, 64 units"
    size = "base"

    def __init__(self, inputs: int, hidden: int = 64, dropout: float = 0.5) -> None:
        super().__init__(inputs=inputs, hidden=hidden, dropout=dropout)
        self.first = Projection(inputs, hidden, dropout)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.dropout, self.width = dropout, hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many inputs as the nodes have features."""
        return {"inputs": spec["width"]}

    def nodes(self, graph: Graph) -> Tensor:
        """(n, hidden) of all nodes."""
        weight = graph.normalised()
        hidden = F.relu(graph.spread(self.first(graph), weight) + self.bias)
        return graph.spread(F.dropout(hidden, self.dropout, self.training), weight)


ENCODERS.add(GCN.name, GCN)
