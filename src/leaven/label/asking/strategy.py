"""What to label next: the strategies, and the batch that is asked for.

A strategy ranks; `ask` makes of it a batch that a person can be shown: no record twice, no copy of
another, none that has a label, some at random.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.registry import Registry
from leaven.data.dataset import Index
from leaven.label.asking.pool import Pool

__all__ = ["EXPLORES", "STRATEGIES", "Asked", "Strategy", "ask", "caution", "chosen", "highest"]

Floats = npt.NDArray[np.float64]

#: Why a record is asked that was drawn at random.
EXPLORES = "Drawn at random, so that the model's blind spots are seen too"
_PADS = "Drawn at random, for the strategy finds nothing more to ask"
_FEW = 4  # labels a class below which coverage beats uncertainty
_MANY = 25  # labels a class from which on the benchmark says nothing


@dataclass(frozen=True, eq=False)
class Asked:
    """Records to ask about, the one worth most first.

    `index` (b,) positions; `scores` (b,) what the strategy measured of each when it was chosen,
    more is more worth asking, NaN where the record was drawn at random; `reasons` b sentences for
    the person who is asked. Scores fall along the batch, but for strategies that draw (badge) and
    those that choose part by part (typiclust, diverse).
    """

    index: Index
    scores: Floats
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def of(cls, index: Any, scores: Any, why: Callable[[int, float], str]) -> Asked:
        """With the reason that `why` gives of each position and score."""
        index, scores = np.asarray(index, np.int64), np.asarray(scores, np.float64)
        pairs = zip(index.tolist(), scores.tolist(), strict=True)
        return cls(index, scores, tuple(why(row, score) for row, score in pairs))


class Strategy(ABC):
    """Chooses which records to ask about.

    `rank` gives `count` records of `pool.open` at most, each once, the one worth most first; fewer
    where there are fewer, or where no other would add anything. Same pool, same seed, same answer.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    #: Points of accuracy that its batches cost beside random ones while labels are few, by
    #: `benchmarks/annotation.py`; 0 where they cost nothing, or it was not measured.
    costs: ClassVar[float] = 0.0
    #: What of the pool it reads, beside the labels.
    needs: ClassVar[tuple[Literal["probabilities", "embeddings", "members"], ...]]

    @abstractmethod
    def rank(self, pool: Pool, count: int) -> Asked:
        """The records to ask about; see the class."""


STRATEGIES: Registry[Strategy] = Registry(
    "strategy", "leaven.label.asking.strategies", group="leaven.strategies"
)


def highest(
    scores: npt.NDArray[np.floating[Any]], count: int, open: npt.NDArray[np.bool_], seed: int
) -> Index:
    """Positions of the `count` open records of highest score (n,), the highest first.

    Ties are drawn: files are often sorted by class, and the first of equals would be all of one.

    >>> highest(np.array([0.1, 0.9, 0.5, 0.7]), 2, np.array([True, False, True, True]), 0).tolist()
    [3, 2]
    """
    rows = np.flatnonzero(open)
    values = scores[rows]
    if count < len(rows):
        limit = np.partition(values, len(rows) - count)[len(rows) - count]
        above = np.flatnonzero(values > limit)
        ties = np.flatnonzero(values == limit)
        drawn = np.random.default_rng(seed).permutation(ties)[: count - len(above)]
        kept = np.concatenate([above, drawn])
        rows, values = rows[kept], values[kept]
    else:
        shuffled = np.random.default_rng(seed).permutation(len(rows))
        rows, values = rows[shuffled], values[shuffled]
    return rows[np.argsort(-values, kind="stable")]


def chosen(pool: Pool) -> str:
    """The strategy that `auto` takes for a pool.

    What is worth asking turns round with the number of labels (Hacohen, Dekel & Weinshall 2022,
    arXiv:2202.02794): with few, typical records beat uncertain ones, for a model
    that knows little is unsure of everything, of outliers most; with many, the uncertain ones beat
    the typical. So without labels and below 4 a class records are asked that stand for others
    (typiclust); later those of which the model is unsure, no two of a batch for one reason
    (diverse). That it turns at 4, and to which of the two, is our choice. Where embeddings are
    missing the margin has to do, where all is missing the draw.
    """
    few = len(pool.known) < _FEW * max(pool.classes, 1)
    if pool.embeddings is not None and (few or pool.probabilities is None):
        return "typiclust"
    if pool.probabilities is None:
        return "random" if pool.members is None else "bald"
    return "margin" if pool.embeddings is None else "diverse"


def caution(pool: Pool, name: str) -> str:
    """What is to be said before a batch of this strategy is asked; "" where nothing is."""
    lost = STRATEGIES[name].costs
    if not lost or len(pool.known) >= _MANY * max(pool.classes, 1):
        return ""
    return (
        f"While labels are few, batches by {name} were {lost:.1f} points of accuracy below random "
        "ones on average over six sets (docs/annotation.md). Let auto choose, or ask for few."
    )


def ask(
    pool: Pool,
    count: int,
    strategy: str | Strategy = "auto",
    *,
    explore: float = 0.1,
    groups: Sequence[Any] | npt.NDArray[Any] | None = None,
) -> Asked:
    """The next batch to label: `count` records, or all that are open where these are fewer.

    Parameters
    ----------
    strategy : the name of one, or one; `auto` takes what `chosen` says.
    explore : share of the batch that is drawn at random, and stands anywhere in it. A strategy
        that asks where the model is unsure never sees where it is sure and wrong. A part of a
        record is drawn for: one record in ten batches of one, by default.
    groups : (n,) which records are copies of one another: those of one value. One of a group is
        asked at most, and none of a group that has a label.

    Raises SettingError where the pool lacks what the strategy needs.

    >>> sure = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8]])
    >>> asked = ask(Pool(np.full(3, -1), sure, names=("ham", "spam")), 1, "margin", explore=0)
    >>> asked.index.tolist(), asked.reasons[0].replace("\u202f", " ")
    ([1], 'Least sure: 55 % ham, 45 % spam')
    """
    if count < 1:
        raise SettingError("count", "a number of records from 1", count)
    if not 0 <= explore <= 1:
        raise SettingError("explore", "a share from 0 to 1", explore)
    if groups is not None:
        pool = pool.only(_firsts(pool, groups))
    found = _strategy(pool, strategy)
    if missing := _lacking(pool, found):
        fit = [name for name, known in STRATEGIES.items() if not _lacking(pool, known)]
        wanted = f"one of {', '.join(fit)}, for the pool has no {missing[0]}"
        raise SettingError("strategy", wanted, found.name)
    count = min(count, int(pool.open.sum()))
    # The draws differ from round to round though the seed stays.
    rng = np.random.default_rng((pool.seed, len(pool.known)))
    explored = int(explore * count + rng.random())
    ranked = found.rank(pool, count - explored) if count > explored else _nothing()
    left = pool.open.copy()
    left[ranked.index] = False
    drawn = rng.permutation(np.flatnonzero(left))[: count - len(ranked)]
    return _mixed(ranked, drawn, explored, rng)


def _strategy(pool: Pool, strategy: str | Strategy) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    return STRATEGIES[chosen(pool) if strategy == "auto" else strategy]


def _lacking(pool: Pool, strategy: Strategy) -> list[str]:
    return [need for need in strategy.needs if getattr(pool, need) is None]


def _nothing() -> Asked:
    return Asked(np.zeros(0, np.int64), np.zeros(0), ())


def _firsts(pool: Pool, groups: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(n,) the first open record of each group without a label."""
    values = np.asarray(groups)
    if values.shape != pool.labelled.shape:
        raise SettingError("groups", f"one value for each of {len(pool)} records", values.shape)
    group = np.unique(values, return_inverse=True)[1]
    answered = np.isin(group, group[pool.known])
    free = np.flatnonzero(pool.open & ~answered)
    first = np.zeros(len(pool), bool)
    first[free[np.unique(group[free], return_index=True)[1]]] = True
    return first


def _mixed(ranked: Asked, drawn: Index, explored: int, rng: np.random.Generator) -> Asked:
    """The ranked records in their order, explored ones anywhere among them, padding last."""
    whole = len(ranked) + min(explored, len(drawn))
    random = np.zeros(whole + max(len(drawn) - explored, 0), bool)
    random[rng.permutation(whole)[: whole - len(ranked)]] = True
    random[whole:] = True
    index, scores = np.empty(len(random), np.int64), np.full(len(random), np.nan)
    index[~random], index[random] = ranked.index, drawn
    scores[~random] = ranked.scores
    said = iter(ranked.reasons)
    reasons = tuple(
        (EXPLORES if row < whole else _PADS) if is_random else next(said)
        for row, is_random in enumerate(random.tolist())
    )
    return Asked(index, scores, reasons)
