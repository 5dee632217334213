"""ICT: of a mixture of two records the answer is the mixture of their answers.

Verma et al. 2019, arXiv:1903.03825, section 2 and algorithm 1: the averaged network answers to
two unlabelled records, and the student learns the mixture of the answers on the mixture of the
records; squared difference, sigmoid-shaped ramp-up. Each record has a share of its own, where the
paper draws one a batch. The paper sets `alpha`, from 0.1 to 1, and a weight of up to 100 by data
set. Ours are 0.2 and 10: even mixtures of records far apart teach, while the guesses are young,
that everything is uncertain. With more steps, and for pictures, try an `alpha` of 1.

With `mixing = "cutmix"` a box of one picture is put into the other, or a span of one text, as
French et al. 2020 do for segmentation (arXiv:1906.01916).

Use it on embeddings and tables whose classes are round heaps, where views are hard to come by.

It fails where a mixture of two records is unlike any record, and gains little in few steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.core.errors import UnknownNameError
from leaven.data.views.mixing import CutMix, Mixing, MixUp
from leaven.learn.choices.choice import Ramp, within
from leaven.learn.choices.distances import Squared
from leaven.learn.choices.ramps import ExponentialRamp
from leaven.learn.method import METHODS
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.train import LoopMethod

_MIXINGS = ("cutmix", "mixup")
_RAMP = ExponentialRamp(0.4)


@dataclass(frozen=True)
class Interpolation(Objective):
    """Supervised loss, plus linear answers between unlabelled records.

        loss = mean_l CE(f(weak(x_l)), y_l)
             + weight · ramp(t) · mean_u mean_k (f(mix(x_u, x_v)) - mix(q_u, q_v))²

    with q the averaged network's probabilities on the same weak views, v the partner of u, and
    λ ~ Beta(alpha, alpha) the share of both mixtures.
    """

    weight: float = 10.0
    alpha: float = 0.2
    mixing: str = "mixup"
    ramp: Ramp | None = _RAMP

    def __post_init__(self) -> None:
        within("alpha of ict", self.alpha, 0.01, 100)
        if self.mixing not in _MIXINGS:
            raise UnknownNameError("mixing of ict", self.mixing, _MIXINGS)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        unlabelled = now.draw.unlabelled("weak")
        with torch.no_grad():
            guess = task.probabilities(now.average(unlabelled))
        entered = now.network.enter(concatenate(labelled, unlabelled))
        first, others = entered[: len(targets)], entered[len(targets) :]
        mixing = self._mixing()
        mix = mixing.draw(others, now.draw.rng)
        output = now.network(torch.cat([first, mixing.apply(others, mix)]))
        supervised, mixed = output[: len(first)], output[len(first) :]
        target = mixing.blend(guess, mix)
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": weight * Squared()(mixed, target).mean(),
        }
        answers = mixed.detach().argmax(-1)
        taught = PseudoLabels(now.draw.records, guess, torch.ones_like(guess[:, 0]), answers)
        return Loss(terms, taught=taught)

    def _mixing(self) -> Mixing:
        # With `keep` the mixtures are distributed as without, since a mixture has no first record,
        # and the larger part of each is the record whose answer the log takes it for.
        return CutMix(self.alpha) if self.mixing == "cutmix" else MixUp(self.alpha, keep=True)


METHODS.add(
    "ict",
    LoopMethod(
        name="ict",
        summary="mixtures of records are answered by mixtures of answers",
        paper="Verma et al. 2019, arXiv:1903.03825",
        family="consistency",
        objective=Interpolation(),
    ),
)
