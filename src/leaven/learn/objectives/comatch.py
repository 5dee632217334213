"""CoMatch: guesses smoothed by a memory teach, and their graph says which records lie near.

Li, Xiong & Hoi 2021, "CoMatch: Semi-supervised learning with contrastive graph regularization",
arXiv:2011.11183, section 3. Settings are the paper's for CIFAR-10. Where the authors' code and
the paper differ we keep to the paper: in the embedding graph a record's neighbours are compared
within one strong view, and only the record with itself across two. The classes' shares are
aligned to those of the labels, not to even ones. The memory serves from its first record on.

Use it when classes form groups that an encoder can tell apart before the classifier can, labels
are very few, and a step holds several unlabelled records of a class.

It fails where near records are often of different classes, for the memory then spreads wrong
guesses. With many more classes than unlabelled records a step the graph has no edges, and its term
is plain instance discrimination, which drives records of one class apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.learn.choices.align import ToPrior
from leaven.learn.choices.choice import Seen, within
from leaven.learn.memory import Projection, Queue
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["CoMatch"]

_ALIGNED = 32  # steps over which the mean guess is taken, as the authors do


@dataclass(frozen=True)
class CoMatch(Objective):
    """Supervised loss, FixMatch with smoothed soft guesses, and a contrast of two graphs.

        p = aligned answers to weak views, z = projected features, unit vectors
        q_b = smooth · p_b + (1 - smooth) · Σ_k a_bk p_k,  a_bk ∝ exp(z_b·z_k / temperature)
        loss = mean_l CE + weight · mean_b 1(max q_b ≥ threshold) · CE(f(strong_b), q_b)
             + weight · contrast · mean_b H(Ŵq_b, Ŵz_b)

    with k over the records in memory, and the rows of two graphs over the batch, each normed to
    one: Wq is 1 for a record with itself, q_b·q_j where that reaches `edge`, else 0; Wz is
    exp(z_b·z'_b / temperature) of the two strong views of a record with itself,
    exp(z_b·z_j / temperature) with others. The memory holds the weak views of the last
    `batches` steps: unlabelled records with p, labelled ones with their labels.
    """

    weight: float = 1.0
    contrast: float = 1.0
    threshold: float = 0.95
    smooth: float = 0.9
    edge: float = 0.8
    temperature: float = 0.2
    batches: int = 5
    size: int = 64

    def __post_init__(self) -> None:
        within("threshold of comatch", self.threshold, 0, 1)
        within("smooth of comatch", self.smooth, 0, 1)
        within("edge of comatch", self.edge, 0, 1)
        within("temperature of comatch", self.temperature, 0.01, 10)
        within("batches of comatch", self.batches, 1, 1000)
        within("size of comatch", self.size, 2, 4096)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`projection`, `queue`, and the mean guesses of `align`."""
        training = problem.training
        places = self.batches * training.labelled_batch * (1 + training.unlabelled_ratio)
        return nn.ModuleDict(
            {
                "projection": Projection(network.encoder.width, self.size),
                "queue": Queue(places, self.size, problem.classes),
                "align": ToPrior(_ALIGNED).state(problem, network),
            }
        )

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, task, targets = now.draw, now.task, now.draw.targets
        labelled = draw.labelled()
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("strong"), draw.unlabelled("strong"))
        both, features = now.network(views, features=True)
        own, projected = len(targets), now.state["projection"](features)
        supervised, output = both[:own], both[own:].chunk(2)[0]
        one, other = projected[own:].chunk(2)
        guess = self._guess(now, both.detach(), features.detach(), projected.detach())
        accepted = (guess.max(-1).values >= self.threshold).to(guess.dtype)
        distance = -(guess * output.log_softmax(-1)).sum(-1)
        graph = _guess_graph(guess, self.edge)
        apart = -(graph * _log_embedding_graph(one, other, self.temperature)).sum(-1)
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": self.weight * (accepted * distance).mean(),
            "contrast": self.weight * self.contrast * apart.mean(),
        }
        taught = PseudoLabels(draw.records, guess, accepted, output.detach().argmax(-1))
        neighbours = (graph > 0).to(guess.dtype).sum(-1).mean() - 1
        return Loss(terms, {"neighbours": neighbours}, taught)

    @torch.no_grad()
    def _guess(self, now: Moment, both: Tensor, features: Tensor, projected: Tensor) -> Tensor:
        """(u, k) smoothed guesses; what they were made of is then in the memory."""
        targets, task, queue = now.draw.targets, now.task, now.state["queue"]
        own = len(targets)
        answers, seen_by = now.network(now.draw.unlabelled("weak"), features=True)
        keys = now.state["projection"](seen_by)
        guess, said = task.probabilities(answers), task.probabilities(both[:own])
        seen = Seen(now, guess, said, both[own:].chunk(2)[0], seen_by, features[:own])
        guess = ToPrior(_ALIGNED)(seen, now.state["align"])
        smooth = torch.where(queue.pushed > 0, self.smooth, 1.0)
        smoothed: Tensor = smooth * guess + (1 - smooth) * queue.recall(keys, self.temperature)
        labels = F.one_hot(targets, guess.shape[-1]).to(guess.dtype)
        queue.push(torch.cat([keys, projected[:own]]), torch.cat([guess, labels]))
        return smoothed


def _guess_graph(guess: Tensor, edge: float) -> Tensor:
    """(u, u) of row sum 1: how far two guesses name the same class, where that reaches `edge`."""
    graph = guess @ guess.T
    graph = torch.where(graph >= edge, graph, 0)
    graph.fill_diagonal_(1)
    return graph / graph.sum(-1, keepdim=True)


def _log_embedding_graph(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """(u, u) logarithms of rows of sum 1: nearness of a view to its twin and to the others."""
    near = torch.diagonal_scatter(one @ one.T, (one * other).sum(-1))
    return (near / temperature).log_softmax(-1)


METHODS.add(
    "comatch",
    LoopMethod(
        name="comatch",
        summary="guesses smoothed by a memory, and a contrast of their graph with the features'",
        paper="Li et al. 2021, arXiv:2011.11183",
        family="contrast",
        objective=CoMatch(),
    ),
)
