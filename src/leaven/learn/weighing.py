"""How much each candidate counts in a blend: what was seen elsewhere, and what is seen here.

With four labels a class, records left out say little of which model is best: whoever picks the
winner often picks luck. So no candidate is picked. They are mixed by the weights under which the
mixture gives most to labels that it was not shown (stacking of predictive distributions; Yao,
Vehtari, Simpson & Gelman 2018, arXiv:1704.02030, section 3.1), beginning with a prior that the
benchmark's other sets have taught (`history.py`), times each candidate's odds of agreeing with the
others about records left out. The last needs no label: models that are right agree, those that are
wrong are wrong in ways of their own. The prior counts as one record more (it is a
Dirichlet distribution's), so that each label moves it.

A mixture, not the probability of each candidate to be the true one: of these the records would
leave one alone as soon as they are many, though candidates that err on different records are
better together (measured, see `docs/choice.md`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["agreement", "weigh"]

Floats = npt.NDArray[np.float64]

_AGREEING = 4.0  # how many records the odds of agreeing are worth
_UNSURE = 10.0  # comparisons, half of which agreed, that are added to those seen
_EXPERIENCE = 1.0  # how many records the prior is worth
_ROUNDS = 500  # of expectation and maximisation, at most
_STILL = 1e-6  # change of a weight below which they end
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
    prior : of each candidate how much it counted elsewhere, above zero.
    agreeing : of each candidate how often it agrees with the others, see `agreement`.

    >>> weigh({"a": np.full(90, 0.9), "b": np.full(90, 0.1)}, {"a": 0.5, "b": 0.5})
    {'a': 1.0}
    >>> weigh({"a": np.zeros(0), "b": np.zeros(0)}, {"a": 0.75, "b": 0.25})
    {'a': 0.75, 'b': 0.25}
    """
    names = list(likelihoods)
    expected = np.array([prior[name] for name in names])
    if agreeing:
        shares = np.array([agreeing[name] for name in names])
        expected = expected * (shares / (1 - shares)) ** _AGREEING
    expected = expected / expected.sum()
    given = np.column_stack([np.maximum(likelihoods[name], 1e-12) for name in names])
    found = expected
    for _ in range(_ROUNDS):
        mixed = given * found
        told = (mixed / mixed.sum(1, keepdims=True)).sum(0) + _EXPERIENCE * expected
        before, found = found, told / told.sum()
        if np.abs(found - before).max() < _STILL:
            break
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
