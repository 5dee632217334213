"""A forest of trees that split where it is best (Breiman 2001, Machine Learning 45)."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import RandomForestClassifier

from leaven.learn.heads.forest import ForestHead
from leaven.learn.learner import LEARNERS, Learner

__all__ = ["RandomForest"]


@LEARNERS.register("random-forest")
class RandomForest(Learner):
    """`trees` of at most `leaves`, which bounds the size of the head whatever it is fitted on."""

    name = "random-forest"
    trees = 60
    leaves = 512

    def estimator(self, seed: int) -> Any:
        """A scikit-learn RandomForestClassifier."""
        return RandomForestClassifier(self.trees, max_leaf_nodes=self.leaves, random_state=seed)

    def head(self, fitted: Any, width: int, classes: int) -> ForestHead:
        """The trees as tables."""
        return ForestHead.of(fitted, classes)
