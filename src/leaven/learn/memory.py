"""What contrastive methods add to a network: a projection, and memories of projected records.

Projected features are unit vectors, so that a dot product is a cosine.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.method import Problem

__all__ = ["LabelledMemory", "Projection", "Queue"]

_HIDDEN = 256
_NEVER = -1e9  # the logit of a place that is empty: its share is zero, and so is zero times it


class Projection(nn.Sequential):
    """(n, width) features to (n, size) unit vectors by two layers.

    The hidden layer is as wide as the features, 256 at most: in the papers those are 128 to 2048
    wide, and an n-gram encoder's would make a matrix larger than the rest of the network.
    """

    def __init__(self, width: int, size: int) -> None:
        hidden = min(width, _HIDDEN)
        super().__init__(nn.Linear(width, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, size))

    def forward(self, features: Tensor) -> Tensor:
        """(n, size) of length one."""
        for layer in self:
            features = layer(features)
        return F.normalize(features, dim=-1)


class Queue(nn.Module):
    """The last `places` projected records, and the probabilities (places, k) of each.

    Buffers: `keys` (places, size), `values` (places, k), and how many were `pushed` in all.
    """

    keys: Tensor
    values: Tensor
    pushed: Tensor

    def __init__(self, places: int, size: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(places, size))
        self.register_buffer("values", torch.zeros(places, classes))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor, values: Tensor) -> None:
        """Put records in the place of the oldest; of more than there are places, the last."""
        keys, values = keys[-len(self.keys) :], values[-len(self.keys) :]
        free = (self.pushed + torch.arange(len(keys), device=keys.device)) % len(self.keys)
        self.keys[free] = keys.to(self.keys.dtype)
        self.values[free] = values.to(self.values.dtype)
        self.pushed += len(keys)

    @torch.no_grad()
    def recall(self, query: Tensor, temperature: float) -> Tensor:
        """(n, k) the mean of the values, weighted by exp(cosine / temperature); zeros if empty."""
        empty = torch.arange(len(self.keys), device=query.device) >= self.pushed
        logits = (query @ self.keys.T / temperature).masked_fill(empty, _NEVER)
        return logits.softmax(-1) @ self.values


class LabelledMemory(nn.Module):
    """One projected vector a labelled record, as it last was, beside the record's label.

    Buffers: `keys` (labelled, size), `known` (labelled,) one where the record has been seen,
    `labels` (labelled, k) one-hot.
    """

    keys: Tensor
    known: Tensor
    labels: Tensor

    def __init__(self, problem: Problem, size: int) -> None:
        super().__init__()
        targets = torch.from_numpy(problem.targets[problem.train])
        self.register_buffer("keys", torch.zeros(len(targets), size))
        self.register_buffer("known", torch.zeros(len(targets)))
        self.register_buffer("labels", F.one_hot(targets, problem.classes).float())

    @torch.no_grad()
    def write(self, places: Tensor, keys: Tensor) -> None:
        """Keep the new vectors; of a record that is there several times, the mean direction."""
        fresh = torch.zeros_like(self.keys).index_add_(0, places, keys.to(self.keys.dtype))
        seen = torch.zeros_like(self.known)
        seen[places] = 1
        self.keys.copy_(torch.where(seen.unsqueeze(-1) > 0, F.normalize(fresh, dim=-1), self.keys))
        self.known.copy_(torch.maximum(self.known, seen))

    def similarity(self, query: Tensor, temperature: float) -> Tensor:
        """(n, labelled) logarithms of shares ∝ exp(cosine / temperature) of the records seen."""
        logits = query @ self.keys.T / temperature
        return logits.masked_fill(self.known == 0, _NEVER).log_softmax(-1)
