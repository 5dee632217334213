"""Random draws for whole batches, and how operations follow one another.

A view is a tuple of operations. Which operations, in which order and with which ranges is data;
`compose` is the only code that runs them. All draws come from the generator that is given and
live on its device, one a record (or a cell), never one a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import torch

__all__ = ["Operation", "compose", "others", "uniform"]

T = TypeVar("T")


class Operation(Protocol[T]):
    """Takes a batch and gives one of the same shape; leaves its input as it was."""

    def __call__(self, value: T, rng: torch.Generator, /) -> T:
        """The changed batch."""
        ...


def compose(operations: Iterable[Operation[T]], value: T, rng: torch.Generator) -> T:
    """`value` after all operations, in order."""
    for operation in operations:
        value = operation(value, rng)
    return value


def uniform(
    shape: tuple[int, ...], rng: torch.Generator, low: float = 0.0, high: float = 1.0
) -> torch.Tensor:
    """Float32 draws of `shape` in [low, high), on the generator's device.

    >>> uniform((2, 3), torch.Generator().manual_seed(0), 5, 6).floor().unique()
    tensor([5.])
    """
    draw = torch.rand(shape, generator=rng, device=rng.device)
    return draw if (low, high) == (0.0, 1.0) else low + (high - low) * draw


def others(shape: tuple[int, ...], rng: torch.Generator) -> torch.Tensor:
    """For each record (first axis) positions of records, uniform among all but itself.

    A batch of one has no other record: it gets itself.

    >>> others((2, 3), torch.Generator().manual_seed(0))
    tensor([[1, 1, 1],
            [0, 0, 0]])
    """
    size = shape[0]
    steps = 1 + (uniform(shape, rng) * (size - 1)).long().clamp_(max=max(size - 2, 0))
    own = torch.arange(size, device=rng.device).view(-1, *[1] * (len(shape) - 1))
    place = own + steps
    return torch.where(place < size, place, place - size)  # a remainder takes far longer
