"""Ridge regression on the classes, its penalty and its confidence chosen by leaving records out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin

from leaven.learn.head import LinearHead
from leaven.learn.learner import LEARNERS, UNSEEN, Learner

__all__ = ["Ridge"]

Floats = npt.NDArray[np.float64]

_PENALTIES = np.logspace(-4, 3, 15)  # of features brought to a mean squared length of one
_SHARPNESS = np.logspace(0, 1.5, 16)


class _Ridge(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Least squares on targets of 1 and -1, one column a class.

    The penalty is the one of least squared error of records left out one at a time, which the
    singular values give without fitting anew (Golub, Heath & Wahba 1979, section 2). So is the
    factor by which outputs become logits, of which a softmax makes probabilities.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> _Ridge:
        X = np.asarray(X, np.float64)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        targets = 2.0 * np.eye(len(self.classes_))[codes] - 1
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        X, targets, weight = (part[weight > 0] for part in (X, targets, weight))
        weight = weight / weight.sum()
        centre, mean = weight @ X, weight @ targets
        scale = float(np.sqrt(weight @ ((X - centre) ** 2).sum(1))) or 1.0
        root = np.sqrt(weight)[:, None]
        u, s, v = _factors(root * (X - centre) / scale)
        seen = u.T @ (root * (targets - mean))
        kept = s[:, None] ** 2 / (s[:, None] ** 2 + _PENALTIES)
        own = u**2 @ kept + weight[:, None]  # how much a record's own target counts
        left: dict[float, Floats] = {}
        for place, penalty in enumerate(_PENALTIES):
            said = u @ (kept[:, place, None] * seen) / root + mean
            of_own = own[:, place, None]
            left[float(penalty)] = (said - of_own * targets) / np.maximum(1 - of_own, 1e-9)
        penalty = min(left, key=lambda p: float((weight @ (left[p] - targets) ** 2).sum()))
        self.coef_ = ((v.T * (s / (s**2 + penalty))) @ seen).T / scale
        self.intercept_ = mean - self.coef_ @ centre
        right = targets.argmax(1)
        asked = left[penalty]
        self.sharpness_ = float(min(_SHARPNESS, key=lambda f: _surprise(f * asked, right, weight)))
        return self

    def decision_function(self, X: Any) -> Floats:
        found: Floats = np.asarray(X, np.float64) @ self.coef_.T + self.intercept_
        return found

    def predict(self, X: Any) -> Any:
        return self.classes_[self.decision_function(X).argmax(1)]

    def predict_proba(self, X: Any) -> Floats:
        return np.asarray(np.exp(_logs(self.sharpness_ * self.decision_function(X))))


@LEARNERS.register("ridge")
class Ridge(Learner):
    """See the module; what is saved are the logits."""

    name = "ridge"

    def estimator(self, seed: int) -> Any:
        """It draws nothing."""
        return _Ridge()

    def head(self, fitted: Any, width: int, classes: int) -> LinearHead:
        """Weights and biases of the classes that occur, sharpened."""
        weight, bias = np.zeros((classes, width)), np.full(classes, UNSEEN)
        weight[fitted.classes_] = fitted.sharpness_ * fitted.coef_
        bias[fitted.classes_] = fitted.sharpness_ * fitted.intercept_
        head = LinearHead(width, classes)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))
        return head


def _factors(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """The singular value decomposition without its zeros.

    By way of the products of the columns or, if these are more, of the rows, in a fraction of the
    time: the smallest penalty is far above what that loses of the small values.
    """
    wide = len(rows) < rows.shape[1]
    squares, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = squares > max(squares[-1], 1e-300) * 1e-12
    s, found = np.sqrt(squares[kept]), vectors[:, kept]
    return (found, s, (found.T @ rows) / s[:, None]) if wide else (rows @ found / s, s, found.T)


def _logs(outputs: Floats) -> Floats:
    """(n, k) logarithms of the softmax."""
    shifted = outputs - outputs.max(1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return logs


def _surprise(outputs: Floats, right: npt.NDArray[np.int64], weight: Floats) -> float:
    return float(-(weight * _logs(outputs)[np.arange(len(right)), right]).sum())
