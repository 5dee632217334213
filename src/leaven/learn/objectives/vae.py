"""M2: a generative model of records and classes, whose guess of the class is the network.

Kingma et al. 2014, "Semi-supervised learning with deep generative models", arXiv:1406.5298,
section 3 and eq. 6 to 9: a record x is made of its class y and of a code z of what else varies. The
network that ships is q(y|x); q(z|x,y) and p(x|y,z) are trained beside it.

Choices. The likelihood is Gaussian for all modalities, of the entered record, with one learnt
variance for all entries: what networks enter is standardised and not between 0 and 1. q(z|x,y)
reads the network's features, without gradient: the paper's networks are separate too, and with a
gradient the encoder of images soon serves the pixels instead of the classes. The class enters the
decoder times √(size of z), or at first the noise of a wide z drowns it. Above `most` classes the
sum of eq. 7 runs over those the network finds likeliest, their probabilities normed. All bounds
are divided by the record's entries. The paper weighs the classification by a tenth of a record's
bound in nats, a `weight` of ten times the entries; a weight of one is far gentler. There is no
gradient into x, which is a weak view; of texts that are entered as sequences it is the mean word
vector.

Use it on tables and embeddings of which a class has one shape, where strong views are hard to
come by: it draws none.

It fails where the class explains little of a record, on images above all: the bound gains more by
place and stroke than by the right class, and pulls the guess to a wrong one. Time and memory grow
with unlabelled records times classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.choice import within
from leaven.learn.decoders import decoder, entered, whole
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["GenerativeModel", "VAE"]

_HIDDEN = 128
_LEAST_VARIANCE = -6.0  # its logarithm; entries that never vary would make the bound endless


@dataclass(frozen=True)
class VAE(Objective):
    """Supervised loss on labelled records, plus the bounds of the likelihood of all records.

        loss = mean_l CE(f(x_l), y_l) + weight · (mean_l L(x_l, y_l) + mean_u U(x_u)) / D
        L(x, y) = -log p(y) - E_q(z|x,y) log p(x|y,z) + KL(q(z|x,y) ‖ N(0, 1))
        U(x) = Σ_y q(y|x) (L(x, y) + log q(y|x))

    for records of D entries and even p(y); the expectation is one draw of z. `size` is that of z.
    """

    weight: float = 1.0
    size: int = 16
    most: int = 20

    def __post_init__(self) -> None:
        within("size of vae", self.size, 1, 4096)
        within("most of vae", self.most, 2, 4096)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """q(z|x,y) and p(x|y,z)."""
        shape = whole(entered(problem, network)).shape[1:]
        return GenerativeModel(network.encoder.width, problem.classes, self.size, tuple(shape))

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        seen = now.network.enter(concatenate(labelled, now.draw.unlabelled("weak")))
        both, features = now.network(seen, features=True)
        records, features, known = whole(seen).detach(), features.detach(), len(targets)
        output = both[known:]
        logits, named = output.topk(min(self.most, output.shape[-1]), dim=-1)
        log_q = logits.log_softmax(-1)  # (u, m)
        bound = now.state(records[:known], features[:known], targets[:, None])
        bounds = now.state(records[known:], features[known:], named)
        each = self.weight / records[0].numel()
        terms = {
            "supervised": task.loss(both[:known], targets).mean(),
            "likelihood": each * bound.mean(),
            "unlabelled": each * (log_q.exp() * (bounds + log_q)).sum(-1).mean(),
        }
        # Where the sum is least: what the generative model has to say of the class.
        judged = torch.zeros_like(output).scatter(1, named, (-bounds.detach()).softmax(-1))
        answers = output.detach().argmax(-1)
        taught = PseudoLabels(now.draw.records, judged, torch.ones_like(judged[:, 0]), answers)
        deviation = (now.state.log_variance.detach() / 2).exp()
        return Loss(terms, figures={"deviation": deviation}, taught=taught)


class GenerativeModel(nn.Module):
    """q(z|x,y), from features and classes, and p(x|y,z); together the negative bound."""

    def __init__(self, width: int, classes: int, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.classes, self.loud = classes, math.sqrt(size)
        self.features = nn.Linear(width, _HIDDEN)
        self.label = nn.Embedding(classes, _HIDDEN)
        self.posterior = nn.Linear(_HIDDEN, 2 * size)
        self.decode = decoder(size + classes, shape)
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, records: Tensor, features: Tensor, named: Tensor) -> Tensor:
        """L(x, y) in nats: (n, m) for records (n, …), features (n, width), classes (n, m)."""
        hidden = F.gelu(self.features(features)[:, None] + self.label(named))
        mean, log_scale = self.posterior(hidden).chunk(2, -1)  # (n, m, size) each
        z = mean + log_scale.exp() * torch.randn_like(mean)
        divergence = 0.5 * (mean.square() + (2 * log_scale).exp() - 1).sum(-1) - log_scale.sum(-1)
        label = self.loud * F.one_hot(named, self.classes).to(z.dtype)
        told = self.decode(torch.cat([z, label], -1).flatten(0, 1))
        apart = told.reshape(*named.shape, -1) - records.flatten(1)[:, None]
        log_variance = self.log_variance.clamp_min(_LEAST_VARIANCE)
        error = apart.square() / log_variance.exp() + log_variance + math.log(2 * math.pi)
        bound: Tensor = 0.5 * error.sum(-1) + divergence + math.log(self.classes)
        return bound


METHODS.add(
    "vae",
    LoopMethod(
        name="vae",
        summary="a generative model of records and classes (M2), summed over classes",
        paper="Kingma et al. 2014, arXiv:1406.5298",
        family="generative",
        objective=VAE(),
    ),
)
