"""CORAL: the outputs are to spread alike on labelled and on unlabelled records.

Sun & Saenko 2016, "Deep CORAL: Correlation alignment for deep domain adaptation",
arXiv:1607.01719, eq. 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import Ramp
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.method import METHODS
from leaven.learn.objective import Loss, Moment, Objective, concatenate
from leaven.learn.train import LoopMethod

__all__ = ["CORAL"]


@dataclass(frozen=True)
class CORAL(Objective):
    """Supervised loss, and the distance of two covariances.

        loss = mean_l CE(f(x_l), y_l) + weight · ramp(t) · ‖C_l - C_u‖²_F / (4 d²)

    with C_l, C_u the covariances (d, d) of the batch's labelled and unlabelled records.
    """

    weight: float = 100.0
    layer: str = "features"
    ramp: Ramp | None = None

    def __post_init__(self) -> None:
        if self.layer not in ("outputs", "features"):
            raise SettingError("layer of coral", "outputs or features", self.layer)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, targets = now.draw, now.draw.targets
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled = draw.labelled()
        if weight == 0:
            return Loss({"supervised": now.task.loss(now.network(labelled), targets).mean()})
        views = concatenate(labelled, draw.unlabelled("weak"))
        output, features = now.network(views, features=True)
        own = len(targets)
        seen = output if self.layer == "outputs" else features
        apart = _covariance(seen[:own]) - _covariance(seen[own:])
        distance = apart.square().sum() / (4 * seen.shape[1] ** 2)
        supervised = now.task.loss(output[:own], targets).mean()
        return Loss(
            {"supervised": supervised, "alignment": weight * distance},
            {"distance": distance.detach()},
        )


def _covariance(values: Tensor) -> Tensor:
    """(d, d) of (n, d), eq. 2 and 3."""
    centred = values - values.mean(0)
    return centred.T @ centred / max(len(values) - 1, 1)


METHODS.add(
    "coral",
    LoopMethod(
        name="coral",
        summary="outputs of labelled and unlabelled records get the same covariance",
        paper="Sun & Saenko 2016, arXiv:1607.01719",
        family="adaptation",
        objective=CORAL(),
    ),
)
