"""The supervised counterpart of the wrappers: a learner on the labelled records alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leaven.learn.choices.compose import composed
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head, LinearHead
from leaven.learn.learner import LEARNERS, UNSEEN
from leaven.learn.method import Step

__all__ = ["LearnerMethod", "only"]


@dataclass(frozen=True)
class LearnerMethod(ClassicMethod):
    """The learner of the method's name, fitted once; its settings are the method's fields."""

    paper = "–"
    family = "supervised"
    unlabelled = False

    def check(self, settings: Mapping[str, Any]) -> None:
        """As others, and that the learner can follow them."""
        composed(LEARNERS[self.name], asdict(composed(self, settings)))

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """One step."""
        yield Step(1, 1)
        width = known.features.shape[1]
        present = np.unique(known.targets)
        if len(present) == 1:
            return only(int(present[0]), width, known.classes)
        learner = composed(LEARNERS[self.name], asdict(self))
        fitted = learner.estimator(known.seed).fit(known.features, known.targets, known.weights)
        return learner.head(fitted, width, known.classes)


def only(place: int, width: int, classes: int) -> LinearHead:
    """A head that always names one class."""
    head = LinearHead(width, classes).requires_grad_(False)
    head.weight.zero_()
    head.bias.fill_(UNSEEN)
    head.bias[place] = 0.0
    return head
