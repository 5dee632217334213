"""The rule of a loss, and the views it is computed on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.data.modality import Modality, Spec
from leaven.learn.task import Task

__all__ = ["Draw", "Loss", "Moment", "Objective", "concatenate"]


@dataclass(frozen=True)
class Loss:
    """Named terms that are summed, each a scalar with its weight already in it."""

    terms: dict[str, Tensor]
    figures: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The sum, which is differentiated."""
        return torch.stack(list(self.terms.values())).sum()


@dataclass
class Draw:
    """The records of one step and the randomness to view them with.

    True labels of the unlabelled records are not in it, so no objective can read them.
    """

    modality: Modality
    spec: Spec
    rng: torch.Generator
    labelled_records: Batch
    targets: Tensor
    unlabelled_records: Batch | None

    def labelled(self) -> Batch:
        """A new weak view of the labelled records."""
        return self.modality.weak(self.labelled_records, self.spec, self.rng)

    def unlabelled(self, view: str) -> Batch:
        """A new `weak` or `strong` view of the unlabelled records."""
        assert self.unlabelled_records is not None, "this objective was given no unlabelled records"
        draw = self.modality.strong if view == "strong" else self.modality.weak
        return draw(self.unlabelled_records, self.spec, self.rng)


@dataclass(frozen=True)
class Moment:
    """One step of a training, as an objective sees it.

    `network` is what learns; `average` holds its averaged weights and is never given a gradient;
    `progress` is the share of the training that is done, in [0, 1); `state` is what
    `Objective.state` gave.
    """

    network: nn.Module
    average: nn.Module
    draw: Draw
    task: Task
    progress: float
    state: nn.Module | None = None


class Objective(ABC):
    """A rule of a loss. Stateless, unless `state` gives it a module that the loop keeps."""

    #: Whether `loss` reads unlabelled records.
    unlabelled: bool = True

    @property
    def row(self) -> dict[str, str] | None:
        """Its choices in words, where it is composed of choices."""
        return None

    def state(self, classes: int, unlabelled: int) -> nn.Module | None:
        """Buffers that live as long as the training (running thresholds, queues), or None."""
        return None

    @abstractmethod
    def loss(self, now: Moment) -> Loss:
        """The loss of one step."""


def concatenate(*batches: Batch) -> Batch:
    """Several views as one batch, so that one pass through the network serves all."""
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
