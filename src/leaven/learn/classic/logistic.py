"""Logistic regression on frozen features: the baseline of the classic methods.

Use it as the control of the classic methods, or alone where a pretrained encoder makes the
classes linearly separable.

It fails where they are not, and with a label or two a class its direction is that of these few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from leaven.learn.classic_method import ClassicMethod
from leaven.learn.method import METHODS
from leaven.learn.network import LinearHead

__all__ = ["Logistic"]

_UNSEEN = -12.0  # the bias of a class without a labelled record: about one in 160,000


class Logistic(ClassicMethod):
    """Multinomial, L2-regularised, on features brought to a mean squared length of one."""

    name = "logistic"
    summary = "linear model of labelled records on frozen features"
    paper = "–"
    unlabelled = False
    strength = 10.0

    def head(
        self,
        features: npt.NDArray[np.float32],
        targets: npt.NDArray[np.int64],
        classes: int,
        seed: int,
    ) -> LinearHead:
        """Weights and biases of the classes that occur; the others stay improbable."""
        scale = float(np.sqrt((features**2).sum(1).mean())) or 1.0
        present = np.unique(targets)
        weight = np.zeros((classes, features.shape[1]))
        bias = np.full(classes, _UNSEEN)
        if len(present) == 1:
            bias[present] = 0.0
        else:
            model: Any = LogisticRegression(C=self.strength, max_iter=1000)
            model.fit(features / scale, targets)
            if len(present) == 2:  # scikit-learn keeps one row for two classes
                weight[present[1]], bias[present] = model.coef_[0], [0.0, model.intercept_[0]]
            else:
                weight[present], bias[present] = model.coef_, model.intercept_
        head = LinearHead(features.shape[1], classes)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight / scale))
            head.bias.copy_(torch.from_numpy(bias))
        return head


METHODS.add("logistic", Logistic())
