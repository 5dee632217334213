"""The wrappers as methods: one of our learners on the features of a frozen encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
from sklearn.dummy import DummyClassifier

from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.heads.committee import CommitteeHead
from leaven.learn.learner import LEARNERS, Learner
from leaven.learn.learner_method import only
from leaven.learn.method import Step
from leaven.learn.wrapping import Floats, Rounds, Wrapped

__all__ = ["WrapperMethod", "all_weights"]


class WrapperMethod(ClassicMethod):
    """A wrapper around the learner of this name, which alone is its baseline."""

    learner: ClassVar[str] = "logistic"
    family = "wrappers"
    unlabelled = True

    @abstractmethod
    def wrap(self, estimator: Any, known: Frozen) -> Rounds:
        """The wrapper's rounds over the records in `known`."""

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """A step for each round; one at least."""
        learner = LEARNERS[self.learner]
        rounds = self.wrap(learner.estimator(known.seed), known)
        while True:
            try:
                now = next(rounds)
            except StopIteration as done:
                return _head(learner, done.value, known.features.shape[1])
            taught = known.taught(now.guess, now.weight, now.answers) if len(now.places) else None
            yield Step(now.number, now.total, taught=taught)


def all_weights(known: Frozen) -> Floats:
    """(n,) the labelled records' weights, zero where unlabelled."""
    return np.concatenate([known.weights, np.zeros(len(known.places))]).astype(np.float64)


def _head(learner: Learner, wrapped: Wrapped, width: int) -> Head:
    """The one member's head, or a committee of several linear ones."""
    heads: list[Head] = []
    for member, columns in zip(wrapped.members, wrapped.columns, strict=True):
        reads = width if columns is None else len(columns)
        if isinstance(member, DummyClassifier):  # one class alone was there to be learnt
            heads.append(only(int(member.classes_[0]), reads, wrapped.classes))
        else:
            heads.append(learner.head(member, reads, wrapped.classes))
    if len(heads) == 1 and wrapped.columns[0] is None:
        return heads[0]
    every = np.arange(width)
    reads_of = [every if own is None else own for own in wrapped.columns]
    return CommitteeHead.of(heads, reads_of, width)
