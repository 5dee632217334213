"""From votes that disagree to one soft label a record.

Four ways that read votes (n, m), a class position or -1 for abstaining: counting them
(`majority`), weighing them by known labels (`weighted`), and two that weigh them by how they agree
with each other, without a known label: `dawid_skene`, for people who answer in ways of their own,
and `data_programming`, for rules that abstain on most records and often name one class only.
`moments.py` has a fifth, for two classes and in closed form.

All but `majority` take voters to err independently of each other, given the true class. Copies
of a rule under two names break that: they agree always, and are trusted for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from leaven.core.errors import SettingError
from leaven.core.wording import many
from leaven.learn.answers import check_answers, check_known, counted, distinct
from leaven.learn.predictions import Floats, Ints

__all__ = ["SoftLabels", "data_programming", "dawid_skene", "majority", "weighted"]

_TIE = 1e-9  # probabilities that differ by less are alike
_USUAL = 0.7  # a rule's accuracy before anything is known of it, where Snorkel begins as well
_LEAST = 0.01  # answers added to each cell, so that none is impossible


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Probabilities of the classes, and what is thought of the voters.

    Attributes
    ----------
    probabilities : (n, k) rows of sum 1; of a record that nobody voted on the classes' priors,
        or what abstaining tells in a model that reads it.
    voted : (n,) whether anybody did.
    accuracies : (m,) the share of each voter's votes that is right, as this model sees it; NaN
        for a voter that never voted.
    priors : (k,) how frequent the classes are, as assumed or as found.
    trace : after each round what is maximised, in nats: the log-likelihood, and the log density of
        the smoothing. Empty where nothing is.
    converged : whether the rounds came to rest; `note` says it in a sentence.
    """

    probabilities: Floats
    voted: npt.NDArray[np.bool_]
    accuracies: Floats
    priors: Floats
    trace: tuple[float, ...] = ()
    converged: bool = True
    note: str = ""

    def named(self, at_least: float = 0.0) -> Ints:
        """(n,) the likeliest class; -1 without a vote, in a tie, and where it is less likely."""
        p = self.probabilities
        if not p.size:
            return np.full(len(p), -1, np.int64)
        top = p.max(axis=1)
        alone = (p >= top[:, None] - _TIE).sum(axis=1) == 1
        kept = self.voted & alone & (top >= at_least)
        return np.where(kept, p.argmax(axis=1), -1).astype(np.int64)


def majority(votes: npt.ArrayLike, classes: int | None = None) -> SoftLabels:
    """Each class by its share of the votes.

    `accuracies` are the mean share that a voter's votes get, its own among them.

    >>> majority([[0, 0, 1], [1, -1, -1], [-1, -1, -1]]).probabilities.round(2).tolist()
    [[0.67, 0.33], [0.0, 1.0], [0.5, 0.5]]
    """
    codes, k = check_answers(votes, classes)
    tally = counted(codes, k)
    total = tally.sum(axis=1, keepdims=True)
    p = np.where(total > 0, tally / np.maximum(total, 1), 1 / k)
    return SoftLabels(p, _voted(codes), _seeming(codes, p), np.full(k, 1 / k))


def weighted(
    votes: npt.ArrayLike,
    targets: npt.ArrayLike,
    classes: int | None = None,
    *,
    smoothing: float = 2.0,
    priors: npt.ArrayLike | None = None,
) -> SoftLabels:
    """Votes weighed by the log-odds of their voter's accuracy on records of known class.

    A voter that is right with probability a, and whose errors fall on each other class alike, adds
    log(a (k - 1) / (1 - a)) to the class that it names: the optimal rule for independent voters
    (Nitzan & Paroush 1982, for two classes).

    Parameters
    ----------
    targets : (n,) known classes, -1 where unknown.
    smoothing : to each voter's known votes so many are added, as often right as all voters
        together are; a voter without a known vote counts as the average one.
    priors : (k,) how frequent the classes are, even if not given.

    Raises SettingError where no voter voted on a record of known class.
    """
    codes, k = check_answers(votes, classes)
    known = check_known(targets, len(codes), k)
    if smoothing <= 0:
        raise SettingError("smoothing", "a number of votes above 0", smoothing)
    tried = (codes >= 0) & (known >= 0)[:, None]
    if not tried.any():
        raise SettingError(
            "targets", "a known class of a record that was voted on", "none",
            "Use a model that needs no label: data_programming or dawid_skene.",
        )  # fmt: skip
    right = (tried & (codes == known[:, None])).sum(axis=0)
    total = tried.sum(axis=0)
    # One vote by chance keeps the mean, and so each voter, off 0 and 1.
    mean = (right.sum() + 1 / k) / (total.sum() + 1)
    accuracy = (right + smoothing * mean) / (total + smoothing)
    prior = _priors(priors, k)
    weights = np.log(accuracy * (k - 1) / (1 - accuracy))
    scores = np.tile(np.log(prior), (len(codes), 1))
    for j, weight in enumerate(weights):
        at = np.flatnonzero(codes[:, j] >= 0)
        scores[at, codes[at, j]] += weight
    p = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    p /= p.sum(axis=1, keepdims=True)
    accuracy[~_voted(codes.T)] = np.nan
    note = f"Voters are weighed by {many(int(total.sum()), 'vote', 'votes')} of known truth."
    return SoftLabels(p, _voted(codes), accuracy, prior, note=note)


def dawid_skene(
    votes: npt.ArrayLike,
    classes: int | None = None,
    *,
    targets: npt.ArrayLike | None = None,
    smoothing: float = 0.1,
    abstaining_tells: bool = False,
    priors: npt.ArrayLike | None = None,
    most: int = 500,
    tolerance: float = 1e-8,
) -> SoftLabels:
    """Each voter's confusions and the true classes together, by EM (Dawid & Skene 1979).

    From the shares of the votes on, in turns: P(vote | class) of each voter and the priors from the
    soft labels (eq. 2.3, 2.4), and soft labels from these (eq. 2.5). It takes three voters or more
    who meet: what two say fits many confusions alike, and the smoothing chooses among them.

    Parameters
    ----------
    targets : (n,) known classes, which stay; -1 where unknown.
    smoothing : answers added to each cell of each voter's confusions. With 0 the likelihood is
        maximised, and else its product with Dirichlet densities of 1 + `smoothing`.
    abstaining_tells : whether having no vote is an answer of its own. Not of people who were not
        asked; of rules it is, but `data_programming` is the safer model of them.
    priors : (k,) known frequencies; by default they are found too.
    most, tolerance : rounds at most, and the gain of a record, in nats, under which they end.

    >>> votes = [[0, 0, 1], [0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 0]]
    >>> dawid_skene(votes).named().tolist()
    [0, 0, 1, 1, 0, 1]
    """
    codes, k = check_answers(votes, classes)
    if smoothing < 0:
        raise SettingError("smoothing", "a number of answers, at least 0", smoothing)
    known, answers = check_known(targets, len(codes), k), k
    if abstaining_tells:
        codes, answers = np.where(codes < 0, k, codes), k + 1
    added = np.full((codes.shape[1], answers, k), smoothing)
    return _em(codes, known, added, priors, most, tolerance)


def data_programming(
    votes: npt.ArrayLike,
    classes: int | None = None,
    *,
    targets: npt.ArrayLike | None = None,
    strength: float = 100.0,
    priors: npt.ArrayLike | None = None,
    most: int = 500,
    tolerance: float = 1e-8,
) -> SoftLabels:
    """What rules say that abstain, and name one class or more, by how they agree.

    As `dawid_skene`, with abstaining for an answer, since a rule of one class says something by
    nothing else (the class-conditional model of Ratner et al. 2019, "Training Complex Models with
    Multi-Task Weak Supervision"). Rules are weaker and rarer than people, so that the likelihood
    alone lets classes change places or vanish: it is multiplied by Dirichlet densities around
    rules that vote as often as these do and are right in 0.7 of their votes.

    Parameters
    ----------
    targets : (n,) known classes, which stay; -1 where unknown.
    strength : of these densities, in records of each class.
    priors : (k,) known frequencies; by default they are found too. Give them where you know them:
        of rare classes few rules tell how rare they are.
    most, tolerance : rounds at most, and the gain of a record, in nats, under which they end.

    >>> votes = [[0, -1, 0], [0, 0, -1], [-1, -1, -1], [-1, 1, -1], [0, 1, 1]] * 20
    >>> data_programming(votes).named()[:5].tolist()
    [0, 0, -1, 1, 1]
    """
    codes, k = check_answers(votes, classes)
    if strength < 0:
        raise SettingError("strength", "a number of records, at least 0", strength)
    frequent = _priors(priors, k)
    often = np.stack([(codes == c).sum(axis=0) for c in range(k)], axis=1) / max(len(codes), 1)
    own = np.eye(k, dtype=bool)
    usual = np.where(own, _USUAL / frequent, (1 - _USUAL) / (1 - frequent)[:, None])
    expected = often[:, :, None] * usual  # (rule, vote, class)
    expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1)
    silent = 1 - expected.sum(axis=1, keepdims=True)
    added = strength * np.concatenate([expected, silent], axis=1) + _LEAST
    known = check_known(targets, len(codes), k)
    return _em(np.where(codes < 0, k, codes), known, added, priors, most, tolerance)


def _em(
    codes: Ints, known: Ints, added: Floats, priors: npt.ArrayLike | None, most: int,
    tolerance: float,
) -> SoftLabels:  # fmt: skip
    """EM over the different rows of votes; each round is two products with a sparse matrix.

    `added` (m, answers, k) are the answers added to each cell of each voter's confusions; an
    answer beyond the classes is that of who abstains.
    """
    if most < 1:
        raise SettingError("most", "a number of rounds, at least 1", most)
    _, answers, k = added.shape
    n, m = codes.shape
    given = None if priors is None else _priors(priors, k)
    voted = _voted(np.where(codes < k, codes, -1))
    # A record without an answer says nothing, of the voters nor of the priors.
    told = np.column_stack([codes, known])
    telling = _voted(told)
    rows = distinct(told[telling])
    seen, truth = rows.rows[:, :-1], rows.rows[:, -1]
    which, who = np.nonzero(seen >= 0)
    cells = (np.ones(len(which)), (which, who * answers + seen[which, who]))
    hot: Any = sparse.csr_array(cells, shape=(len(seen), m * answers))
    flipped: Any = sparse.csr_array(hot.T)
    possible = np.where((truth[:, None] == np.arange(k)) | (truth < 0)[:, None], 0.0, -np.inf)

    # Known classes aside, the beginning is the share of each class among the votes.
    tally = counted(np.where(seen < k, seen, -1), k).astype(np.float64)
    tally[tally.sum(axis=1) == 0] = 1.0
    tally = np.where(truth[:, None] < 0, tally, np.isfinite(possible))
    p = tally / tally.sum(axis=1, keepdims=True)

    trace: list[float] = []
    converged = False
    prior = np.full(k, 1 / k)
    counts: Floats = np.zeros((m, answers, k))
    while len(trace) < most and not converged:
        counts = (flipped @ (rows.times[:, None] * p)).reshape(m, answers, k)
        log, density = _confusions(counts, added)
        if given is not None:
            prior = given
        elif len(seen):
            prior = rows.times @ p / rows.times.sum()
        scores = hot @ log.reshape(m * answers, k) + _log(prior) + possible
        top = scores.max(axis=1, keepdims=True, initial=-np.inf)
        p = np.exp(scores - top)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        trace.append(float(rows.times @ (np.log(total) + top)[:, 0]) + density)
        converged = len(trace) > 1 and trace[-1] - trace[-2] <= tolerance * max(n, 1)

    counts = (flipped @ (rows.times[:, None] * p)).reshape(m, answers, k)
    votes = counts[:, :k].sum(axis=(1, 2))
    right = np.einsum("jcc->j", counts[:, :k])
    accuracy = np.divide(right, votes, out=np.full(m, np.nan), where=votes > 0)
    soft = np.tile(prior, (n, 1))
    soft[telling] = p[rows.place]
    rounds = many(len(trace), "round", "rounds")
    note = f"Came to rest after {rounds}." if converged else f"Not yet at rest after {rounds}."
    return SoftLabels(soft, voted, accuracy, prior, tuple(trace), converged, note)


def _confusions(counts: Floats, added: Floats) -> tuple[Floats, float]:
    """Logarithms of P(answer | class), (m, answers, k), and the log density of what is added."""
    raised = counts + added
    total = raised.sum(axis=1, keepdims=True)
    even = np.full_like(raised, 1 / raised.shape[1])
    log = _log(np.divide(raised, total, out=even, where=total > 0))
    used = added > 0
    return log, float((added[used] * log[used]).sum())


def _voted(codes: Ints) -> npt.NDArray[np.bool_]:
    """Which rows hold an answer."""
    found: npt.NDArray[np.bool_] = codes.max(axis=1, initial=-1) >= 0
    return found


def _seeming(codes: Ints, p: Floats) -> Floats:
    """(m,) the mean probability of the classes that each voter names; NaN for one without votes."""
    which, who = np.nonzero(codes >= 0)
    m = codes.shape[1]
    votes = np.bincount(who, minlength=m)
    given = np.bincount(who, weights=p[which, codes[which, who]], minlength=m)
    found: Floats = np.divide(given, votes, out=np.full(m, np.nan), where=votes > 0)
    return found


def _priors(priors: npt.ArrayLike | None, k: int) -> Floats:
    if priors is None:
        return np.full(k, 1 / k)
    given = np.asarray(priors, dtype=np.float64)
    if given.shape != (k,) or not (np.all(given > 0) and abs(given.sum() - 1) < 1e-6):
        raise SettingError("priors", f"{k} shares above 0 that sum to 1", priors)
    return given


def _log(shares: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        found: Floats = np.log(shares)
    return found
