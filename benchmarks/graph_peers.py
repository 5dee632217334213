"""Graph networks as peers, written down from their papers and from nothing of Leaven's.

GCN: Kipf and Welling 2017, arXiv:1609.02907, two layers of 16; APPNP: Gasteiger et al. 2019,
arXiv:1810.05997, 64 hidden, ten steps, teleport 0.1. Each at its paper's rates, for 200 epochs, for
no validation labels are there to stop by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from benchmarks.features import Graph

__all__ = ["Appnp", "Gcn", "GraphNetwork", "normalised"]

_EPOCHS = 200


class Gcn(nn.Module):
    """softmax(Â ReLU(Â X W₀) W₁)."""

    decay = 5e-4

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, 16), nn.Linear(16, classes)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """(n, classes) logits of all nodes."""
        hidden = torch.relu(edges @ _entered(self.first, nodes, self.training))
        found: Tensor = edges @ self.last(dropout(hidden, 0.5, self.training))
        return found


class Appnp(nn.Module):
    """A perceptron's answers, spread: Z ← 0.9 Â Z + 0.1 H."""

    decay = 5e-3

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, 64), nn.Linear(64, classes)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """(n, classes) logits of all nodes."""
        hidden = torch.relu(_entered(self.first, nodes, self.training))
        own: Tensor = self.last(dropout(hidden, 0.5, self.training))
        found = own
        for _ in range(10):
            found = 0.9 * (edges @ found) + 0.1 * own
        return found


def _entered(layer: nn.Linear, nodes: Tensor, training: bool) -> Tensor:
    """(n, hidden) a layer on sparse features of which half are dropped in training."""
    kept = dropout(nodes.values(), 0.5, training)
    dropped = torch.sparse_coo_tensor(nodes.indices(), kept, nodes.shape, is_coalesced=True)
    found: Tensor = dropped @ layer.weight.T + layer.bias
    return found


class GraphNetwork:
    """An estimator of a `Graph`; asked for positions of nodes."""

    def __init__(self, build: Callable[[int, int], Gcn | Appnp], seed: int) -> None:
        self._build, self._seed = build, seed

    def fit(self, graph: Graph, targets: Any) -> GraphNetwork:
        """Train by the labels that are there; -1 is unlabelled."""
        torch.manual_seed(self._seed)
        targets = torch.as_tensor(np.asarray(targets))
        known = targets >= 0
        nodes, edges = torch.from_numpy(graph.nodes).to_sparse(), normalised(graph)
        network = self._build(nodes.shape[1], int(targets.max()) + 1)
        groups: list[dict[str, Any]] = [
            {"params": network.first.parameters(), "weight_decay": network.decay},
            {"params": network.last.parameters()},
        ]
        optimiser = torch.optim.Adam(groups, lr=0.01)
        for _ in range(_EPOCHS):
            optimiser.zero_grad()
            cross_entropy(network(nodes, edges)[known], targets[known]).backward()
            optimiser.step()
        with torch.inference_mode():
            self._said = network.eval()(nodes, edges).argmax(1).numpy()
        return self

    def predict(self, asked: Any) -> Any:
        """Classes of the nodes at these positions."""
        return self._said[asked]


def normalised(graph: Graph) -> Tensor:
    """(n, n) Â = D^-½ (A + I) D^-½, sparse."""
    size, here = len(graph), np.arange(len(graph))
    one, other = graph.edges
    ends = np.stack([np.r_[one, other, here], np.r_[other, one, here]])
    ends = np.unique(ends, axis=1)
    degree = np.bincount(ends[0], minlength=size)
    strength = 1 / np.sqrt(degree[ends[0]] * degree[ends[1]])
    found: Tensor = torch.sparse_coo_tensor(
        torch.from_numpy(ends), torch.from_numpy(strength).float(), (size, size),
        is_coalesced=True,
    )  # fmt: skip
    return found
