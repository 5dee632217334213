"""SimMatch: a strong view is to resemble the classes and the labelled records that a weak one does.

Zheng et al. 2022, "SimMatch: Semi-supervised learning with similarity matching",
arXiv:2203.06915, section 3. The teacher is the averaged network, as in the paper's larger
experiments; its projection is an average of its own. Labelled records that have not been in a
batch yet are left out of the similarities, where the authors begin with random vectors and wait;
those of this batch are in the memory before it is asked. The classes' shares are aligned to those
of the labels, over 32 steps.

Use it when some tens of labels a class show what a class can look like, and features lie near each
other for good reason: labelled records then correct the classifier's guesses.

It fails to gain over FixMatch with one label a class, for the instances then say what the classes
say. Wrong labels, and near records of different classes, mislead it twice: as labels and as
neighbours.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaven.data.arrays import Batch
from leaven.learn.choices.align import ToPrior
from leaven.learn.choices.choice import Seen, within
from leaven.learn.memory import LabelledMemory, Projection
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objective import (
    Loss,
    Moment,
    Objective,
    PseudoLabels,
    concatenate,
    decay_of,
)
from leaven.learn.train import LoopMethod

__all__ = ["SimMatch"]

_ALIGNED = 32  # steps over which the mean guess is taken


@dataclass(frozen=True)
class SimMatch(Objective):
    """Supervised loss, FixMatch with guesses that the labelled records correct, and instances.

        p = the teacher's aligned answer to the weak view, z = projected features, unit vectors
        q_i ∝ exp(z_weak·z_i / temperature) over the labelled records i      (eq. 5, teacher)
        r_i ∝ exp(z_strong·z_i / temperature)                                (eq. 6, student)
        p̂ = smooth · p + (1 - smooth) · Σ_i q_i onehot(y_i)                  (eq. 11 and 12)
        q̂_i ∝ q_i · p[y_i]                                                   (eq. 8 to 10)
        loss = mean_l CE + weight · mean_u 1(max p̂ ≥ threshold) · CE(f(strong), p̂)
             + weight · instance · mean_u H(q̂, r)                            (eq. 7, 13 and 14)

    z_i is the teacher's vector of the labelled record's last weak view.
    """

    weight: float = 1.0
    instance: float = 1.0
    threshold: float = 0.95
    smooth: float = 0.9
    temperature: float = 0.1
    decay: float = 0.999
    size: int = 128

    def __post_init__(self) -> None:
        within("threshold of simmatch", self.threshold, 0, 1)
        within("smooth of simmatch", self.smooth, 0, 1)
        within("temperature of simmatch", self.temperature, 0.01, 10)
        within("decay of simmatch", self.decay, 0, 0.99999)
        within("size of simmatch", self.size, 2, 4096)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """`projection` and its `average`, `memory`, and the mean guesses of `align`."""
        projection = Projection(network.encoder.width, self.size)
        return nn.ModuleDict(
            {
                "projection": projection,
                "average": copy.deepcopy(projection).requires_grad_(False),
                "memory": LabelledMemory(problem, self.size),
                "align": ToPrior(_ALIGNED).state(problem, network),
            }
        )

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, task, targets, memory = now.draw, now.task, now.draw.targets, now.state["memory"]
        labelled = draw.labelled()
        if self.weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("strong"))
        both, features = now.network(views, features=True)
        supervised, output = both[: len(targets)], both[len(targets) :]
        projected = now.state["projection"](features[len(targets) :])
        guess, instances = self._teach(now, labelled, both.detach(), features.detach())
        accepted = (guess.max(-1).values >= self.threshold).to(guess.dtype)
        distance = -(guess * output.log_softmax(-1)).sum(-1)
        apart = -(instances * memory.similarity(projected, self.temperature)).sum(-1)
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": self.weight * (accepted * distance).mean(),
            "instance": self.weight * self.instance * apart.mean(),
        }
        taught = PseudoLabels(draw.records, guess, accepted, output.detach().argmax(-1))
        return Loss(terms, taught=taught)

    @torch.no_grad()
    def _teach(
        self, now: Moment, labelled: Batch, both: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(u, k) p̂ and (u, labelled) q̂, after the labelled vectors were put into the memory."""
        own, state, task = len(now.draw.targets), now.state, now.task
        kept = zip(state["average"].parameters(), state["projection"].parameters(), strict=True)
        for average, weights in kept:
            average.lerp_(weights, 1 - decay_of(self.decay, now))
        views = concatenate(labelled, now.draw.unlabelled("weak"))
        answers, seen_by = now.average(views, features=True)
        keys = state["average"](seen_by)
        state["memory"].write(now.draw.places, keys[:own])
        guess = task.probabilities(answers[own:])
        said = task.probabilities(both[:own])
        seen = Seen(now, guess, said, both[own:], seen_by[own:], features[:own])
        guess = ToPrior(_ALIGNED)(seen, state["align"])
        labels = state["memory"].labels.to(guess.dtype)
        near = state["memory"].similarity(keys[own:], self.temperature).exp()
        unfolded = near * (guess @ labels.T)
        unfolded = unfolded / unfolded.sum(-1, keepdim=True).clamp_min(1e-12)
        return self.smooth * guess + (1 - self.smooth) * near @ labels, unfolded


METHODS.add(
    "simmatch",
    LoopMethod(
        name="simmatch",
        summary="agreement on classes, and on which labelled records a record resembles",
        paper="Zheng et al. 2022, arXiv:2203.06915",
        family="contrast",
        objective=SimMatch(),
    ),
)
