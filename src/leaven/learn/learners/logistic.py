"""Multinomial logistic regression whose penalty does not depend on the features' unit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from leaven.core.errors import SettingError
from leaven.learn.head import LinearHead
from leaven.learn.learner import LEARNERS, UNSEEN, Learner

__all__ = ["Logistic"]


class _Scaled(LogisticRegression):  # type: ignore[misc]  # scikit-learn ships no types
    """Fitted on features brought to a mean squared length of one, `scale_` the length before."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        self.scale_ = float(np.sqrt((X**2).sum(1).mean())) or 1.0
        with warnings.catch_warnings():  # a label or two a class are enough here
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            super().fit(X / self.scale_, y, sample_weight)
        self.coef_: Any = self.coef_ / self.scale_
        return self


@LEARNERS.register("logistic")
@dataclass(frozen=True)
class Logistic(Learner):
    """L2-regularised; `strength`, above zero, is the inverse of the penalty."""

    strength: float = 10.0

    name = "logistic"

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise SettingError("strength", "a number above zero", self.strength)

    def estimator(self, seed: int) -> Any:
        """A scikit-learn LogisticRegression; it draws nothing."""
        return _Scaled(C=self.strength, max_iter=1000)

    def head(self, fitted: Any, width: int, classes: int) -> LinearHead:
        """Weights and biases of the classes that occur."""
        weight, bias = np.zeros((classes, width)), np.full(classes, UNSEEN)
        present = fitted.classes_
        if len(present) == 2:  # scikit-learn keeps one row for two classes
            weight[present[1]], bias[present] = fitted.coef_[0], [0.0, fitted.intercept_[0]]
        else:
            weight[present], bias[present] = fitted.coef_, fitted.intercept_
        head = LinearHead(width, classes)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        return head
