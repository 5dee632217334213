"""Logistic regression on frozen features: the baseline of the classic methods.

Use it as the control of the classic methods, or alone where a pretrained encoder makes the
classes linearly separable.

It fails where they are not, and with a label or two a class its direction is that of these few.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.learner_method import LearnerMethod
from leaven.learn.learners.logistic import Logistic
from leaven.learn.method import METHODS

__all__ = ["LogisticMethod"]


@dataclass(frozen=True)
class LogisticMethod(LearnerMethod):
    """The settings of the learner."""

    strength: float = Logistic.strength

    name = baseline = "logistic"
    summary = "linear model of labelled records on frozen features"
    reads_names = True


METHODS.add("logistic", LogisticMethod())
