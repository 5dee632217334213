"""The engine of the joint embeddings: SimCLR, BYOL, SwAV and others are rows of its choices."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from leaven.data.arrays import SHARED, Batch
from leaven.learn.choices.agreements import NTXent
from leaven.learn.choices.branches import Same
from leaven.learn.choices.compose import in_words
from leaven.learn.choices.joint import Agreement, Branch, Projected, Projection, Views
from leaven.learn.choices.projections import Perceptron
from leaven.learn.choices.views import Pair
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, concatenate
from leaven.learn.pretext import PretextObjective

__all__ = ["JointEmbedding"]


@dataclass(frozen=True)
class JointEmbedding(PretextObjective):
    """Projections of different views of a record are to agree.

    z_v = projector(encoder(view_v(x)))      p_v = predictor(z_v), or z_v without one
    t_v = branch(view_v(x))                  for the whole views
    loss = agreement(p, t)
    """

    views: Views = field(default_factory=Pair)
    projector: Projection = field(default_factory=Perceptron)
    predictor: Projection | None = None
    branch: Branch = field(default_factory=Same)
    agreement: Agreement = field(default_factory=NTXent)

    @property
    def row(self) -> dict[str, str] | None:
        """The choices in words, for tables."""
        return {f.name: in_words(getattr(self, f.name)) for f in fields(self)}

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """Projector, predictor, and what branch and agreement keep."""
        projector = self.projector.build(network.encoder.width)
        width = self.projector.outputs
        kept: dict[str, nn.Module | None] = {
            "projector": projector,
            "predictor": None if self.predictor is None else self.predictor.build(width),
            "branch": self.branch.build(network, projector),
            "agreement": self.agreement.build(problem, width),
        }
        return nn.ModuleDict({name: module for name, module in kept.items() if module is not None})

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        views = self.views(now.draw)
        with now.precision():
            projected = now.state["projector"](_features(now, views)).float()
            u = len(projected) // len(views)
            whole = self.views.whole
            target = self.branch(
                views[:whole], projected[: whole * u].split(u), now, _kept(now, "branch")
            )
            online = projected
            if self.predictor is not None:
                online = now.state["predictor"](projected).float()
        seen = Projected(list(online.split(u)), target)
        loss = self.agreement(seen, now, _kept(now, "agreement"))
        return replace(loss, figures=loss.figures | {"spread": _spread(projected[:u].detach())})


def _features(now: Moment, views: list[Batch]) -> Tensor:
    """(views · u, width) in the order of the views; those of one shape go through in one pass."""
    groups: dict[tuple[torch.Size, ...], list[int]] = {}
    for number, view in enumerate(views):
        shape = tuple(t.shape for name, t in sorted(view.items()) if not name.startswith(SHARED))
        groups.setdefault(shape, []).append(number)
    found: dict[int, Tensor] = {}
    for numbers in groups.values():
        features = now.network(concatenate(*[views[number] for number in numbers]))
        found |= zip(numbers, features.chunk(len(numbers)), strict=True)
    return torch.cat([found[number] for number in range(len(views))])


def _spread(projections: Tensor) -> Tensor:
    """√d times the mean deviation of the normalised projections: 1 where they fill the sphere.

    0 where all records are projected to one point (Chen & He 2021, SimSiam, section 4.1).
    """
    normed = nn.functional.normalize(projections, dim=-1)
    spread: Tensor = normed.std(0).mean() * projections.shape[1] ** 0.5
    return spread


def _kept(now: Moment, part: str) -> Any:
    """The state of one choice, None where it has none."""
    parts = dict(now.state.items())
    return parts.get(part)
