"""Confidence that is set right again while records come, by the truths that come among them.

Two things are learnt, each from what came before and never from the record that is answered:

- one temperature T of all answers, by online Newton steps on the log-likelihood of the truths: with
  scores s = log p / T of the classes and q the answer, log T moves by -g / h, where g = s_true -
  E_q[s] and the curvature h adds up Var_q[s] on top of a prior, log T ~ N(0, 0.5^2). Earlier terms
  fade, so that h holds about the last 2,000 truths;
- the classes' shares by online EM (Saerens et al. 2002, "Adjusting the outputs of a classifier to
  new a priori probabilities"; Cappe & Moulines 2009 for the online form): each record moves them
  by 1 / (200 + n), but at least 1 / 5,000, towards its truth or, without one, towards its answer.

Answers are then p^(1/T) times shares now by shares before, made to sum to 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import RunError
from leaven.learn.temperature import HIGHEST, LOWEST

__all__ = ["Recalibration"]

Floats = npt.NDArray[np.float64]

_PRIOR = 4.0  # curvature of log T before any truth: its spread is 0.5
_KEPT = 1 - 1 / 2000  # of the curvature, from truth to truth
_FIRST, _LEAST = 200, 1 / 5000  # records that the first shares count as; the smallest step
_SMALLEST = 1e-9  # a probability
_RAREST = 1e-4  # a share
_BINS = 15


class Recalibration:
    """Temperature and shares of the classes as of now, and what they were worth so far.

    Parameters
    ----------
    shares : (k,) the classes' shares that the model's answers suppose.
    """

    def __init__(self, shares: npt.ArrayLike) -> None:
        given = np.maximum(np.asarray(shares, np.float64), _RAREST)
        self.before: Floats = given / given.sum()
        self.shares: Floats = self.before.copy()
        self.temperature = 1.0
        self._curvature = _PRIOR
        self._records = 0
        self._bins = {name: np.zeros((2, _BINS)) for name in ("before", "after")}
        self._loss = {"before": 0.0, "after": 0.0}
        self._truths = 0

    def apply(self, probabilities: Floats) -> Floats:
        """(k,) the answer as it is now, of what the model says (k,)."""
        return self._answer(np.log(np.maximum(probabilities, _SMALLEST)))

    def learn(self, probabilities: Floats, answer: Floats, truth: int | None) -> None:
        """Take a record in, after it was answered.

        Parameters
        ----------
        probabilities, answer : (k,) what the model said of it, and what `apply` made of that.
        truth : the position of its class, where it is known.
        """
        towards = answer
        if truth is not None:
            for name, said in (("before", probabilities), ("after", answer)):
                self._count(name, said, truth)
            self._truths += 1
            self._step(np.log(np.maximum(probabilities, _SMALLEST)), answer, truth)
            towards = np.eye(len(answer))[truth]
        step = max(1 / (_FIRST + self._records), _LEAST)
        self.shares = self.shares + step * (towards - self.shares)
        self._records += 1

    def told(self) -> dict[str, Any]:
        """How well it goes: ECE (15 bins) and log loss on the truths, each said before it came.

        `before` is of the model alone, `after` as answered; `n` truths.
        """
        n = max(self._truths, 1)
        found: dict[str, Any] = {
            name: {
                "ece": float(np.abs(self._bins[name][0] - self._bins[name][1]).sum() / n),
                "log_loss": self._loss[name] / n,
            }
            for name in ("before", "after")
        }
        return found | {
            "n": self._truths,
            "temperature": self.temperature,
            "shares": self.shares.tolist(),
        }

    def state(self) -> dict[str, Any]:
        """All of it, as plain JSON."""
        return {
            "before": self.before.tolist(),
            "shares": self.shares.tolist(),
            "temperature": self.temperature,
            "curvature": self._curvature,
            "records": self._records,
            "truths": self._truths,
            "loss": dict(self._loss),
            "bins": {name: bins.tolist() for name, bins in self._bins.items()},
        }

    @classmethod
    def of(cls, state: dict[str, Any], shares: npt.ArrayLike) -> Recalibration:
        """As it was when `state` was taken; RunError for one that is damaged or another model's."""
        made = cls(shares)
        try:
            held = {name: np.asarray(state[name], np.float64) for name in ("before", "shares")}
            bins = {name: np.asarray(state["bins"][name], np.float64) for name in made._bins}
            if any(one.shape != made.before.shape for one in held.values()):
                raise ValueError("its classes are others")
            if any(one.shape != (2, _BINS) for one in bins.values()):
                raise ValueError("its bins are others")
            made.before, made.shares = held["before"], held["shares"]
            made.temperature = float(state["temperature"])
            made._curvature, made._bins = float(state["curvature"]), bins
            made._records, made._truths = int(state["records"]), int(state["truths"])
            made._loss = {name: float(state["loss"][name]) for name in made._loss}
        except (KeyError, TypeError, ValueError) as broken:
            raise RunError(
                f"The state of the recalibration cannot be used: {broken}. Give an empty folder."
            ) from broken
        return made

    def _answer(self, logs: Floats) -> Floats:
        scores = logs / self.temperature + np.log(np.maximum(self.shares, _RAREST) / self.before)
        raised = np.exp(scores - scores.max())
        return np.asarray(raised / raised.sum(), np.float64)

    def _step(self, logs: Floats, answer: Floats, truth: int) -> None:
        scores = logs / self.temperature
        mean = float(answer @ scores)
        spread = float(answer @ (scores - mean) ** 2)
        self._curvature = _PRIOR + _KEPT * (self._curvature - _PRIOR) + spread
        moved = math.log(self.temperature) - (float(scores[truth]) - mean) / self._curvature
        self.temperature = math.exp(min(max(moved, math.log(LOWEST)), math.log(HIGHEST)))

    def _count(self, name: str, said: Floats, truth: int) -> None:
        confidence = float(said.max())
        at = min(int(confidence * _BINS), _BINS - 1)
        self._bins[name][:, at] += (confidence, float(said.argmax() == truth))
        self._loss[name] -= math.log(max(float(said[truth]), _SMALLEST))
