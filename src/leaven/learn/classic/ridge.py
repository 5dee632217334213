"""Ridge regression on the classes: the usual classifier on random convolutions of series.

Least squares on targets of 1 and -1 with a penalty that leaving records out chooses (Golub, Heath &
Wahba 1979, Technometrics 21). MiniRocket's authors put it behind their features (Dempster et al.
2021, section 3.3).

Use it where features are many and none of them says much alone: on `rocket` features of series.

It fails where classes are of very unlike size: its squared error is content to name the large ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.learner_method import LearnerMethod
from leaven.learn.method import METHODS

__all__ = ["RidgeMethod"]


@dataclass(frozen=True)
class RidgeMethod(LearnerMethod):
    """It has no settings: leaving records out chooses them."""

    name = baseline = "ridge"
    summary = "least squares on the classes, on frozen features"
    reads_names = True


METHODS.add("ridge", RidgeMethod())
