"""How much each candidate counts in a blend: what was seen elsewhere, and what is seen here.

With four labels a class, records left out say almost nothing of which model is best: whoever picks
the winner picks luck. So no candidate is picked. The blend is a mixture, p(y | x) = Σ w_c p_c(y |
x), whose weights are the mean of their posterior: a Dirichlet prior, learnt from the benchmark's
history on other sets (`history.py`), and the likelihood of the labels of records left out (stacking,
Wolpert 1992; Breiman 1996, with the mixture's likelihood as in Smyth & Wolpert 1999). Few labels
leave the prior as it is; each further one moves it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["mixture", "weigh"]

Floats = npt.NDArray[np.float64]

_ROUNDS = 500
_STILL = 1e-9
_LEAST = 0.03  # weights below are taken for none: each member is work for whoever asks the model


def weigh(likelihoods: Mapping[str, Floats], prior: Mapping[str, float]) -> dict[str, float]:
    """The candidates' weights, of sum 1; those that hardly count are left out.

    Parameters
    ----------
    likelihoods : of each candidate (n,) the probability that it gave to the label of each record
        left out, calibrated; n may be zero.
    prior : of each candidate the labelled records that the prior is worth in its favour.

    >>> weigh({"a": np.full(50, 0.9), "b": np.full(50, 0.1)}, {"a": 1.0, "b": 1.0})
    {'a': 1.0}
    >>> weigh({"a": np.zeros(0), "b": np.zeros(0)}, {"a": 3.0, "b": 1.0})
    {'a': 0.75, 'b': 0.25}
    """
    names = list(likelihoods)
    counts = np.array([prior[name] for name in names])
    found = mixture(np.column_stack([likelihoods[name] for name in names]), counts)
    found = np.where(found < _LEAST, 0.0, found)
    found = (found / found.sum()).round(4)
    return {name: float(w) for name, w in zip(names, found, strict=True) if w > 0}


def mixture(likelihood: Floats, counts: Floats) -> Floats:
    """(m,) weights: where the mean of their posterior repeats itself.

    `likelihood` is (n, m), `counts` (m,) above zero. Each round shares every record out among the
    members by their weight times their likelihood, and takes the mean of the Dirichlet
    distribution of these shares and the counts (expectation-maximisation with posterior means;
    Smyth & Wolpert 1999, section 3).
    """
    weights = counts / counts.sum()
    for _ in range(_ROUNDS):
        shared = likelihood * weights
        shared /= np.maximum(shared.sum(1, keepdims=True), 1e-300)
        renewed = (counts + shared.sum(0)) / (counts.sum() + len(likelihood))
        if np.abs(renewed - weights).max() < _STILL:
            break
        weights = renewed
    return np.asarray(weights)
