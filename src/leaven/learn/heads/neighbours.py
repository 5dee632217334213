"""A new record asks the nearest of the records that labels were spread over."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.learn.graphs.cells import cells
from leaven.learn.head import HEADS, Head

__all__ = ["NeighbourHead"]

_ASKED = 256  # records that ask at once: their distances to as many references take 50 MB
#: References of which all are compared with each record; of more, those in the cells near it.
_EXACT = 8192
_CELL, _CANDIDATES = 250, 5000  # references of a cell, and those that a record is compared with
_SPARE = 4  # more than k are found by products and measured again by difference


class NeighbourHead(Head):
    """Features to log-probabilities by the nearest of the reference records.

    The inductive step of label propagation (Delalleau, Bengio & Le Roux 2005): a new record
    takes the weighted mean of its `k` nearest references' class scores, with self-tuning weights
    whatever those of the graph were. With `unit` features are brought to length one first, as
    the references are.

    Buffers: `reference` (m, width) features, `scale` (m,) distance to each one's k-th
    neighbour, `scores` (m, classes) of row sum 1. Many references stand in the order of their
    cells: `starts` (cells + 1,) says where each begins, `centres` (cells, width) where it lies.
    """

    kind = "neighbours"
    reference: Tensor
    scale: Tensor
    scores: Tensor
    starts: Tensor
    centres: Tensor

    def __init__(
        self,
        references: int,
        width: int,
        classes: int,
        k: int,
        unit: bool = False,
        parts: int = 0,
    ) -> None:
        super().__init__()
        self.k = k
        self.unit = unit
        self.register_buffer("reference", torch.zeros(references, width))
        self.register_buffer("scale", torch.ones(references))
        self.register_buffer("scores", torch.zeros(references, classes))
        self.register_buffer("starts", torch.zeros(parts + 1, dtype=torch.int64))
        self.register_buffer("centres", torch.zeros(parts, width))

    @classmethod
    def of(
        cls, reference: Any, scale: Any, scores: Any, k: int, unit: bool = False, seed: int = 0
    ) -> NeighbourHead:
        """Of references as arrays; `seed` draws the cells where they are many."""
        found = cells(reference, _CELL, seed) if len(reference) > _EXACT else []
        order = np.concatenate(found) if found else np.arange(len(reference))
        count, width = reference.shape
        head = cls(count, width, scores.shape[1], k, unit, len(found))
        ends = np.cumsum([0, *(len(rows) for rows in found)])
        given = {"reference": reference[order], "scale": scale[order], "scores": scores[order]}
        given |= {"starts": ends}
        if found:
            given["centres"] = np.stack([np.mean(reference[rows], 0) for rows in found])
        for name, value in given.items():
            buffer: Tensor = getattr(head, name)
            buffer.copy_(torch.from_numpy(np.array(value)))
        return head

    @property
    def config(self) -> dict[str, Any]:
        """Sizes of the buffers, k, and whether features are brought to length one."""
        references, width = self.reference.shape
        sizes = {"references": references, "width": width, "classes": self.outputs}
        return sizes | {"k": self.k, "unit": self.unit, "parts": len(self.centres)}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.scores.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities."""
        if not len(features):
            return self.scores.new_zeros(0, self.outputs)
        features = features.float()
        if self.unit:
            features = F.normalize(features, dim=-1)
        return torch.cat([self._asked(part) for part in torch.split(features, _ASKED)])

    def _asked(self, features: Tensor) -> Tensor:
        place, distance = self._in_cells(features) if len(self.centres) else self._all(features)
        own = distance[:, -1:].clamp_min(1e-6)
        weights = (-distance.square() / (own * self.scale[place])).softmax(-1)
        mixed = (weights.unsqueeze(-1) * self.scores[place]).sum(1)
        floor = 1e-4  # a class no neighbour has seen is unlikely, not impossible
        return ((mixed + floor) / (1 + floor * mixed.shape[-1])).log()

    def _all(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Places (batch, k) and distances of the nearest of all references."""
        distance = torch.cdist(features, self.reference)
        near = distance.topk(min(self.k, len(self.reference)), dim=-1, largest=False)
        return near.indices, near.values

    def _in_cells(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the references in the cells nearest to each record.

        Each cell is compared with all of its askers in one product.
        """
        sizes = self.starts.diff()
        asked = min(math.ceil(_CANDIDATES / float(sizes.float().mean())), len(sizes))
        near = torch.cdist(features, self.centres).topk(asked, largest=False).indices
        room = int(sizes.max())
        far = features.new_full((len(features) * asked, room), torch.inf)
        order = near.flatten().argsort(stable=True)
        named, counts = torch.unique_consecutive(near.flatten()[order], return_counts=True)
        for cell, pairs in zip(named.tolist(), torch.split(order, counts.tolist()), strict=True):
            others = self.reference[self.starts[cell] : self.starts[cell + 1]]
            asking = features[pairs // asked]
            product = torch.addmm(others.square().sum(1)[None], asking, others.T, alpha=-2)
            far[pairs, : len(others)] = product
        k = min(self.k, len(self.reference))
        found = far.view(len(features), -1).topk(min(k + _SPARE, asked * room), largest=False)
        cell = near.gather(1, found.indices // room)
        place = (self.starts[cell] + found.indices % room).clamp(max=len(self.reference) - 1)
        exact = (self.reference[place] - features[:, None]).square().sum(-1).sqrt()
        exact = exact.masked_fill(found.values.isinf(), torch.inf)
        best = exact.topk(k, largest=False)
        return place.gather(1, best.indices), best.values


HEADS.add(NeighbourHead.kind, NeighbourHead)
