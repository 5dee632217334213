"""CORAL: features are to vary together in the same way on labelled and on unlabelled records.

Sun & Saenko 2016, "Deep CORAL: Correlation alignment for deep domain adaptation",
arXiv:1607.01719, eq. 1 to 3 and section 3.2.

- The paper aligns the outputs, and allows any layer; ours aligns the features. Few outputs can be
  given equal covariances by making those of one side larger, which teaches nothing; that was seen
  where the two sides differ in scale.
- The paper sets the weight for each pair of domains, such that in the end both terms are about
  equal. As eq. 1 divides by d², of features that is some tens.
- There is no ramp in the paper, and none by default.

Use it where the records to be predicted come from another instrument, place or time than the
labelled ones, and there are tens of labels a class.

It fails where the domains differ in their means alone, which a covariance does not see, and where
classes are not equally frequent in both: what it then makes equal should differ. A covariance of
many features is known badly from a small batch: use larger ones for wide encoders.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from leaven.learn.choices.choice import Ramp, within
from leaven.learn.method import METHODS
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["CORAL"]


@dataclass(frozen=True)
class CORAL(Objective):
    """Supervised loss, and the distance of two covariances.

        loss = mean_l CE(f(x_l), y_l) + weight · ramp(t) · ‖C_l - C_u‖²_F / (4 d²)

    with C_l, C_u the covariances (d, d) of the d features over the labelled and the unlabelled
    records of the step, in weak views.
    """

    weight: float = 30.0
    ramp: Ramp | None = None

    def __post_init__(self) -> None:
        within("weight of coral", self.weight, 0, 1e6)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, task, targets = now.draw, now.task, now.draw.targets
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled = draw.labelled()
        if weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("weak"))
        output, features = now.network(views, features=True)
        own = len(targets)
        apart = _covariance(features[:own]) - _covariance(features[own:])
        distance = apart.square().sum() / (4 * features.shape[1] ** 2)
        terms = {
            "supervised": task.loss(output[:own], targets).mean(),
            "alignment": weight * distance,
        }
        return Loss(terms, {"distance": distance.detach()})


def _covariance(values: Tensor) -> Tensor:
    """(d, d) of (n, d), eq. 2 and 3; zeros of a single record."""
    centred = values - values.mean(0)
    return centred.T @ centred / max(len(values) - 1, 1)


METHODS.add(
    "coral",
    LoopMethod(
        name="coral",
        summary="features of labelled and unlabelled records get the same covariance",
        paper="Sun & Saenko 2016, arXiv:1607.01719",
        family="adaptation",
        objective=CORAL(),
    ),
)
