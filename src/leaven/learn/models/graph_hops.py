"""Features smoothed over the graph, frozen."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.data.arrays import Arrays
from leaven.data.dataset import Index
from leaven.data.modality import Spec
from leaven.data.views.graph_ops import whole
from leaven.learn.encoder import ENCODERS, sample
from leaven.learn.message_passing import Graph, GraphEncoder

__all__ = ["GraphHops"]


class GraphHops(GraphEncoder):
    """Wu et al. 2019, arXiv:1902.07153, eq. 8: Â² X, centred and of unit length.

    A linear model on it is the paper's simplified graph convolution (SGC).
    """

    name = "graph-hops"
    summary = "features smoothed over two hops of the graph, centred, of unit length, frozen"
    ready = True
    centre: Tensor

    def __init__(self, inputs: int, hops: int = 2) -> None:
        super().__init__(inputs=inputs, hops=hops)
        self.hops, self.width = hops, inputs
        self.register_buffer("centre", torch.zeros(inputs))

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As wide as the nodes have features."""
        return {"inputs": spec["width"]}

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """The mean of up to 50,000 records."""
        batch = whole(arrays.batch(sample(index, 50_000, seed)))
        self.centre.copy_(self._smoothed(Graph.of(batch))[batch["node"]].mean(0))

    def nodes(self, graph: Graph) -> Tensor:
        """(n, inputs) of all nodes."""
        return F.normalize(self._smoothed(graph) - self.centre, dim=-1)

    def _smoothed(self, graph: Graph) -> Tensor:
        weight, values = graph.normalised(), graph.dense(self.width)
        for _ in range(self.hops):
            values = graph.spread(values, weight)
        return values


ENCODERS.add(GraphHops.name, GraphHops)
