"""MixMatch: sharpened mean answers to several weak views, mixed with the labelled records.

Berthelot et al. 2019, arXiv:1905.02249, algorithm 1 and eq. 2 to 5: two weak views, temperature
0.5, MixUp with alpha 0.75 over labelled and unlabelled records together, squared difference,
linear ramp. The mixing is done in what has entered the network, so that texts and rows are mixed
as pictures are.

The paper's largest weight is 75, set by data set, after a ramp of 16,000 steps; ours is 10 after
0.4 of the training. In some hundred steps 75 draws a network that starts from nothing to one
answer for all. The paper's batches hold as many labelled as unlabelled records, ours what the
recipe says.

Use it where weak views are good and strong ones are not, and labels so few that mixing them keeps
the network from knowing them by heart.

It fails to learn from strong views: where those are good it is behind. It passes each unlabelled
record `views` times through the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.views.mixing import MixUp
from leaven.learn.choices.choice import Ramp, within
from leaven.learn.choices.distances import CrossEntropy, Squared
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.choices.targets import Sharpen
from leaven.learn.method import METHODS
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate
from leaven.learn.train import LoopMethod

_RAMP = LinearRamp(0.0, 0.4)


@dataclass(frozen=True)
class MixMatch(Objective):
    """Labelled records and sharpened guesses, mixed with one another.

        loss = mean_l CE(f(x'_l), p'_l) + weight · ramp(t) · mean_v mean_k (f(u'_v) - q'_v)²

    The guess q of a record is the mean answer to its `views` weak views, sharpened; v runs over
    all views. x', p', u', q' are the records and targets mixed with those of a random partner
    among all of both, by λ' = max(λ, 1 - λ), λ ~ Beta(alpha, alpha).
    """

    weight: float = 10.0
    views: int = 2
    temperature: float = 0.5
    alpha: float = 0.75
    ramp: Ramp | None = _RAMP

    def __post_init__(self) -> None:
        within("views of mixmatch", self.views, 1, 64)
        within("temperature of mixmatch", self.temperature, 0.01, 10)
        within("alpha of mixmatch", self.alpha, 0.01, 100)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        views = [now.draw.unlabelled("weak") for _ in range(self.views)]
        entered = now.network.enter(concatenate(labelled, *views))
        with torch.no_grad():
            said = task.probabilities(now.network(entered[len(targets) :]))
        guess = torch.stack(said.chunk(self.views)).mean(0)
        sharpened = Sharpen(self.temperature)(guess)
        given = task.shares(targets, guess.shape[-1]).to(guess.dtype)
        target = torch.cat([given, sharpened.repeat(self.views, 1)])
        mixing = MixUp(self.alpha, keep=True)
        mix = mixing.draw(entered, now.draw.rng)
        output = now.network(mixing.apply(entered, mix))
        mixed = mixing.blend(target, mix)
        first = len(targets)
        terms = {
            "supervised": CrossEntropy()(output[:first], mixed[:first]).mean(),
            "unlabelled": weight * Squared()(output[first:], mixed[first:]).mean(),
        }
        # Of each mixture the larger part is the record itself.
        answers = output[first : first + len(guess)].detach().argmax(-1)
        taught = PseudoLabels(now.draw.records, guess, torch.ones_like(guess[:, 0]), answers)
        return Loss(terms, taught=taught)


METHODS.add(
    "mixmatch",
    LoopMethod(
        name="mixmatch",
        summary="sharpened guesses, mixed with the labelled records",
        paper="Berthelot et al. 2019, arXiv:1905.02249",
        family="holistic",
        objective=MixMatch(),
    ),
)
