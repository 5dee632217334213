"""VAT: the answer stays what it was under the small change that would move it most.

Miyato et al. 2018, "Virtual adversarial training", arXiv:1704.03976, eq. 5 to 8 and the power
iteration of section 3.3. The labelled records are left out of the smoothness term; the paper has
them in its mean, where few change nothing.

- The change is made to what has entered the network, so that it serves pictures, texts, rows and
  embeddings alike. Its length is `epsilon` times the root of the number of entries: `epsilon` is
  the root mean square of the change of an entry, and entries are standardised. The paper's
  lengths, 2 on MNIST and about 10 on CIFAR-10, are 0.2 to 0.6 in this unit.
- Rows of zeros are left alone: where no word is, none comes to life.
- The direction is sought without dropout and in full precision: with other units dropped out, or
  bits rounded off, the answers would differ where nothing was changed. `xi` is larger than the
  paper's 1e-6, which is lost in single precision.
- With `entropy` above zero, the conditional entropy of the answers is made small as well, the
  paper's VAT+EntMin; it hardens early mistakes where labels are very few.

Use it where good strong views are hard to come by, on plain pictures, embeddings and tables, with
some ten labels a class or more: it finds its own changes.

It fails on texts with few labels: a change of the n-gram components that moves the answer most is
soon one that no text would make, and the network ends on one class. Where strong views are good,
methods that use them do better with very few labels. Word vectors that are trained may grow to
escape a change of fixed length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.learn.choices.choice import within
from leaven.learn.choices.distances import Divergence
from leaven.learn.method import METHODS
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.still import still
from leaven.learn.train import LoopMethod

_distance = Divergence("weak")


@dataclass(frozen=True)
class VirtualAdversarial(Objective):
    """Supervised loss, plus smoothness along the direction in which the answer changes fastest.

        loss = mean_l CE(f(weak(x_l)), y_l)
             + weight · mean_u [KL(q_u ‖ f(x_u + r_u)) + entropy · H(f(x_u))]
        r_u  = epsilon · √n_u · g_u / |g_u|
        g_u  = ∇_r KL(q_u ‖ f̂(x_u + r)) at r = xi · √n_u · d_u

    with q_u = f̂(x_u), f̂ the network without dropout and with weights held still, n_u the number
    of entries that may change, and d_u a random direction of length 1, or g_u / |g_u| of the
    iteration before. x_u is what has entered of a weak view.
    """

    weight: float = 1.0
    epsilon: float = 0.3
    xi: float = 0.01
    iterations: int = 1
    entropy: float = 0.0

    def __post_init__(self) -> None:
        within("epsilon of vat", self.epsilon, 1e-6, 100)
        within("xi of vat", self.xi, 1e-6, 10)
        within("iterations of vat", self.iterations, 1, 100)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        entered = now.network.enter(concatenate(labelled, now.draw.unlabelled("weak")))
        first, others = entered[: len(targets)], entered[len(targets) :]
        with still(now) as network:
            still_there = others.detach()
            with torch.no_grad():
                guess = task.probabilities(network(still_there))
            change = self._change(network, still_there, guess, now.draw.rng)
        parts = [first, others + change, *([others] if self.entropy else [])]
        output = now.network(torch.cat(parts))
        supervised, moved, unmoved = output.tensor_split((len(first), len(first) + len(others)))
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": self.weight * _distance(moved, guess).mean(),
        }
        if self.entropy:
            entropy = -(unmoved.softmax(-1) * unmoved.log_softmax(-1)).sum(-1).mean()
            terms["entropy"] = self.weight * self.entropy * entropy
        answers = moved.detach().argmax(-1)
        taught = PseudoLabels(now.draw.records, guess, torch.ones_like(guess[:, 0]), answers)
        return Loss(terms, taught=taught)

    def _change(
        self, network: Network, entered: Tensor, guess: Tensor, rng: torch.Generator
    ) -> Tensor:
        """What is added to each record, of the shape of what has entered."""
        free = (entered != 0).any(-1, keepdim=True).expand_as(entered).to(entered.dtype)
        root = free.flatten(1).sum(1).sqrt().view(-1, *[1] * (entered.ndim - 1))
        direction = torch.randn(
            entered.shape, generator=rng, device=entered.device, dtype=entered.dtype
        )
        for _ in range(self.iterations):
            tried = (self.xi * root * _unit(free * direction)).requires_grad_()
            distance = _distance(network(entered + tried), guess).sum()
            (direction,) = torch.autograd.grad(distance, tried)
        return self.epsilon * root * _unit(free * direction)


def _unit(values: Tensor) -> Tensor:
    """Each record's values as one vector of length 1; zeros stay zeros."""
    return F.normalize(values.flatten(1), eps=1e-30).view_as(values)


METHODS.add(
    "vat",
    LoopMethod(
        name="vat",
        summary="the same answer under the small change that would move it most",
        paper="Miyato et al. 2018, arXiv:1704.03976",
        family="consistency",
        objective=VirtualAdversarial(),
    ),
)
