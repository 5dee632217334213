"""What the choices of a joint embedding are: views, projector, predictor, branch, agreement.

Two views of a record go through encoder and projector, and their projections are to agree. Papers
differ in which views, in whether a predictor stands behind one side, in the branch that gives the
other side, and in what keeps all records from getting the same projection.

Shapes: `u` records of the step, `d` numbers of a projection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.learn.choices.choice import Choice
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Draw, Loss, Moment

__all__ = ["Agreement", "Branch", "Projected", "Projection", "Views"]


class Views(Choice, ABC):
    """Which views are drawn of the records."""

    @property
    def whole(self) -> int:
        """How many of the views, the first ones, the target branch sees as well."""
        return 2

    @abstractmethod
    def __call__(self, draw: Draw) -> list[Batch]:
        """The views of the unlabelled records; those of like shape go through in one pass."""


class Projection(Choice, ABC):
    """A small network behind the encoder, which is thrown away afterwards."""

    @abstractmethod
    def build(self, inputs: int) -> nn.Module:
        """A module from (u, inputs) to (u, outputs)."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """The width of what it gives."""


class Branch(Choice, ABC):
    """Where the targets come from. `state` is built with the projector as well."""

    #: Whether the targets take gradients, so that both sides learn.
    learns: ClassVar[bool] = False

    def build(self, network: Network, projector: nn.Module) -> nn.Module | None:
        """What it keeps: a second encoder and projector, whose parameters take no gradient."""
        return None

    @abstractmethod
    def __call__(
        self, views: Sequence[Batch], own: Sequence[Tensor], now: Moment, state: Any
    ) -> list[Tensor]:
        """A target (u, d) a whole view; `own` are the network's projections of the same."""


@dataclass(frozen=True)
class Projected:
    """What an agreement is measured between.

    `online` holds the (predicted) projections (u, d) of all views, with gradient; `target` those
    of the whole views, the first of them, from the branch.
    """

    online: list[Tensor]
    target: list[Tensor]

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """(online, target) of each two different views of the same records."""
        return [
            (online, target)
            for i, online in enumerate(self.online)
            for j, target in enumerate(self.target)
            if i != j
        ]


class Agreement(Choice, ABC):
    """How far projections are from agreeing, and what keeps them from being all alike."""

    #: Whether it keeps the records apart by itself; else branch and predictor must.
    repels: ClassVar[bool] = True

    def build(self, problem: Problem, width: int) -> nn.Module | None:
        """What it keeps: prototypes that are trained, a queue, a centre."""
        return None

    @abstractmethod
    def __call__(self, seen: Projected, now: Moment, state: Any) -> Loss:
        """Named terms, and figures worth watching."""
