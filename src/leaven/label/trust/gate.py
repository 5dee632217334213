"""Whether a class's pseudo-labels may go on being accepted, by audits that are looked at always.

Answers come one by one, and who looks after each stops sooner or later by chance alone if each
look has an error of its own. Here the error holds over all looks together. A wealth that bets
against "right with chance m at most" (or at least) grows, on average, not at all while that is so,
and so reaches 1 / level ever with probability `level` at most (Ville 1939). The bets are Robbins'
mixture (1970): the likelihood of the answers averaged over a uniform q beyond m, by that of m,

    low(m)  = 1/(1-m) * integral from m to 1 of q^r (1-q)^w dq / (m^r (1-m)^w)
    high(m) = 1/m     * integral from 0 to m of q^r (1-q)^w dq / (m^r (1-m)^w)

for r right and w wrong answers: incomplete beta functions. Because only q on one side of m are
averaged, it holds for chances that change from answer to answer as well (Waudby-Smith & Ramdas
2024, "Estimating means of bounded random variables by betting", on both).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, betaln, xlog1py, xlogy

from leaven.core.errors import SettingError
from leaven.core.wording import count, percent
from leaven.learn.answers import check_known
from leaven.learn.predictions import Floats, Ints

__all__ = ["Gate", "Verdict", "bounds"]

_HALVINGS = 50
_AHEAD = 5000  # right answers in a row that are looked ahead for


@dataclass(frozen=True)
class Verdict:
    """What the audits say of a class.

    `state` is `collecting` (not shown to reach the target), `holding` (shown: pseudo-labels of
    this class are accepted), `paused` (was shown and is no longer: none are accepted until it is
    again) or `stopped` (shown to miss it: none are accepted any more). `low` and `high` bound the
    precision, each at every look together; `since` is the answer, counted within the class from
    1, by which it came to this state, 0 for the beginning.
    """

    of: int
    state: str
    n: int
    right: int
    low: float
    high: float
    since: int
    sentence: str

    @property
    def accepts(self) -> bool:
        """Whether pseudo-labels of this class are accepted."""
        return self.state == "holding"


@dataclass(frozen=True)
class Gate:
    """Accepts pseudo-labels of a class only while their precision is shown to be `target`.

    Of each class, however often and whenever one looks:

    - it is ever `holding`, while no audited answer had a chance above `target` of being right,
      with probability `level` at most;
    - it is ever `stopped`, while none had a chance under `target`, with that probability at most;
    - no pseudo-label is accepted while the lower bound is under `target`: acceptance stops by
      itself when the bound falls, and returns with it. That alone is no proof against the class,
      whose bound may fall by chance, so it is `paused`, not `stopped`.

    The chance is that of an answer given those before, so the class may become better or worse
    from batch to batch. That it became worse is noticed apart from how good it was: half of the
    wealth bets from the beginning, and of the rest 1 / (b (b + 1)) from the b-th further batch.
    Records are to be drawn by chance within each batch (`audits.draw`); where a batch is audited
    to the last record the bounds are, if anything, too wide.
    """

    target: float = 0.9
    level: float = 0.05

    def __post_init__(self) -> None:
        for name in ("target", "level"):
            if not 0 < getattr(self, name) < 1:
                raise SettingError(name, "a share in (0, 1)", getattr(self, name))

    def judge(
        self,
        classes: npt.ArrayLike,
        right: npt.ArrayLike,
        batches: npt.ArrayLike | None = None,
        names: Sequence[str] = (),
    ) -> list[Verdict]:
        """The state of each class by all answers so far, in the order in which they came.

        Parameters
        ----------
        classes : (s,) the pseudo-label of each audited record.
        right : (s,) whether the person said the same.
        batches : (s,) the number of the batch that each was drawn from.
        names : of the classes, for the sentences and for classes without an answer; by default
            those up to the largest number, called by it.

        >>> sure = Gate(0.9).judge([0] * 60 + [1] * 9, [1] * 60 + [0] * 9, names=["ham", "spam"])
        >>> [(verdict.state, verdict.since) for verdict in sure]
        [('holding', 43), ('stopped', 3)]
        """
        named, hits = np.asarray(classes), np.asarray(right)
        n = len(named)
        top = max(int(named.max(initial=-1)) + 1 if named.dtype.kind in "iu" else 0, 2)
        known = check_known(named, n, max(len(names), 2) if names else top)
        if n and known.min() < 0:
            raise SettingError("classes", "the pseudo-label of each audited record", -1)
        if hits.shape != (n,) or not np.isin(hits, (0, 1)).all():
            raise SettingError("right", f"{n} times true or false", hits)
        came = np.zeros(n, np.int64) if batches is None else np.asarray(batches)
        if came.shape != (n,):
            raise SettingError("batches", f"{n} numbers, one an answer", came.shape)
        called = list(names) or [str(c) for c in range(int(known.max(initial=-1)) + 1)]
        return [
            self._verdict(c, name, hits[known == c].astype(np.int64), came[known == c])
            for c, name in enumerate(called)
        ]

    def _verdict(self, of: int, name: str, hits: Ints, came: npt.NDArray[np.generic]) -> Verdict:
        needed = -math.log(self.level)
        right, wrong = np.cumsum(hits), np.cumsum(1 - hits)
        shown = _low(right, wrong, self.target) >= needed
        missed = np.flatnonzero(self._wealth(hits, came) >= needed)
        state, since = "collecting", 0
        if len(missed):
            state, since = "stopped", int(missed[0]) + 1
        elif shown.any():
            state = "holding" if shown[-1] else "paused"
            since = int(np.flatnonzero(shown != shown[-1])[-1]) + 2 if not shown.all() else 1
        n, r = len(hits), int(hits.sum())
        low, high = bounds(r, n - r, self.level)
        said = f"'{name}': none of its pseudo-labels is audited yet."
        if n:
            said = f"'{name}': {count(r)} of {count(n)} audited pseudo-labels were right."
        told = Verdict(of, state, n, r, low, high, since, said)
        return replace(told, sentence=f"{said} {self._advice(told)}")

    def _wealth(self, hits: Ints, came: npt.NDArray[np.generic]) -> Floats:
        """(n,) logarithm of the wealth, after each answer, that bets against the target.

        What bets from a later batch on keeps its stake until then.
        """
        _, first = np.unique(came, return_index=True)
        starts = np.sort(first)
        wealth = np.full(len(hits), -np.inf)
        idle = np.full(len(hits), 0.5)
        for b, start in enumerate(starts.tolist()):
            stake = 0.5 if b == 0 else 0.5 / (b * (b + 1))
            if b:
                idle[start:] -= stake
            right, wrong = np.cumsum(hits[start:]), np.cumsum(1 - hits[start:])
            grown = math.log(stake) + _high(right, wrong, self.target)
            wealth[start:] = np.logaddexp(wealth[start:], grown)
        together: Floats = np.logaddexp(wealth, np.log(idle))
        return together

    def _advice(self, told: Verdict) -> str:
        least = f"At least {percent(told.low)} of all are"
        goal = f"the target of {percent(self.target)}"
        if told.state == "holding":
            return f"{least}, above {goal}: they are accepted."
        if told.state == "stopped":
            why = f"The latest miss {goal}"
            if told.high < self.target:
                why = f"At most {percent(told.high)} of all are, under {goal}"
            return (
                f"{why}: stopped at answer {count(told.since)}. Have people label this class, or "
                "raise the confidence that it takes, and begin anew."
            )
        wrong, needed = np.array([told.n - told.right]), -math.log(self.level)

        def enough(more: int) -> bool:
            return bool(_low(np.array([told.right + more]), wrong, self.target)[0] >= needed)

        more = bisect_left(range(_AHEAD), True, key=enough)
        soonest = f" {count(more)} more would do if all are right." if more < _AHEAD else ""
        if told.state == "paused":
            return f"{least}, again under {goal}: none are accepted until that rises.{soonest}"
        return f"That does not show {goal} yet: none are accepted. Audit more.{soonest}"


def bounds(right: int, wrong: int, level: float = 0.05) -> tuple[float, float]:
    """A lower and an upper bound of the chance of being right.

    Each holds at every look together with probability 1 - `level` at least, where the chance is
    always the same.

    >>> [round(end, 3) for end in bounds(95, 5)]
    [0.866, 0.993]
    """
    if right < 0 or wrong < 0:
        raise SettingError("right", "numbers of answers, at least 0", (right, wrong))
    if not 0 < level < 1:
        raise SettingError("level", "a share in (0, 1)", level)
    r, w, needed = np.array([right]), np.array([wrong]), -math.log(level)
    share = right / (right + wrong) if right + wrong else 0.5
    low = _end(lambda m: _low(r, w, m)[0] >= needed, 0.0, share)
    return low, _end(lambda m: _high(r, w, m)[0] >= needed, 1.0, share)


def _end(excluded: Callable[[float], bool], out: float, into: float) -> float:
    """Between `out`, which is excluded, and `into`, which is not, where exclusion ends."""
    for _ in range(_HALVINGS):
        middle = (out + into) / 2
        if not 0 < middle < 1:
            break
        out, into = (middle, into) if excluded(middle) else (out, middle)
    return out


def _low(right: Ints, wrong: Ints, m: float) -> Floats:
    """Logarithm of the wealth that bets on a chance above m."""
    return _wealth(right, wrong, m, betaincc(right + 1, wrong + 1, m) / (1 - m))


def _high(right: Ints, wrong: Ints, m: float) -> Floats:
    """Logarithm of the wealth that bets on a chance under m."""
    return _wealth(right, wrong, m, betainc(right + 1, wrong + 1, m) / m)


def _wealth(right: Ints, wrong: Ints, m: float, density: Floats) -> Floats:
    """By the part of the beta distribution that the mixture is of, over its width."""
    with np.errstate(divide="ignore"):  # no part of it is as likely: all is lost
        mixed = betaln(right + 1, wrong + 1) + np.log(density)
    found: Floats = mixed - xlogy(right, m) - xlog1py(wrong, -m)
    return found
