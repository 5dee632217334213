"""A forest of extremely randomised trees (Geurts, Ernst & Wehenkel 2006)."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import ExtraTreesClassifier

from leaven.learn.heads.forest import ForestHead
from leaven.learn.learner import LEARNERS, Learner

__all__ = ["Forest"]


@LEARNERS.register("forest")
class Forest(Learner):
    """`trees` of at most `leaves`, which bounds the size of the head whatever it is fitted on."""

    name = "forest"
    trees = 100
    leaves = 512

    def estimator(self, seed: int) -> Any:
        """A scikit-learn ExtraTreesClassifier."""
        return ExtraTreesClassifier(self.trees, max_leaf_nodes=self.leaves, random_state=seed)

    def head(self, fitted: Any, width: int, classes: int) -> ForestHead:
        """The trees as tables."""
        return ForestHead.of(fitted, classes)
