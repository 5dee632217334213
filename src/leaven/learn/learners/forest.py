"""A forest of extremely randomised trees (Geurts, Ernst & Wehenkel 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import ExtraTreesClassifier

from leaven.core.errors import SettingError
from leaven.learn.heads.forest import ForestHead
from leaven.learn.learner import LEARNERS, Learner

__all__ = ["Forest"]


@LEARNERS.register("forest")
@dataclass(frozen=True)
class Forest(Learner):
    """`trees` of at most `leaves`, which bounds the size of the head whatever it is fitted on.

    No leaf holds fewer than `least` of the records that a tree is fitted on. A split chooses among
    a `share` of the features, drawn anew each time; 0 stands for their root.
    """

    trees: int = 100
    leaves: int = 512
    least: int = 1
    share: float = 0.0

    name = "forest"

    def __post_init__(self) -> None:
        for setting, lowest in (("trees", 1), ("leaves", 2), ("least", 1)):
            value = getattr(self, setting)
            if value < lowest:
                raise SettingError(setting, f"a whole number, at least {lowest}", value)
        if not 0 <= self.share <= 1:
            raise SettingError("share", "a number from 0 to 1", self.share)

    def estimator(self, seed: int) -> Any:
        """A scikit-learn ExtraTreesClassifier."""
        return ExtraTreesClassifier(
            self.trees,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.least,
            max_features=self.share or "sqrt",
            random_state=seed,
        )

    def head(self, fitted: Any, width: int, classes: int) -> ForestHead:
        """The trees as tables."""
        return ForestHead.of(fitted, classes)
