"""Co-training: two models of two views of each record label the records that both learn from.

Blum & Mitchell 1998, table 1: each round either model names, of each class, the unlabelled
records it is surest of, and all these join the labelled set of both. The answer is the mean of
the two models; the paper multiplies them.

Use it where a record has two sides of which each would do: words and links, two sensors. Name the
two sets of columns in Python; otherwise the columns are divided so that both halves tell as much.

It fails where neither half suffices alone, or both err on the same records: then one model's
mistakes are the other's lessons. It does not take a label back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_selection import f_classif

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.choices.choice import within
from leaven.learn.classic_method import Frozen
from leaven.learn.method import METHODS
from leaven.learn.wrapped_method import WrapperMethod, all_weights
from leaven.learn.wrapping import Floats, Index, Round, Rounds, Wrapped, Wrapping

__all__ = ["CoTraining", "co_train", "quotas"]

_SPLITS = ("relevance", "halves")


def co_train(
    estimator: Any, X: Any, targets: Any, classes: int, *, weights: Any = None,
    views: Sequence[npt.ArrayLike] | None = None, split: str = "relevance", rounds: int = 30,
    quota: float = 0.02, pool: int = 0, seed: int = 0, jobs: int = 1,
) -> Rounds:  # fmt: skip
    """Two models on two views label for each other, round by round; see the module.

    Parameters
    ----------
    estimator, X, targets, weights : as in `self_train`.
    views : two lists of columns of X. Without them `split` divides the columns: `relevance` deals
        them out by their F value on the labelled records, first, second, second, first, so that
        both halves tell about as much; `halves` draws them.
    rounds : at most; it ends sooner where no record is left to be named.
    quota : what either model names a round, as a share of the unlabelled records; one of each
        class at least (the paper's p and n). A class's part is its share of the labels.
    pool : how many unlabelled records, drawn and refilled, either may choose from in a round (the
        paper's u' = 75); 0 for all.

    A record that the two name differently in one round stays unlabelled, on which the paper is
    silent. Raises SettingError and DataError as `Wrapping` does, and SettingError for views that
    are not two sets of columns.
    """
    _check(split, rounds, quota, pool)
    wrapping = Wrapping(estimator, X, targets, classes, weights, seed, jobs)
    sides = _divided(wrapping, split) if views is None else _checked(views, wrapping.X.shape[1])
    places, labels, counts = wrapping.unlabelled, wrapping.targets.copy(), wrapping.weights.copy()
    of_each = quotas(labels[wrapping.labelled], classes, quota * len(places))
    open_to = wrapping.draw(0).permutation(len(places))
    room = pool or len(places)
    taught = np.zeros((len(places), classes))

    def fitted(number: int) -> list[Any]:
        return wrapping.at_once(
            lambda side: wrapping.fit(labels, counts, number, side, columns=sides[side]), (0, 1)
        )

    for number in range(1, rounds + 1):
        told = [
            wrapping.ask(member, places, columns)
            for member, columns in zip(fitted(number), sides, strict=True)
        ]
        candidates = open_to[:room]
        named = _agreed([_surest(said, candidates, of_each) for said in told])
        mean = np.mean(told, axis=0)
        chosen = np.array(sorted(named), np.int64)
        for record in chosen:
            side = int(told[1][record, named[record]] > told[0][record, named[record]])
            taught[record] = told[side][record]
            labels[places[record]], counts[places[record]] = named[record], 1.0
        # What counts keeps the guess it was accepted by; of the rest it is the present one.
        known = counts[places] > 0
        guess = np.where(known[:, None], taught, mean)
        yield Round(number, rounds, places, guess, known.astype(float), mean.argmax(1))
        open_to = open_to[~np.isin(open_to, chosen)]
        if not len(open_to) or (not len(chosen) and room >= len(open_to)):
            break
        if not len(chosen):  # the two differ on all that they may choose from
            open_to = np.roll(open_to, -room)
    return Wrapped(tuple(fitted(rounds + 1)), tuple(sides), classes, labels, counts, number)


def quotas(labels: Index, classes: int, total: float) -> Index:
    """(k,) how many records of each class to name, about `total`, by the classes' shares.

    One at least of each class that has a label, none of others.
    """
    counts = np.bincount(labels, minlength=classes)
    wanted = np.maximum(np.round(total * counts / counts.sum()).astype(np.int64), 1)
    return np.where(counts > 0, wanted, 0)


@dataclass(frozen=True)
class CoTraining(WrapperMethod):
    """See `co_train`; the fields are its settings."""

    split: str = "relevance"
    rounds: int = 30
    quota: float = 0.02
    pool: int = 0

    name = "co-training"
    summary = "two linear models of two halves of the features label for each other"
    paper = "Blum & Mitchell 1998, COLT"

    def __post_init__(self) -> None:
        _check(self.split, self.rounds, self.quota, self.pool)

    def wrap(self, estimator: Any, known: Frozen) -> Rounds:
        """Two members, of half the features each."""
        return co_train(
            estimator, known.features, known.targets, known.classes, weights=all_weights(known),
            split=self.split, rounds=self.rounds, quota=self.quota, pool=self.pool,
            seed=known.seed,
        )  # fmt: skip


def _check(split: str, rounds: int, quota: float, pool: int) -> None:
    """Raise SettingError for settings that cannot be followed."""
    if split not in _SPLITS:
        raise UnknownNameError("split", split, _SPLITS)
    within("rounds", rounds, 1, 10_000)
    within("quota", quota, 0, 1)
    within("pool", pool, 0, 1_000_000_000)


def _checked(views: Sequence[npt.ArrayLike], width: int) -> list[Index]:
    """The two views as columns; raises SettingError unless they are."""
    sides = [np.unique(np.asarray(view, np.int64)) for view in views]
    if len(sides) != 2 or any(not len(s) or s[0] < 0 or s[-1] >= width for s in sides):
        raise SettingError("views", f"two lists of columns from 0 to {width - 1}", views)
    return sides


def _divided(wrapping: Wrapping, split: str) -> list[Index]:
    """Two halves of the columns."""
    width = wrapping.X.shape[1]
    if width < 2:
        raise SettingError("X", "of two columns at least, for there are two views", width)
    order = wrapping.draw(1).permutation(width)
    rows = wrapping.labelled
    labels = wrapping.targets[rows]
    kinds = len(np.unique(labels))
    if split == "relevance" and 1 < kinds < len(rows):
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", UserWarning)  # constant columns: they come last
            known = wrapping.X[rows]  # what an estimator may take, gaps, F values do not
            filled = np.nan_to_num(known) if isinstance(known, np.ndarray) else known
            value, _ = f_classif(filled, labels)
        value = np.nan_to_num(value, nan=0.0, posinf=np.finfo(float).max)
        order = order[np.argsort(-value[order], kind="stable")]
    first = np.isin(np.arange(width) % 4, (0, 3))
    return [np.sort(order[first]), np.sort(order[~first])]


def _surest(said: Floats, candidates: Index, of_each: Index) -> dict[int, int]:
    """The class of each record that one model names: of each class those it is surest of.

    Only records whose likeliest class it is; a class may get fewer than its quota.
    """
    own = said[candidates].argmax(1)
    named: dict[int, int] = {}
    for label, most in enumerate(of_each):
        its = candidates[own == label]
        surest = its[np.argsort(-said[its, label], kind="stable")[:most]]
        named.update(dict.fromkeys(surest.tolist(), label))
    return named


def _agreed(named: Sequence[dict[int, int]]) -> dict[int, int]:
    """What either names, without the records on which they differ."""
    one, other = named
    return {
        record: label
        for record, label in (one | other).items()
        if one.get(record, label) == other.get(record, label)
    }


METHODS.add("co-training", CoTraining())
