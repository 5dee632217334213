"""A forest of trees that split where it is best (Breiman 2001, Machine Learning 45)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import RandomForestClassifier

from leaven.core.errors import SettingError
from leaven.learn.heads.forest import ForestHead
from leaven.learn.learner import LEARNERS, Learner

__all__ = ["RandomForest"]


@LEARNERS.register("random-forest")
@dataclass(frozen=True)
class RandomForest(Learner):
    """`trees` of at most `leaves`, which bounds the size of the head whatever it is fitted on.

    No leaf holds fewer than `least` of the records that a tree is fitted on.
    """

    trees: int = 60
    leaves: int = 512
    least: int = 1

    name = "random-forest"

    def __post_init__(self) -> None:
        for setting, lowest in (("trees", 1), ("leaves", 2), ("least", 1)):
            value = getattr(self, setting)
            if value < lowest:
                raise SettingError(setting, f"a whole number, at least {lowest}", value)

    def estimator(self, seed: int) -> Any:
        """A scikit-learn RandomForestClassifier."""
        return RandomForestClassifier(
            self.trees, max_leaf_nodes=self.leaves, min_samples_leaf=self.least, random_state=seed
        )

    def head(self, fitted: Any, width: int, classes: int) -> ForestHead:
        """The trees as tables."""
        return ForestHead.of(fitted, classes)
