"""Self-training around a forest of extremely randomised trees.

As `self-training`: guesses are cross-fitted, judged by a rule of the consistency table and made
anew each round (Yarowsky 1995). The share of the trees that name a class is its probability.

Use it on tables, where trees are better than lines, with some labels a class.

It fails where the forest's votes are spread thin, with many classes and few labels: the share of
trees is then a poor measure of certainty. Its time is that of a dozen forests.
"""

from __future__ import annotations

from dataclasses import dataclass

from leaven.learn.method import METHODS
from leaven.learn.self_training import SelfTrainingMethod

__all__ = ["SelfTrainingForest"]


@dataclass(frozen=True)
class SelfTrainingForest(SelfTrainingMethod):
    """Around a forest."""

    rounds: int = 4
    folds: int = 3

    name = "self-training-forest"
    baseline = "forest"
    learner = "forest"
    summary = "a forest learns its own sure guesses, cross-fitted"
    paper = "Yarowsky 1995, ACL 33"


METHODS.add("self-training-forest", SelfTrainingForest())
