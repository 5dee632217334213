"""Where the targets of a joint embedding come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from leaven.data.arrays import Batch
from leaven.learn.choices.choice import part
from leaven.learn.choices.joint import Branch
from leaven.learn.objective import Moment

__all__ = ["Same"]


@part("branch")
@dataclass(frozen=True)
class Same(Branch):
    """The network's own projections, with gradient: both sides learn (SimCLR, Barlow Twins)."""

    def __call__(
        self, views: Sequence[Batch], own: Sequence[Tensor], now: Moment, state: Any
    ) -> list[Tensor]:
        """What came in."""
        return list(own)
