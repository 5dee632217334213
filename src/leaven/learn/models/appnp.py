"""Predict, then propagate by personalised PageRank."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.message_passing import Graph, GraphEncoder, Projection

__all__ = ["APPNP"]


class APPNP(GraphEncoder):
    """Gasteiger et al. 2019, arXiv:1810.05997, eq. 4: a hidden layer, and its rows spread.

    H = dropout(ReLU(X W + b)), Z⁰ = H, Zᵏ⁺¹ = (1 - α) Â Zᵏ + α H. The paper spreads the outputs;
    the head is linear, so that spreading what it reads is the same up to its bias. The paper
    drops edges in each round as well, which gained nothing here.
    """

    name = "appnp"
    summary = "a hidden layer of 64, spread by personalised PageRank"

    def __init__(
        self,
        inputs: int,
        hidden: int = 64,
        dropout: float = 0.5,
        hops: int = 10,
        restart: float = 0.1,
    ) -> None:
        super().__init__(inputs=inputs, hidden=hidden, dropout=dropout, hops=hops, restart=restart)
        self.first = Projection(inputs, hidden, dropout)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.dropout, self.hops, self.restart, self.width = dropout, hops, restart, hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many inputs as the nodes have features."""
        return {"inputs": spec["width"]}

    def nodes(self, graph: Graph) -> Tensor:
        """(n, hidden) of all nodes."""
        weight = graph.normalised()
        hidden = F.relu(self.first(graph) + self.bias)
        hidden = F.dropout(hidden, self.dropout, self.training)
        spread = hidden
        for _ in range(self.hops):
            spread = (1 - self.restart) * graph.spread(spread, weight) + self.restart * hidden
        return spread


ENCODERS.add(APPNP.name, APPNP)
