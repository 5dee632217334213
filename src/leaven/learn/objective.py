"""The rule of a loss, and the views it is computed on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import SHARED, Batch
from leaven.data.modality import Modality, Spec
from leaven.learn.head import Head
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.task import Task

__all__ = [
    "VIEWS",
    "Draw",
    "Loss",
    "Moment",
    "Objective",
    "PseudoLabels",
    "concatenate",
    "decay_of",
    "joined",
]

#: The views that a modality draws, each a method of its name.
VIEWS = ("plain", "weak", "strong", "contrastive", "local")


@dataclass(frozen=True)
class PseudoLabels:
    """What the unlabelled records of one step were taught, for the log; nothing has a gradient.

    `records` (u,) places among the unlabelled records, `guess` (u, k) the probabilities they were
    judged by, `weight` (u,) with which each counted, `answers` (u,) what the student named.
    """

    records: Tensor
    guess: Tensor
    weight: Tensor
    answers: Tensor


@dataclass(frozen=True)
class Loss:
    """Named terms that are summed, each a scalar with its weight already in it.

    `figures` are scalars worth watching, `taught` what the log of pseudo-labels counts.
    """

    terms: dict[str, Tensor]
    figures: dict[str, Tensor] = field(default_factory=dict)
    taught: PseudoLabels | None = None

    @property
    def total(self) -> Tensor:
        """The sum, which is differentiated."""
        return torch.stack(list(self.terms.values())).sum()


@dataclass
class Draw:
    """The records of one step and the randomness to view them with.

    `places` (l,) are those of the labelled ones in `Problem.train`, `records` (u,) those of the
    unlabelled ones in `Problem.unlabelled`. True labels of the unlabelled records are not in it,
    so no objective can read them.
    """

    modality: Modality
    spec: Spec
    rng: torch.Generator
    labelled_records: Batch
    targets: Tensor
    unlabelled_records: Batch | None
    places: Tensor
    records: Tensor

    def labelled(self, view: str = "weak") -> Batch:
        """A new view of the labelled records, see `view`."""
        return self.view(self.labelled_records, view)

    def unlabelled(self, view: str) -> Batch:
        """A new view of the unlabelled records, see `view`."""
        assert self.unlabelled_records is not None, "this objective was given no unlabelled records"
        return self.view(self.unlabelled_records, view)

    def view(self, records: Batch, view: str) -> Batch:
        """A new view of any records: one of VIEWS; the plain one draws nothing."""
        if view == "plain":
            return self.modality.plain(records)
        assert view in VIEWS, view
        drawn: Batch = getattr(self.modality, view)(records, self.spec, self.rng)
        return drawn


@dataclass(frozen=True)
class Moment:
    """One step of a training, as an objective sees it.

    `network` is what learns; `average` holds its averaged weights, is in evaluation mode and is
    never given a gradient; `step` of `total` are done; `state` is what `Objective.state` gave;
    within `precision()` another module than the network computes as the network does.
    """

    network: Network
    average: Network
    draw: Draw
    task: Task
    step: int
    total: int
    state: Any = None
    precision: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def progress(self) -> float:
        """The share of the training that is done, in [0, 1)."""
        return self.step / self.total


class Objective(ABC):
    """A rule of a loss. Stateless, unless `state` gives it a module that the loop keeps.

    Its settings are the fields of a frozen dataclass, which a recipe may change by name.
    """

    #: Whether `loss` reads unlabelled records.
    unlabelled: bool = True

    @property
    def row(self) -> dict[str, str] | None:
        """Its choices in words, where it is composed of choices."""
        return None

    def head(self, problem: Problem, width: int) -> Head:
        """From features (batch, width) to outputs (batch, k); the task's, if it has no own."""
        return problem.label.head(width, problem.classes)

    def state(self, problem: Problem, network: Network) -> nn.Module | None:
        """What lives as long as the training: running thresholds, queues, a projection, a decoder.

        Parameters that take gradients are trained with the network's; buffers are the
        objective's to change within `loss`. All of it is in the checkpoint.
        """
        return None

    @abstractmethod
    def loss(self, now: Moment) -> Loss:
        """The loss of one step."""

    def finish(self, problem: Problem, network: Network) -> None:
        """Change the averaged network once, after the last step; most have nothing to change."""
        return


def joined(losses: Sequence[Loss]) -> Loss:
    """The loss of a step from those of its parts: means, and all that was taught."""
    if len(losses) == 1:
        return losses[0]
    first = losses[0]
    taught = [loss.taught for loss in losses if loss.taught is not None]
    return Loss(
        {n: torch.stack([loss.terms[n].detach() for loss in losses]).mean() for n in first.terms},
        {n: torch.stack([loss.figures[n] for loss in losses]).mean() for n in first.figures},
        PseudoLabels(
            *(torch.cat([getattr(one, f.name) for one in taught]) for f in fields(PseudoLabels))
        )
        if taught
        else None,
    )


def concatenate(*batches: Batch) -> Batch:
    """Several views as one batch, so that one pass through the network serves all.

    What records share is the same in all of them, and stays single.
    """
    return {
        name: first if name.startswith(SHARED) else torch.cat([batch[name] for batch in batches])
        for name, first in batches[0].items()
    }


def decay_of(decay: float, now: Moment) -> float:
    """The decay of a running mean, whose memory is a tenth of the training at most.

    The papers' decays belong to a million steps; in a thousand a memory of as many would end on
    the means of the beginning.
    """
    return min(decay, 1 - 10 / max(now.total, 20))
