"""A random forest on frozen features: bootstrapped trees that split where it is best.

Breiman 2001, "Random Forests", Machine Learning 45.

Use it on tables where single columns decide: its thresholds are searched for, those of `forest`
drawn.

It fails with a label or two a class and on embeddings, as all trees do.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.learner_method import LearnerMethod
from leaven.learn.learners.random_forest import RandomForest
from leaven.learn.method import METHODS

__all__ = ["RandomForestMethod"]


@dataclass(frozen=True)
class RandomForestMethod(LearnerMethod):
    """The settings of the learner."""

    trees: int = RandomForest.trees
    leaves: int = RandomForest.leaves
    least: int = RandomForest.least

    name = baseline = "random-forest"
    summary = "bootstrapped trees, best splits"


METHODS.add("random-forest", RandomForestMethod())
