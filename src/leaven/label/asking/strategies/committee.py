"""Query by committee: the records on which several models, or passes of one, do not agree.

Where nobody brings a committee, `bagged` makes one of the labelled records.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.files import scratch
from leaven.data.dataset import Index
from leaven.label.asking.pool import Numbers, Pool, blocks
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, highest
from leaven.label.asking.uncertainty import by_record, entropy, split
from leaven.learn.learner import LEARNERS

__all__ = ["Bald", "Member", "VoteEntropy", "bagged", "gathered", "taught"]

Floats = npt.NDArray[np.float64]
#: Features (rows, d) to probabilities (rows, k).
Member = Callable[[Numbers], Numbers]

_MEMBERS = 8
_TAUGHT = 2000  # labelled records that members are taught at most
_IN_MEMORY = 1 << 29  # bytes of answers that are held in memory; more are laid on disk


class _Disagreement(Strategy):
    """The records of which a measure of the members' answers is highest."""

    needs = ("members",)

    @abstractmethod
    def measure(self, members: Numbers) -> Floats:
        """(n,) of the members' probabilities (m, n, k)."""

    def rank(self, pool: Pool, count: int) -> Asked:
        members = pool.members
        assert members is not None
        scores = by_record(members, self.measure)
        index = highest(scores, count, pool.open, pool.seed)

        def why(row: int, _: float) -> str:
            of_one = members[:, row : row + 1]
            votes = _shares(of_one)[0]
            if votes.max() < 1:
                return f"The models do not agree: {split(pool, row, votes)}"
            mean = np.asarray(of_one, np.float64).mean(0)[0]
            return f"The models are not equally sure: {split(pool, row, mean)} on average"

        return Asked.of(index, scores[index], why)


def _shares(members: Numbers) -> Floats:
    """(n, k) the share of the members (m, n, k) whose likeliest class each is."""
    votes = members.argmax(-1)  # (m, n)
    found: Floats = np.zeros(members.shape[1:])
    for vote in votes:
        found[np.arange(len(found)), vote] += 1
    found /= len(votes)
    return found


class VoteEntropy(_Disagreement):
    """The score is the entropy of the members' votes, in nats."""

    name = "vote-entropy"
    paper = "Dagan & Engelson 1995, ICML 12"
    summary = "the records on whose class the models of a committee split"

    def measure(self, members: Numbers) -> Floats:
        return entropy(_shares(members))


class Bald(_Disagreement):
    """The score is the entropy of the mean less the mean entropy.

    It is what the label would tell of the model, in nats; records that every member is unsure of
    alike score nothing. The same number is the members' mean KL divergence to their consensus, by
    which committees are asked as well (McCallum & Nigam 1998, ICML 15), and their Jensen-Shannon
    divergence.
    """

    name = "bald"
    costs = 11.7
    paper = "Houlsby, Huszár, Ghahramani & Lengyel 2011, arXiv:1112.5745, eq. 2"
    summary = "the records whose label would tell most of which model is right"

    def measure(self, members: Numbers) -> Floats:
        known = np.asarray(members, np.float64)
        found: Floats = entropy(known.mean(0)) - entropy(known).mean(0)
        return np.maximum(found, 0)


def bagged(
    embeddings: Numbers, labelled: Index, classes: int, *, members: int = _MEMBERS, seed: int = 0
) -> Numbers:
    """(members, n, classes) what logistic regressions say that were taught different labels.

    Query by bagging (Abe & Mamitsuka 1998, ICML 15, section 3): each member is taught as many
    labelled records as there are, drawn with replacement. A class that the draw missed gets one of
    its records back, or a member would deny it for want of a look. Of over 2000 labelled records
    as many are drawn. `labelled` (n,) has -1 where there is no label.

    Raises SettingError where no record has a label, and for fewer than two members.

    >>> said = bagged(np.array([[0.0], [1.0], [0.5]]), np.array([0, 1, -1]), 2, members=3)
    >>> said.shape, bool((said[:, 0, 0] > 0.5).all())
    ((3, 3, 2), True)
    """
    if members < 2:
        raise SettingError("members", "a number of models, at least 2", members)
    rng = np.random.default_rng((seed, 17))
    known = np.flatnonzero(labelled >= 0)
    if not len(known):
        raise SettingError("labelled", "a class for one record at least", "none")
    known = np.sort(rng.permutation(known)[:_TAUGHT])
    x, y = np.asarray(embeddings[known]), labelled[known]
    models = [taught(x, y, classes, _drawn(y, rng)) for _ in range(members)]
    return gathered(models, embeddings, classes)


def gathered(models: Sequence[Member], embeddings: Numbers, classes: int) -> Numbers:
    """(m, n, classes) float32: what each model says of each record, asked in blocks.

    More than 512 MB are a map of a file that goes with it.
    """
    shape = (len(models), len(embeddings), classes)
    found: Numbers
    if 4 * np.prod(shape, dtype=np.int64) <= _IN_MEMORY:
        found = np.empty(shape, np.float32)
    else:
        with scratch("leaven-committee-") as file:
            found = np.memmap(file, np.float32, "w+", shape=shape)
    for part in blocks(len(embeddings), max(embeddings.shape[1], classes)):
        rows = np.asarray(embeddings[part])
        for i, model in enumerate(models):
            found[i, part] = model(rows)
    return found


def _drawn(y: Index, rng: np.random.Generator) -> Index:
    """(len(y),) how often each record is taught: drawn with replacement, no class left out."""
    times = np.bincount(rng.integers(len(y), size=len(y)), minlength=len(y))
    for missed in np.setdiff1d(y, y[times > 0]):
        times[rng.choice(np.flatnonzero(y == missed))] = 1
    return times


def taught(x: Numbers, y: Index, classes: int, times: Index | None = None) -> Member:
    """A logistic regression of records x (n, d) with classes y (n,), so many copies of each.

    It gives nothing to a class of which it saw no record, and all to the only one.
    """
    seen = np.ones(len(y), bool) if times is None else times > 0
    weight = None if times is None else times[seen].astype(np.float64)
    present = np.unique(y[seen])
    model = LEARNERS["logistic"].estimator(seed=0) if len(present) > 1 else None
    if model is not None:
        model.fit(np.asarray(x, np.float64)[seen], y[seen], weight)

    def said(rows: Numbers) -> Numbers:
        found = np.zeros((len(rows), classes))
        found[:, present] = 1.0 if model is None else model.predict_proba(rows)
        return found

    return said


for _strategy in (VoteEntropy(), Bald()):
    STRATEGIES.add(_strategy.name, _strategy)
