"""DANN: features from which nobody can tell labelled from unlabelled records.

Ganin et al. 2016, "Domain-adversarial training of neural networks", arXiv:1505.07818, eq. 9 to 15
and section 5.2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from leaven.core.errors import SettingError
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["DANN"]


@dataclass(frozen=True)
class DANN(Objective):
    """Supervised loss, and a domain classifier whose gradient is turned round."""

    weight: float = 1.0
    layer: str = "features"
    hidden: int = 100
    steepness: float = 10.0

    def __post_init__(self) -> None:
        if self.layer not in ("outputs", "features"):
            raise SettingError("layer of dann", "outputs or features", self.layer)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The domain classifier."""
        width = problem.classes if self.layer == "outputs" else network.encoder.width
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, targets = now.draw, now.draw.targets
        labelled = draw.labelled()
        if self.weight == 0:
            return Loss({"supervised": now.task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("weak"))
        output, features = now.network(views, features=True)
        own = len(targets)
        seen = output if self.layer == "outputs" else features
        strength = 2 / (1 + math.exp(-self.steepness * now.progress)) - 1
        sup = now.task.loss(output[:own], targets).mean()
        leaf = seen.detach().requires_grad_()
        source = torch.arange(len(seen), device=seen.device) < own
        each = F.binary_cross_entropy_with_logits(now.state(leaf).squeeze(-1), source.to(seen.dtype), reduction="none")
        dom = each[:own].mean() + each[own:].mean()
        gd = torch.autograd.grad(dom, leaf)[0].norm()
        gs = torch.autograd.grad(sup, features, retain_graph=True)[0].norm()
        ratio = gs / gd.clamp_min(1e-12)
        strength = self.weight * strength * ratio.clamp(max=1e4)
        reversed_ = seen.detach() - strength * (seen - seen.detach())
        said = now.state(reversed_).squeeze(-1)
        each = F.binary_cross_entropy_with_logits(said, source.to(said.dtype), reduction="none")
        domain = each[:own].mean() + each[own:].mean()
        right = (said.detach() > 0) == source
        right = 0.5 * (right[:own].float().mean() + right[own:].float().mean())
        return Loss(
            {
                "supervised": now.task.loss(output[:own], targets).mean(),
                "domain": domain,
            },
            {"told apart": right},
        )


METHODS.add(
    "dann",
    LoopMethod(
        name="dann",
        summary="features that do not tell labelled from unlabelled records",
        paper="Ganin et al. 2016, arXiv:1505.07818",
        family="adaptation",
        objective=DANN(),
    ),
)
