"""A rehearsal: whether asking would have paid on the labels that there are, before more are bought.

The labelled records are played through: most of their labels are hidden, a few stay, and the
strategy asks for others round by round while as many are drawn at random beside it. Whoever asks
is judged on labelled records that neither could buy. This costs no label, and says where a
strategy is not worth its bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from leaven.core.errors import SettingError
from leaven.core.wording import count, many, points, span
from leaven.data.dataset import Index
from leaven.evaluate.intervals import Estimate
from leaven.label.asking.pool import Numbers, Pool
from leaven.label.asking.strategies.committee import bagged, taught
from leaven.label.asking.strategy import STRATEGIES, Strategy, ask

__all__ = ["ENOUGH", "Rehearsal", "rehearse"]

Floats = npt.NDArray[np.float64]
Outcome = Literal["better", "no better", "too few labels to tell"]

#: Labelled records from which a rehearsal is worth its time.
ENOUGH = 60
_MOST = 500  # labelled records that are played through
_WIDTH = 128  # leading components of the features that are read
_HELD = 3  # one in three judges
_FIRST = 2  # labels a class at first
_BOUGHT = 5  # one in five that can be bought is: who buys most of what there is hardly chooses
_LEAST = 2  # labels of a round at least
_COMMITTEE = 5
_WORTH = 0.01  # accuracy; a strategy that gains less than this is no better


@dataclass(frozen=True)
class Rehearsal:
    """What a strategy would have gained on the labels that there are.

    Attributes
    ----------
    strategy : its name.
    outcome : `better` where the interval lies above zero, `no better` where it ends below a point
        of accuracy, else `too few labels to tell`.
    difference : accuracy less that of labels drawn at random, the mean over all rounds and
        replays, with its 95 % interval; None where there was nothing to replay. `n` is how many
        labelled records took part.
    start, bought : labels at the start of a replay, and how many were bought in it.
    replays : how often it was played.
    sentence : all this in words.
    """

    strategy: str
    outcome: Outcome
    difference: Estimate | None
    start: int
    bought: int
    replays: int
    sentence: str


def rehearse(
    pool: Pool,
    strategy: str | Strategy = "auto",
    *,
    explore: float = 0.0,
    replays: int = 20,
    rounds: int = 2,
    seed: int = 0,
) -> Rehearsal:
    """Whether a strategy beats labels drawn at random, on the labelled records of a pool.

    In each replay a third of them, drawn class by class, judges and cannot be bought. Of the others
    two a class are labelled at first, and a fifth of the rest is bought in `rounds`. A logistic
    regression is taught after each, which is also what the strategy reads. Split and start are the
    same for both. Of over 500 labelled records as many are drawn, and of features the
    128 leading components.

    Replays share their judges, so that the spread of r replays alone would claim too much: the
    variance of the mean is s²/r of the replays' gains and s²/n of the records' mean gains together,
    as for tables that vary by row and by column (Owen 2007, Annals of Applied Statistics 1,
    section 3), and the interval has the t quantile of r - 1.

    Real pools are larger, and the most uncertain of thousands are odder than those of hundreds: a
    strategy may lose there what it gains here, so that `no better` is to be heeded and `better`
    holds for choosing among as few (docs/annotation.md). Labels that were themselves asked for are
    no sample of the records: what is seen on them holds for their like.

    Parameters
    ----------
    pool : its `labelled` and `embeddings` are read.
    explore : the share drawn at random, see `ask`.

    Raises SettingError for a pool without embeddings, for the strategy `random`, and for fewer than
    two replays or one round.

    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> rehearse(Pool(np.arange(20) % 2, embeddings=x), "margin").outcome
    'too few labels to tell'
    """
    if pool.embeddings is None:
        raise SettingError("pool", "one with embeddings", "none")
    if strategy == "random":
        raise SettingError("strategy", "another than random, which it is held against", strategy)
    if replays < 2:
        raise SettingError("replays", "a number of replays, at least 2", replays)
    if rounds < 1:
        raise SettingError("rounds", "a number of rounds, at least 1", rounds)
    name = strategy if isinstance(strategy, str) else strategy.name
    if name != "auto" and isinstance(strategy, str):
        strategy = STRATEGIES[strategy]
    rows = np.sort(np.random.default_rng((seed, 5)).permutation(pool.known)[:_MOST])
    present, y = np.unique(pool.labelled[rows], return_inverse=True)
    if len(rows) < ENOUGH or len(present) < 2:
        return _untold(name, len(rows), len(present))
    stage = _Stage(_leading(np.asarray(pool.embeddings[rows], np.float64)), y, len(present))
    each = stage.each(rounds)
    if each < _LEAST:
        return _untold(name, len(rows), len(present))
    gains = np.array([
        stage.played(strategy, explore, rounds, replay)
        - stage.played("random", 0.0, rounds, replay)
        for replay in range(1000 * seed, 1000 * seed + replays)
    ])  # fmt: skip
    found = _interval(gains)
    outcome: Outcome = "too few labels to tell"
    if found.low > 0:
        outcome = "better"
    elif found.high < _WORTH:
        outcome = "no better"
    start, bought = stage.start, each * rounds
    sentence = _sentence(name, outcome, found, bought, replays)
    return Rehearsal(name, outcome, found, start, bought, replays, sentence)


class _Stage:
    """Labelled records x (n, d), classes y (n,), on which asking is played."""

    def __init__(self, x: Numbers, y: Index, classes: int) -> None:
        self.x, self.y, self.classes = x, y, classes
        sizes = np.bincount(y)
        #: Labels at the start of a replay, at most.
        self.start = int(np.minimum(sizes, _FIRST).sum())

    def each(self, rounds: int) -> int:
        """Labels of a round: a fifth of what may be bought, over all rounds."""
        others = len(self.y) - (len(self.y) + _HELD - 1) // _HELD
        return (others - self.start) // _BOUGHT // rounds

    def played(self, strategy: str | Strategy, explore: float, rounds: int, seed: int) -> Floats:
        """(n,) in which share of the rounds each record held out was told right, NaN for others.

        `seed` is the replay's.
        """
        order = np.random.default_rng((seed, 6)).permutation(len(self.y))
        order = order[np.argsort(self.y[order], kind="stable")]
        held = np.zeros(len(self.y), bool)
        held[order[seed % _HELD :: _HELD]] = True
        labelled = np.full(len(self.y), -1, np.int64)
        open_ = order[~held[order]]
        for one in range(self.classes):
            first = open_[self.y[open_] == one][:_FIRST]
            labelled[first] = one
        model = taught(self.x[labelled >= 0], labelled[labelled >= 0], self.classes)
        right = np.where(held, 0.0, np.nan)
        for number in range(rounds):
            pool = Pool(
                labelled,
                model(self.x),
                self.x,
                self._members(strategy, labelled, seed),
                askable=~held,
                seed=seed * rounds + number,
            )
            asked = ask(pool, self.each(rounds), strategy, explore=explore).index
            labelled[asked] = self.y[asked]
            known = labelled >= 0
            model = taught(self.x[known], labelled[known], self.classes)
            right += (model(self.x).argmax(1) == self.y) / rounds
        return right

    def _members(self, strategy: str | Strategy, labelled: Index, seed: int) -> Numbers | None:
        if isinstance(strategy, str) or "members" not in strategy.needs:
            return None
        return bagged(self.x, labelled, self.classes, members=_COMMITTEE, seed=seed)


def _leading(x: Floats) -> Floats:
    """(n, d) in their leading principal components, which keep the distances nearly."""
    x = x - x.mean(0)
    if x.shape[1] <= _WIDTH:
        return x
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    leading: Floats = u[:, :_WIDTH] * s[:_WIDTH]
    return leading


def _interval(gains: Floats) -> Estimate:
    """The mean of gains (replays, n), NaN of records that did not judge; see `rehearse`."""
    r = len(gains)
    of_replays = np.nanmean(gains, axis=1)
    of_records = np.nanmean(gains[:, ~np.isnan(gains).all(0)], axis=0)
    mean = float(of_replays.mean())
    variance = of_replays.var(ddof=1) / r + of_records.var(ddof=1) / len(of_records)
    half = float(student.ppf(0.975, r - 1) * np.sqrt(variance))
    return Estimate(mean, mean - half, mean + half, gains.shape[1])


def _untold(name: str, labels: int, classes: int) -> Rehearsal:
    """Where there is nothing to replay."""
    why = f"{many(labels, 'label is', 'labels are')} too few to rehearse {name}"
    if labels >= ENOUGH:
        why += f" with {many(classes, 'class', 'classes')}"
    return Rehearsal(name, "too few labels to tell", None, 0, 0, 0, f"{why}.")


def _sentence(name: str, outcome: Outcome, found: Estimate, bought: int, replays: int) -> str:
    figures = f"{points(found.value)} points of accuracy, {span(found.low, found.high)}"
    seen = (
        f"{figures}, when {count(bought)} of your {count(found.n)} labels were bought again "
        f"{count(replays)} times."
    )
    said = {
        "better": f"{name} beats labels drawn at random",
        "no better": f"{name} is no better than labels drawn at random",
        "too few labels to tell": f"Too few labels to tell whether {name} beats a random draw",
    }[outcome]
    if found.high < 0:
        said = f"{name} is worse than labels drawn at random"
    return f"{said}: {seen}"
