"""Logistic regression on labelled records and on what rules say of the others.

A label model turns the rules' votes into soft labels p(y | votes), and the expected loss under
them is minimised beside that of the given labels (Ratner, De Sa, Wu, Selsam & Ré 2016, "Data
Programming", section 4):

    sum over labelled  loss(x, y)  +  weight * sum over voted  sum over y  p(y | votes) loss(x, y)

Rules are weighed by how often they are right on the labelled records that this fit may see, so
a record that judges the fit has not judged the rules; without such a record, by how they agree.

Use it where people can say in a line what they would else label five thousand times.

It fails where rules agree because they are copies of each other, and where they cover only the
records that are easy: what they never vote on, it has to guess. Rules that are hardly righter than
a model of the labelled records make it worse; in a blend the records left out show that.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.label_models import SoftLabels, data_programming, weighted
from leaven.learn.learner_method import only
from leaven.learn.learners.logistic import Logistic
from leaven.learn.method import METHODS, Step
from leaven.learn.objective import PseudoLabels
from leaven.learn.out_of_fold import answers
from leaven.learn.predictions import Floats, Ints
from leaven.learn.temperature import apply

__all__ = ["WeakLabels"]

_LEAST = 0.02  # a class that is less likely takes no part in a record's expected loss


@dataclass(frozen=True)
class WeakLabels(ClassicMethod):
    """`strength` is the inverse of the penalty, `weight` what a soft label counts beside a given
    one."""

    strength: float = Logistic.strength
    weight: float = 1.0

    name = "weak-labels"
    summary = "linear model of labelled records and of what rules say of the others"
    paper = "Ratner et al. 2016, arXiv:1605.07723"
    family = "rules"
    unlabelled = True
    reads_votes = True

    def __post_init__(self) -> None:
        if not 0 <= self.weight < np.inf:
            raise SettingError("weight", "a number, at least 0", self.weight)

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """One step, which tells what the records without a label were taught."""
        width, many = known.features.shape[1], known.labelled
        soft, voted = self._soft(known)
        rows, classes = np.nonzero(soft[voted] > _LEAST)
        rows = np.flatnonzero(voted)[rows]
        y = np.concatenate([known.targets[:many], classes])
        counts = np.concatenate([known.weights, self.weight * soft[rows, classes]])
        taken = counts > 0
        present = np.unique(y[taken])
        if len(present) == 1:
            yield Step(1, 1)
            return only(int(present[0]), width, known.classes)
        x = known.features[np.concatenate([np.arange(many), rows])]
        learner = Logistic(self.strength)
        fitted = learner.estimator(known.seed).fit(x[taken], y[taken], counts[taken])
        head = learner.head(fitted, width, known.classes)
        yield Step(1, 1, taught=self._told(known, head, soft, voted))
        return head

    def _soft(self, known: Frozen) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(n, k) soft labels, and (n,) whether a record without a label has one."""
        open_ = np.arange(len(known.targets)) >= known.labelled
        if known.votes is None or not (known.votes >= 0).any():
            return np.zeros((len(known.targets), known.classes)), np.zeros_like(open_)
        found = _labels(known.votes, known.targets, known.classes)
        return found.probabilities, open_ & found.voted

    def _told(
        self, known: Frozen, head: Head, soft: Floats, voted: npt.NDArray[np.bool_]
    ) -> PseudoLabels:
        guess, counts = soft[known.labelled :], self.weight * voted[known.labelled :]
        said = apply(answers(head, known.features[known.labelled :]), 1.0).argmax(1)
        return known.taught(guess, counts, said)


def _labels(votes: npt.NDArray[np.int16], targets: Ints, classes: int) -> SoftLabels:
    """By the classes of labelled records where rules have voted on some, else by agreement."""
    known = (targets >= 0) & (votes >= 0).any(1)
    if known.any():
        return weighted(votes, targets, classes)
    return data_programming(votes, classes)


METHODS.add("weak-labels", WeakLabels())
