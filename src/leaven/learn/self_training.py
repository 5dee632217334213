"""Self-training around any classifier, with the rules of the consistency table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.learn.choices.accept import Gaussian
from leaven.learn.choices.align import ToPrior
from leaven.learn.choices.choice import Accept, Align, within
from leaven.learn.classic_method import Frozen
from leaven.learn.judging import Judge, check_rules
from leaven.learn.wrapped_method import WrapperMethod, all_weights
from leaven.learn.wrapping import Floats, Index, Round, Rounds, Wrapped, Wrapping

__all__ = ["SelfTrainingMethod", "self_train"]

_ACCEPT: Accept = Gaussian()
_ALIGN: Align = ToPrior()


def self_train(
    estimator: Any, X: Any, targets: Any, classes: int, *, weights: Any = None,
    accept: Accept | Sequence[Accept] = _ACCEPT, align: Align | Sequence[Align] = _ALIGN,
    rounds: int = 10, folds: int = 4, repeats: int = 1, keep: bool = False, weight: float = 1.0,
    seed: int = 0, jobs: int = 1,
) -> Rounds:  # fmt: skip
    """Fit on labels and on the own guesses that `accept` counts, until these no longer change.

    Yarowsky (1995) named the procedure; the rules are those of the consistency table, whose batch
    is all unlabelled records and whose step is the round. Two things are ours. Guesses are
    cross-fitted: unlabelled records are dealt into `folds`, by the class that is guessed first,
    and a record is guessed by a model that was not taught it, so that no model confirms itself.
    And each round guesses all records anew, so that a pseudo-label may be taken back, unless
    `keep` says that the first one stays.

    Parameters
    ----------
    estimator : scikit-learn classifier with `predict_proba`; it is cloned.
    X : (n, width) array or sparse matrix. `targets` : (n,) class numbers, -1 where unlabelled.
    weights : (n,) how much each labelled record counts.
    accept, align : one or several rules of `PARTS`. Those that ask about labelled records are
        told what a model says that was fitted without them.
    rounds : at most; it ends sooner where nothing changes and no rule moves.
    folds : 0 lets one model, fitted on all, guess: plain self-training.
    repeats : how often the records are dealt and guessed; the guess is the mean, and rules may
        ask for the deviation.
    weight : a factor on the weights of pseudo-labelled records.

    Raises SettingError and DataError as `Wrapping` and `Judge` do.
    """
    _check(accept, align, rounds, folds, repeats, weight)
    wrapping = Wrapping(estimator, X, targets, classes, weights, seed, jobs)
    judge = Judge(wrapping, accept, align, rounds, repeats, folds)
    places, labels, counts = wrapping.unlabelled, wrapping.targets.copy(), wrapping.weights.copy()
    kept = np.full(len(places), -1), np.zeros(len(places))
    kinds: Index | None = None
    number = 0
    while number < rounds and len(places):
        number += 1
        guess, spread = wrapping.guess(labels, counts, kinds, folds, repeats, number)
        kinds = guess.argmax(1) if kinds is None else kinds
        known = judge.ask_labelled(labels, counts, number) if judge.asks_labelled else None
        learnt, weighed = judge(number, guess, known, spread)
        named = np.where(weighed > 0, learnt.argmax(1), -1)
        if keep:
            named, weighed = kept = _held(kept, named, weighed)
        yield Round(number, rounds, places, learnt, weighed * weight, guess.argmax(1))
        same = np.array_equal(labels[places], named) and np.allclose(
            counts[places], weighed * weight, atol=1e-3
        )
        labels[places], counts[places] = named, weighed * weight
        if same and not judge.moves:
            break
    if not len(places):
        yield wrapping.empty_round()
    last = wrapping.fit(labels, counts)
    return Wrapped((last,), (None,), classes, labels, counts, max(number, 1))


@dataclass(frozen=True)
class SelfTrainingMethod(WrapperMethod):
    """See `self_train`; the fields are its settings."""

    accept: Accept | tuple[Accept, ...] = _ACCEPT
    align: Align | tuple[Align, ...] = _ALIGN
    rounds: int = 10
    folds: int = 4
    repeats: int = 1
    keep: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check(self.accept, self.align, self.rounds, self.folds, self.repeats, self.weight)

    def wrap(self, estimator: Any, known: Frozen) -> Rounds:
        """One member."""
        return self_train(
            estimator, known.features, known.targets, known.classes, weights=all_weights(known),
            accept=self.accept, align=self.align, rounds=self.rounds, folds=self.folds,
            repeats=self.repeats, keep=self.keep, weight=self.weight, seed=known.seed,
        )  # fmt: skip


def _check(accept: Any, align: Any, rounds: int, folds: int, repeats: int, weight: float) -> None:
    """Raise SettingError for settings that cannot be followed."""
    check_rules(accept, align, repeats)
    within("rounds", rounds, 1, 10_000)
    within("repeats", repeats, 1, 100)
    within("weight", weight, 0, 1e6)
    if folds != 0:
        within("folds", folds, 2, 1000)


def _held(kept: tuple[Index, Floats], named: Index, weighed: Floats) -> tuple[Index, Floats]:
    """The class and the weight with which each record was first accepted."""
    before, weight = kept
    fresh = before < 0
    return np.where(fresh, named, before), np.where(fresh, weighed, weight)
