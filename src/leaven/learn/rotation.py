"""Rotation as a pretext task: a second head tells by how many quarter turns a picture was turned.

Gidaris et al. 2018, arXiv:1803.07728, section 3. Methods that use it keep the head in their state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from leaven.learn.head import LinearHead
from leaven.learn.method import Problem
from leaven.learn.network import Network

__all__ = ["draw_turns", "rotation_head", "turned"]

_TURNS = 4


def rotation_head(problem: Problem, network: Network) -> LinearHead | None:
    """From features to four logits; None unless the records are square pictures.

    Other records cannot be turned, and oblong pictures would tell by their shape.
    """
    spec = problem.spec
    if problem.modality != "image" or spec["height"] != spec["width"]:
        return None
    return LinearHead(network.encoder.width, _TURNS)


def draw_turns(count: int, rng: torch.Generator) -> Tensor:
    """(count,) from 0 to 3, uniform, on the generator's device."""
    return torch.randint(_TURNS, (count,), generator=rng, device=rng.device)


def turned(entered: Tensor, turns: Tensor) -> Tensor:
    """(n, c, side, side) each picture turned anticlockwise by so many quarter turns (n,)."""
    every = torch.stack([entered.rot90(k, (2, 3)) for k in range(_TURNS)])
    return every[turns, torch.arange(len(entered), device=entered.device)]
