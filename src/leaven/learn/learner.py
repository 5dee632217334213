"""What wrappers wrap: a classifier with scikit-learn's methods that can be saved as a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from leaven.core.registry import Registry
from leaven.learn.head import Head

__all__ = ["LEARNERS", "UNSEEN", "Learner"]

#: The output of a class without a labelled record: about one in 160,000.
UNSEEN = -12.0


class Learner(ABC):
    """A supervised learner on features, by name. One instance each, registered in LEARNERS."""

    name: ClassVar[str]

    @abstractmethod
    def estimator(self, seed: int) -> Any:
        """An unfitted scikit-learn classifier: `fit` with `sample_weight`, `predict_proba`."""

    @abstractmethod
    def head(self, fitted: Any, width: int, classes: int) -> Head:
        """What a fitted one says, as a head.

        The classes in `fitted.classes_` are numbers below `classes`; of the others the head says
        that they are improbable.
        """


LEARNERS: Registry[Learner] = Registry("learner", "leaven.learn.learners")
