"""The network without its noise, for what an objective differentiates within a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from leaven.learn.network import Network
from leaven.learn.objective import Moment

__all__ = ["bare", "still"]


def bare(now: Moment) -> Network:
    """The network that learns, in full precision: not the loop's wrapper about it.

    The wrapper rounds to bf16 where the loop does, which small differences do not survive, and
    refuses any gradient that the loop itself does not ask for.
    """
    network: Any = getattr(now.network, "module", now.network)
    return network  # type: ignore[no-any-return]


@contextmanager
def still(now: Moment) -> Iterator[Network]:
    """The same, in evaluation mode for as long as the block lasts: nothing is dropped out."""
    network = bare(now)
    before = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(before)
