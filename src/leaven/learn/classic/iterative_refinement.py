"""Iterative refinement: every round all records are labelled anew, and weighed by how surely.

Unlike self-training there is no set of accepted records: all unlabelled ones are taught in each
round, each with a weight between zero and one. The rounds alternate as in classification EM for a
discriminative model (Amini & Gallinari 2002, "Semi-supervised logistic regression", section 3):
name every record, fit on all names. Beside that, the unlabelled records' weight λ grows (Nigam et
al. 2000, "Text classification from labeled and unlabeled documents using EM", section 5.3.1,
where it is fixed); a record counts by the certainty of its guess and by how steadily it was named
so in former rounds; guesses are cross-fitted, and held to the classes' shares among the labels.
Steadiness and cross-fitting are ours. Labelled records may be doubted likewise: one whose label
other labelled records contradict counts less (the margin of confident learning, Northcutt, Jiang &
Chuang 2021, arXiv:1911.00068, section 3.2).

Use it where the shares of the labels are those of all records, and classes form clusters that a
few labels place roughly: what lies in a cluster is moved together.

It fails where the labels' shares are not those of the unlabelled records, and where classes
overlap much: records between them are taught all the same, though with little weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.learn.choices.align import ToPrior
from leaven.learn.choices.choice import Accept, Align, Ramp, within
from leaven.learn.choices.filters import Certain
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.classic_method import Frozen
from leaven.learn.judging import Judge, check_rules
from leaven.learn.method import METHODS
from leaven.learn.wrapped_method import WrapperMethod, all_weights
from leaven.learn.wrapping import Floats, Index, Round, Rounds, Wrapped, Wrapping

__all__ = ["IterativeRefinement", "refine"]

_ACCEPT: Accept = Certain()
_ALIGN: Align = ToPrior()
_RAMP: Ramp = LinearRamp(0.0, 0.5)


def refine(
    estimator: Any, X: Any, targets: Any, classes: int, *, weights: Any = None,
    accept: Accept | Sequence[Accept] = _ACCEPT, align: Align | Sequence[Align] = _ALIGN,
    ramp: Ramp | None = _RAMP, rounds: int = 10, folds: int = 4,
    weight: float = 1.0, memory: float = 0.5, doubt: float = 0.0, seed: int = 0, jobs: int = 1,
) -> Rounds:  # fmt: skip
    """Label all records anew each round, weighed by certainty and steadiness; see the module.

    Parameters
    ----------
    estimator, X, targets, weights, folds : as in `self_train`.
    accept : rules whose product is the certainty of a guess. `align` : what guesses are held to.
    ramp : how the unlabelled weight grows over the rounds, up to `weight`; None for at once.
    rounds : that are taken; all of them, since weights move to the end.
    memory : the share of the past in the running share of a record's name; 0 forgets, and
        steadiness then plays no part.
    doubt : 0 takes labels as they are; 1 lets a labelled record count by 1 less the margin, if
        positive, by which models without it find another class likelier than its label.

    Raises SettingError and DataError as `Wrapping` and `Judge` do.
    """
    _check(accept, align, rounds, folds, weight, memory, doubt)
    wrapping = Wrapping(estimator, X, targets, classes, weights, seed, jobs)
    judge = Judge(wrapping, accept, align, rounds, 1, folds)
    places, known = wrapping.unlabelled, wrapping.labelled
    labels, counts = wrapping.targets.copy(), wrapping.weights.copy()
    names: Floats | None = None
    kinds: Index | None = None
    number = 0
    while number < rounds and len(places):
        number += 1
        guess, spread = wrapping.guess(labels, counts, kinds, folds, 1, number)
        told = None
        if judge.asks_labelled or doubt:
            told = judge.ask_labelled(labels, counts, number)
        learnt, certain = judge(number, guess, told, spread)
        named = learnt.argmax(1)
        kinds = named if kinds is None else kinds
        now = np.eye(classes)[named]
        names = now if names is None else memory * names + (1 - memory) * now
        steady = np.take_along_axis(names, named[:, None], 1)[:, 0]
        grown = weight * (ramp(number / rounds) if ramp else 1.0)
        labels[places], counts[places] = named, grown * certain * steady
        if doubt and told is not None:
            counts[known] = wrapping.weights[known] * (1 - doubt * _margin(told, labels[known]))
        yield Round(number, rounds, places, learnt, counts[places], guess.argmax(1))
    if not len(places):
        yield wrapping.empty_round()
    labels[places] = np.where(counts[places] > 0, labels[places], -1)
    last = wrapping.fit(labels, counts)
    return Wrapped((last,), (None,), classes, labels, counts, max(number, 1))


@dataclass(frozen=True)
class IterativeRefinement(WrapperMethod):
    """See `refine`; the fields are its settings."""

    accept: Accept | tuple[Accept, ...] = _ACCEPT
    align: Align | tuple[Align, ...] = _ALIGN
    ramp: Ramp | None = _RAMP
    rounds: int = 10
    folds: int = 4
    weight: float = 1.0
    memory: float = 0.5
    doubt: float = 0.0

    name = "iterative-refinement"
    summary = "all records labelled anew each round, weighed by certainty and steadiness"
    paper = "Amini & Gallinari 2002, ECAI"

    def __post_init__(self) -> None:
        _check(
            self.accept, self.align, self.rounds, self.folds, self.weight, self.memory, self.doubt
        )

    def wrap(self, estimator: Any, known: Frozen) -> Rounds:
        """One member."""
        return refine(
            estimator, known.features, known.targets, known.classes, weights=all_weights(known),
            accept=self.accept, align=self.align, ramp=self.ramp, rounds=self.rounds,
            folds=self.folds, weight=self.weight, memory=self.memory, doubt=self.doubt,
            seed=known.seed,
        )  # fmt: skip


def _check(
    accept: Any, align: Any, rounds: int, folds: int, weight: float, memory: float, doubt: float
) -> None:
    """Raise SettingError for settings that cannot be followed."""
    check_rules(accept, align, repeats=1)
    within("rounds", rounds, 1, 10_000)
    within("weight", weight, 0, 1e6)
    within("memory", memory, 0, 0.999)
    within("doubt", doubt, 0, 1)
    if folds != 0:
        within("folds", folds, 2, 1000)


def _margin(told: Floats, labels: Index) -> Floats:
    """(l,) by how much another class is likelier than the label; zero where none is."""
    own = np.take_along_axis(told, labels[:, None], 1)[:, 0]
    margin: Floats = told.max(1) - own
    return margin


METHODS.add("iterative-refinement", IterativeRefinement())
