"""How much each candidate counts in a blend: what was seen elsewhere, and what is seen here.

With four labels a class, records left out say little of which model is best: whoever picks the
winner often picks luck. So no candidate is picked. Each counts by its probability of being the one
to trust (Bayesian model averaging; Hoeting, Madigan, Raftery & Volinsky 1999, eq. 1-3): a prior
that the benchmark's other sets have taught (`history.py`), times the likelihood that it gave to
labels it was not shown, times its odds of agreeing with the others about records left out. The last
needs no label: models that are right agree, those that are wrong are wrong in ways of their own.
Few labels leave the prior much as it is; each further one moves it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["agreement", "weigh"]

Floats = npt.NDArray[np.float64]

_AGREEING = 4.0  # how many records the odds of agreeing are worth
_UNSURE = 10.0  # comparisons, half of which agreed, that are added to those seen
_LEAST = 0.03  # weights below are taken for none: each member is work for whoever asks the model


def weigh(
    likelihoods: Mapping[str, Floats],
    prior: Mapping[str, float],
    agreeing: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The candidates' weights, of sum 1; those that hardly count are left out.

    Parameters
    ----------
    likelihoods : of each candidate (n,) the probability that it gave to the label of each record
        left out, calibrated; n may be zero.
    prior : of each candidate how probable it was before, above zero.
    agreeing : of each candidate how often it agrees with the others, see `agreement`.

    >>> weigh({"a": np.full(50, 0.9), "b": np.full(50, 0.1)}, {"a": 0.5, "b": 0.5})
    {'a': 1.0}
    >>> weigh({"a": np.zeros(0), "b": np.zeros(0)}, {"a": 0.75, "b": 0.25})
    {'a': 0.75, 'b': 0.25}
    """
    names = list(likelihoods)
    score = np.array([np.log(np.maximum(likelihoods[n], 1e-12)).sum() for n in names])
    score += np.log([prior[name] for name in names])
    if agreeing:
        shares = np.array([agreeing[name] for name in names])
        score += _AGREEING * np.log(shares / (1 - shares))
    found = np.exp(score - score.max())
    found /= found.sum()
    found = np.where(found < _LEAST, 0.0, found)
    found = (found / found.sum()).round(4)
    return {name: float(w) for name, w in zip(names, found, strict=True) if w > 0}


def agreement(answers: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, float]:
    """Of each candidate the share of comparisons with the others in which both name one class.

    `answers` (n,) classes of the same records. A few comparisons of either outcome are added, so
    that the shares are between 0 and 1.

    >>> one, two = np.array([0, 1] * 50), np.array([0, 0] * 50)
    >>> found = agreement({"a": one, "b": one, "c": two})
    >>> found["a"] > found["c"]
    True
    """
    found = {}
    for name, own in answers.items():
        others = [other for rival, other in answers.items() if rival != name]
        agreed = sum(int((own == other).sum()) for other in others)
        found[name] = (agreed + _UNSURE / 2) / (len(own) * len(others) + _UNSURE)
    return found
