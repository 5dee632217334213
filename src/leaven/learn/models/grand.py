"""Features spread at random, and a hidden layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.message_passing import Graph, GraphEncoder, Projection

__all__ = ["Grand"]


class Grand(GraphEncoder):
    """Feng et al. 2020, arXiv:2005.11079, section 3.1: mixed-order propagation, then an MLP.

    X̄ = 1/(K+1) Σₖ Âᵏ X̃ with X̃ the features in a view that drops whole nodes, and ReLU(X̄ W + b).
    The product with W comes first: it is the same, and there are far fewer columns to spread.
    The paper drops single features of X̄, here of X̃. What makes its training, the agreement of
    several strong views, is a matter of the method.
    """

    name = "grand"
    summary = "features spread over eight hops, then a hidden layer of 64"
    trained_by: ClassVar[Mapping[str, Any]] = {
        **GraphEncoder.trained_by,
        "rate": 0.02,
    }

    def __init__(self, inputs: int, hidden: int = 64, dropout: float = 0.5, hops: int = 8) -> None:
        super().__init__(inputs=inputs, hidden=hidden, dropout=dropout, hops=hops)
        self.first = Projection(inputs, hidden, dropout)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.dropout, self.hops, self.width = dropout, hops, hidden

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many inputs as the nodes have features."""
        return {"inputs": spec["width"]}

    def nodes(self, graph: Graph) -> Tensor:
        """(n, hidden) of all nodes, before the nonlinearity."""
        weight = graph.normalised()
        power: Tensor = self.first(graph)
        total = power
        for _ in range(self.hops):
            power = graph.spread(power, weight)
            total = total + power
        return total / (self.hops + 1) + self.bias

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, hidden) after the nonlinearity."""
        return F.dropout(F.relu(entered), self.dropout, self.training)


ENCODERS.add(Grand.name, Grand)
