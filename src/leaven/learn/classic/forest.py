"""A forest of extremely randomised trees on frozen features: the baseline of the wrapped one.

Use it as the control of self-training with a forest, or alone on tables whose columns have
thresholds rather than directions: codes, counts, yes and no.

It fails with a label or two a class, of which trees learn little more than single columns, and on
embeddings, where classes are directions.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.learner_method import LearnerMethod
from leaven.learn.learners.forest import Forest
from leaven.learn.method import METHODS

__all__ = ["ForestMethod"]


@dataclass(frozen=True)
class ForestMethod(LearnerMethod):
    """The settings of the learner."""

    trees: int = Forest.trees
    leaves: int = Forest.leaves
    least: int = Forest.least
    share: float = Forest.share

    name = baseline = "forest"
    summary = "random trees of labelled records"


METHODS.add("forest", ForestMethod())
