"""Decoders: from vectors back to what a network has entered.

Generative objectives keep them in their state, where they are trained beside the network. What a
network enters is of one of three forms, see `Network.enter`: images (n, c, h, w), vectors (n, w),
and sequences (n, length, w + 1) whose last column says how much of a word is there.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.method import Problem
from leaven.learn.network import Network

__all__ = ["decoder", "entered", "fit_length", "whole"]

_LOOKED_AT = 64  # records, for the length of sequences
_HIDDEN = 256
_WIDTH = 64  # channels of the smallest image
_SIDE = 4  # pixels of the smallest image, at most


@torch.no_grad()
def entered(problem: Problem, network: Network) -> Tensor:
    """(n, …) some records as the network enters them, whose shape tells what to decode to."""
    rows = problem.train if len(problem.train) else problem.unlabelled
    some = problem.arrays.batch(rows[:_LOOKED_AT])
    return network.enter(problem.views.plain(some))


def whole(entered: Tensor) -> Tensor:
    """What is reconstructed of entered records: all of images and vectors, the mean of words.

    (n, length, w + 1) becomes (n, w), each place weighted by how much of a word is there: a
    sequence's length is its batch's, so its places mean nothing by themselves.
    """
    if entered.ndim != 3:
        return entered
    vectors, there = entered[..., :-1], entered[..., -1:].clamp(0, 1)
    return (vectors * there).sum(1) / there.sum(1).clamp_min(1e-6)


def decoder(inputs: int, shape: tuple[int, ...]) -> nn.Module:
    """A module from (n, inputs) to (n, *shape): dense, or transposed convolutions for images."""
    if len(shape) == 3:
        return _Images(inputs, shape)
    return _Sequences(inputs, shape) if len(shape) == 2 else _dense(inputs, shape[0])


def fit_length(sequences: Tensor, length: int) -> Tensor:
    """Sequences (n, any, w + 1) cut, or filled up with places where no word is, to a length."""
    return F.pad(sequences, (0, 0, 0, length - sequences.shape[1]))


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    """One hidden layer."""
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN), nn.LayerNorm(_HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, outputs)
    )


class _Images(nn.Module):
    """A small image of many channels, doubled until it is large enough, and cut to size."""

    def __init__(self, inputs: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        doublings = max(math.ceil(math.log2(max(self.height, self.width) / _SIDE)), 1)
        small = [math.ceil(side / 2**doublings) for side in (self.height, self.width)]
        layers: list[nn.Module] = [
            nn.Linear(inputs, _WIDTH * small[0] * small[1]),
            nn.Unflatten(1, (_WIDTH, *small)),
        ]
        before = _WIDTH
        for left in reversed(range(doublings)):
            after = max(before // 2, 16) if left else channels
            layers += [
                nn.GroupNorm(1, before),
                nn.LeakyReLU(0.1),
                nn.ConvTranspose2d(before, after, 4, 2, 1),
            ]
            before = after
        self.body = nn.Sequential(*layers)

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, c, h, w)."""
        grown: Tensor = self.body(vectors)
        return grown[..., : self.height, : self.width]


class _Sequences(nn.Module):
    """A hidden layer of the vector and the place, the same at all places."""

    def __init__(self, inputs: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        length, width = shape
        self.vector = nn.Linear(inputs, _HIDDEN)
        self.place = nn.Parameter(torch.randn(length, _HIDDEN))
        self.body = nn.Sequential(nn.LayerNorm(_HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, length, w + 1), in the last column above 0 and below 1."""
        words: Tensor = self.body(self.vector(vectors)[:, None] + self.place)
        return torch.cat([words[..., :-1], words[..., -1:].sigmoid()], -1)
