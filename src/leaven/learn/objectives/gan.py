"""Semi-supervised GAN: the classifier also tells real records from generated ones.

Salimans et al. 2016, "Improved techniques for training GANs", arXiv:1606.03498, section 5, with
the feature matching of section 3.1 for the generator. The k logits are those of the classes
against a fixed logit 0 for "generated", so the network that ships has no output more:
D(x) = Z(x) / (Z(x) + 1), Z the sum of exp of the logits.

Choices. Both learn in the same step, on the same generated records, not in turn. The generator
makes what the network enters: standardised pixels, scores, embeddings, word vectors. The features
that are matched are those the head is given, in our vector encoders the entered record among them.
The weight of one half is that of the authors' code. The paper's batch discrimination and
normalisations belong to an encoder of their own and are left out.

Use it on tables and embeddings with very few labels, beside a row that rests on views: it needs
none, and pushes the boundary between the classes to where no records lie.

It fails where the generator is too good: what it makes lies among the real records, and the
logits are lowered where they should be sure, not between the classes (Dai et al. 2017,
arXiv:1705.09783, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from leaven.learn.choices.choice import within
from leaven.learn.decoders import decoder, entered, fit_length
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["GAN"]


@dataclass(frozen=True)
class GAN(Objective):
    """Supervised loss on labelled records, plus real against generated, plus the generator's own.

        loss = mean_l CE(f(x_l), y_l)
             - weight · (mean_u log D(x_u) + mean_u log(1 - D(G(z_u))))
             + ‖mean_u h(x_u) - mean_u h(G(z_u))‖² / width

    where h are the features, of that width, and z is normal, of `size` numbers. The last term
    moves the generator alone, the second moves the network alone.
    """

    weight: float = 0.5
    size: int = 64

    def __post_init__(self) -> None:
        within("size of gan", self.size, 1, 4096)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The generator."""
        return decoder(self.size, tuple(entered(problem, network).shape[1:]))

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        seen = now.network.enter(concatenate(labelled, now.draw.unlabelled("weak")))
        parts = [len(targets), len(seen) - len(targets), len(seen) - len(targets)]
        made = now.state(torch.randn(parts[2], self.size, device=seen.device, dtype=seen.dtype))
        if made.ndim == 3:
            made = fit_length(made, seen.shape[1])
        both, features = now.network(torch.cat([seen, made.detach()]), features=True)
        known, real, false = both.split(parts)
        with _held(now.network):
            _, reached = now.network(made, features=True)
        wanted = features.detach().split(parts)[1].mean(0)
        # log D = -softplus(-log Z) and log(1 - D) = -softplus(log Z)
        real, false = real.logsumexp(-1), false.logsumexp(-1)
        told = F.softplus(-real).mean() + F.softplus(false).mean()
        return Loss(
            {
                "supervised": task.loss(known, targets).mean(),
                "unlabelled": self.weight * told,
                "generator": (wanted - reached.mean(0)).square().mean(),
            },
            figures={
                "real": real.detach().sigmoid().mean(),
                "generated": false.detach().sigmoid().mean(),
            },
        )


@contextmanager
def _held(network: nn.Module) -> Iterator[None]:
    """What is computed within gives no gradient to the network's parameters, only through them."""
    learning = [p for p in network.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


METHODS.add(
    "gan",
    LoopMethod(
        name="gan",
        summary="the classifier tells generated records from real ones",
        paper="Salimans et al. 2016, arXiv:1606.03498",
        family="generative",
        objective=GAN(),
    ),
)
