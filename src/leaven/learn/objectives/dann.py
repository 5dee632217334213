"""DANN: features from which nobody can tell labelled from unlabelled records.

Ganin et al. 2016, "Domain-adversarial training of neural networks", arXiv:1505.07818, eq. 9 to 15
and section 5.2.2: a domain classifier of one hidden layer learns to tell the two apart, and its
gradient reaches the features turned round, with a strength that grows over the training.

The paper's full strength belongs to many thousand steps of plain gradient descent. AdamW gives
small gradients the same step as large ones, and at that strength a convolutional network ended at
chance within some hundred steps: `weight` is 0.03. Networks whose features hold the record itself
beside what they learn (the multilayer perceptrons) take ten times as much, and gain less: their
domain classifier needs no more than the record.

Use it where the records to be predicted come from another instrument, place or time than the
labelled ones, on pictures first of all, with thousands of steps; watch `told apart`, which should
be near a half in the end and not below it.

It fails where classes are not equally frequent in both domains, for then features that tell
nothing of the domain tell less of the class. It does not ask that classes meet their own kind:
where the domains are far apart, it may lay one upon another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from leaven.learn.choices.choice import within
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["DANN"]


@dataclass(frozen=True)
class DANN(Objective):
    """Supervised loss, and a domain classifier whose gradient is turned round.

        loss = mean_l CE(f(x_l), y_l)
             + weight · { mean_l CE(d(r(g_l)), 0) + mean_u CE(d(r(g_u)), 1) }
        r(g) = g,  dr/dg = -(2 / (1 + exp(-steepness · t)) - 1)

    g are the features in weak views, d the domain classifier of `hidden` units, t in [0, 1) the
    share of the training that is done.
    """

    weight: float = 0.03
    steepness: float = 10.0
    hidden: int = 100

    def __post_init__(self) -> None:
        within("weight of dann", self.weight, 0, 1e6)
        within("steepness of dann", self.steepness, 0.01, 1000)
        within("hidden of dann", self.hidden, 1, 100_000)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The domain classifier, from features to one logit of being unlabelled."""
        width = network.encoder.width
        return nn.Sequential(nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1))

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, task, targets = now.draw, now.task, now.draw.targets
        labelled = draw.labelled()
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("weak"))
        output, features = now.network(views, features=True)
        own, still = len(targets), features.detach()
        strength = 2 / (1 + math.exp(-self.steepness * now.progress)) - 1
        # As large as the features, with their gradient times -strength.
        turned = still - strength * (features - still)
        said = now.state(turned).squeeze(-1)
        unlabelled = torch.arange(len(said), device=said.device) >= own
        domain = unlabelled.to(said.dtype)
        each = F.binary_cross_entropy_with_logits(said, domain, reduction="none")
        terms = {
            "supervised": task.loss(output[:own], targets).mean(),
            "domain": self.weight * (each[:own].mean() + each[own:].mean()),
        }
        right = ((said.detach() > 0) == unlabelled).to(said.dtype)
        return Loss(terms, {"told apart": (right[:own].mean() + right[own:].mean()) / 2})


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
