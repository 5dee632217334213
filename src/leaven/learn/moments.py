"""A label model of two classes in closed form: the method of moments.

If votes are independent given the class, Y in {0, 1}, any two functions f, g of two rules' votes
covary by the class alone:

    Cov(f, g) = p (1 - p) (E[f | 1] - E[f | 0]) (E[g | 1] - E[g | 0]),    p = P(Y = 1)

so off its diagonal the covariance of m rules is a product u u', which three rules determine
(the triplets of Fu et al. 2020, "Fast and Three-rious"; Ratner et al. 2019, "Training Complex
Models with Multi-Task Weak Supervision", fit the same rank). Because means are taken away first,
rules may abstain as they like, and name one class only.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.wording import many
from leaven.learn.answers import check_answers, distinct
from leaven.learn.label_models import SoftLabels
from leaven.learn.predictions import Floats

__all__ = ["moments"]

_ROUNDS, _REST = 2000, 1e-12
_SURE_RULES = 12  # those that covary most tell the balance: 220 triples at most
_RAREST = 0.02  # the smallest share of a class that is believed


def moments(votes: npt.ArrayLike, *, balance: float | None = None) -> SoftLabels:
    """Soft labels of two classes from votes (n, m), without a known label.

    A rule counts 1 for class 1, -1 for class 0 and nothing where it abstains. `u` is fitted to the
    covariances by least squares, from triplets on; P(vote | class) follows from the covariance of
    each vote with the others' counts, and the soft label by Bayes' rule. That a rule abstains
    tells something too, as far as it does so more often in one class. Of u and -u the one is taken
    by which the rules, together, are better than chance.

    Parameters
    ----------
    balance : the share of class 1, in (0, 1). By default from the third moments: those of a class
        of share p are p (1 - p) (1 - 2 p), so s = (1 - 2 p) / sqrt(p (1 - p)) can be read off
        triples of rules, and p = (1 - s / sqrt(4 + s^2)) / 2. Give it where you know it; third
        moments take thousands of records.

    Raises SettingError for other than two classes, fewer than three rules, or no record.

    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(20_000) < 0.3).astype(int)
    >>> wrong = rng.random((20_000, 3)) > [0.9, 0.8, 0.7]
    >>> found = moments(np.where(wrong, 1 - y[:, None], y[:, None]))
    >>> found.accuracies.round(1).tolist(), found.priors.round(1).tolist()
    ([0.9, 0.8, 0.7], [0.7, 0.3])
    """
    codes, k = check_answers(votes)
    n, m = codes.shape
    if k != 2:
        raise SettingError("votes", "of two classes", k, "Use data_programming for more.")
    if m < 3 or not n:
        raise SettingError("votes", "of three rules or more, on one record at least", (n, m))
    if balance is not None and not 0 < balance < 1:
        raise SettingError("balance", "a share in (0, 1)", balance)
    rows = distinct(codes)
    share = rows.times / n
    named = np.stack([rows.rows == 0, rows.rows == 1]).astype(np.float64)  # (2, rows, m)
    often = share @ named  # (2, m)
    centred = named - often[:, None, :]
    counts = centred[1] - centred[0]
    weighed = share[:, None] * counts
    u, converged = _factor(counts.T @ weighed)
    p = _balance(counts, share, u) if balance is None else balance

    # (2, m) E[named | 1] - E[named | 0], each vote regressed on all other rules.
    others = (u**2).sum() - u**2
    shared = ((centred.transpose(0, 2, 1) @ weighed) * (1 - np.eye(m))) @ u
    root = np.sqrt(p * (1 - p))
    gap = np.divide(shared, root * others, out=np.zeros_like(shared), where=others > _REST)
    given = np.stack([often - p * gap, often + (1 - p) * gap])  # (class, vote, m)
    least = 1 / (n + 3)
    given = np.concatenate([given, 1 - given.sum(axis=1, keepdims=True)], axis=1)
    given = np.clip(given, least, 1)
    given /= given.sum(axis=1, keepdims=True)  # vote 2 is abstaining

    priors = np.array([1 - p, p])
    said = np.where(rows.rows < 0, 2, rows.rows)
    scores = np.tile(np.log(priors), (len(said), 1))
    for j in range(m):
        scores += np.log(given[:, :, j]).T[said[:, j]]
    soft = np.exp(scores - scores.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    right = priors[0] * given[0, 0] + priors[1] * given[1, 1]
    total = np.einsum("c,cvj->j", priors, given[:, :2])
    never = often.sum(axis=0) == 0
    return SoftLabels(
        soft[rows.place], codes.max(axis=1) >= 0, np.where(never, np.nan, right / total), priors,
        converged=converged, note=_note(u, converged),
    )  # fmt: skip


def _factor(covariance: Floats) -> tuple[Floats, bool]:
    """(m,) u of which the products fit the covariances off the diagonal, and whether it rests.

    Each triplet says u_i^2 = C_ij C_ik / C_jk; their least squares begin, and each u_i in turn is
    then the best for the others.
    """
    off = covariance - np.diag(np.diag(covariance))
    squares = np.einsum("ij,jk,ki->i", off, off, off) / np.maximum(
        (off**2).sum() - 2 * (off**2).sum(axis=1), _REST
    )
    leading = np.linalg.eigh(off)[1][:, -1]
    u: Floats = np.sqrt(np.maximum(squares, 0)) * np.where(leading < 0, -1.0, 1.0)
    # A covariance is no larger than the spread of the two.
    limit = np.sqrt(np.diag(covariance))
    u = np.clip(u, -limit, limit)
    moved = np.inf
    for _ in range(_ROUNDS):
        before = u.copy()
        for i in range(len(u)):
            others = u @ u - u[i] ** 2
            best = off[i] @ u / others if others > _REST else 0.0
            u[i] = np.clip(best, -limit[i], limit[i])
        moved = float(np.abs(u - before).max())
        if moved < _REST:
            break
    return (-u if u.sum() < 0 else u), moved < 1e-6


def _balance(counts: Floats, share: Floats, u: Floats) -> float:
    """The share of class 1 by the third moments of the rules that covary most."""
    top = np.argsort(-np.abs(u), kind="stable")[:_SURE_RULES]
    triples = np.array(list(combinations(top.tolist(), 3)))
    third = np.array([share @ counts[:, triple].prod(axis=1) for triple in triples])
    product = u[triples].prod(axis=1)
    if not product.any():
        return 0.5
    skew = (third @ product) / (product @ product)
    return float(np.clip((1 - skew / np.sqrt(4 + skew**2)) / 2, _RAREST, 1 - _RAREST))


def _note(u: Floats, converged: bool) -> str:
    """What to know of the fit."""
    informed = int((np.abs(u) > 1e-3).sum())
    if informed < 3:
        return (
            f"Only {many(informed, 'rule covaries', 'rules covary')} with others; it takes three "
            "that meet on the same records."
        )
    return "Came to rest." if converged else "Not at rest: the rules fit no one class behind them."
