"""Views of a graph: what is dropped from it, told as a seed and a rate.

A view is of the whole graph and not of one record, so it is not made here but carried by the
batch as two numbers a record, "view" (its seed, 0 for the graph as it is) and "drop" (its rate).
Who reads the graph asks `kept` which of its nodes the view has kept. Batches of several views can
so be joined while the graph itself stays single.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.arrays import Batch

__all__ = ["DropNodes", "kept", "whole"]

_SEEDS = 2**62


@dataclass(frozen=True)
class DropNodes:
    """Drop all features of some nodes, and scale up those of the others.

    DropNode of GRAND (Feng et al. 2020, arXiv:2005.11079, section 3.1): each node of the graph
    goes with probability `rate`, and the others are divided by 1 - `rate`. The nodes stay, and
    learn from their neighbours what they were.
    """

    rate: float

    def __call__(self, batch: Batch, rng: torch.Generator) -> Batch:
        """One new view of the graph, alike for all records of the batch."""
        seed = torch.randint(1, _SEEDS, (1,), generator=rng, device=rng.device)
        node = batch["node"]
        drop = torch.full((len(node),), self.rate, device=node.device)
        return {**batch, "view": seed.expand(len(node)).clone(), "drop": drop}


def whole(batch: Batch) -> Batch:
    """The graph as it is."""
    node = batch["node"]
    drop = torch.zeros(len(node), device=node.device)
    return {**batch, "view": torch.zeros_like(node), "drop": drop}


def kept(seed: int, rate: float, size: int, device: torch.device) -> torch.Tensor | None:
    """(size, 1) factors on the nodes' features in a view; None where all are kept.

    >>> kept(7, 0.5, 4, torch.device("cpu")).T
    tensor([[2., 0., 2., 2.]])
    """
    if seed == 0 or rate == 0:
        return None
    rng = torch.Generator(device).manual_seed(seed)
    stays = torch.rand((size, 1), generator=rng, device=device) >= rate
    return stays.float() / (1 - rate)
