"""Tri-training: a record is a lesson for one model when the other two agree on it.

Zhou & Li 2005, "Tri-training: exploiting unlabeled data using three classifiers", table 1: three
models of three bootstrap samples; what two agree on teaches the third, if a bound on the noise it
brings (eq. 9 to 11) says that the third will err less. The answer is the mean of the three, where
the paper takes the majority.

Use it where no two views are at hand and the classifier is one whose bootstrap samples differ, as
trees do, with ten labels a class or more.

It fails with few labels: each model then errs on none of its own records, the bound is met at
once, and the mistakes that two share are taught to the third. Linear models agree too much to
teach each other more than their mean knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.learn.choices.choice import within
from leaven.learn.classic_method import Frozen
from leaven.learn.method import METHODS
from leaven.learn.wrapped_method import WrapperMethod, all_weights
from leaven.learn.wrapping import Index, Round, Rounds, Wrapped, Wrapping

__all__ = ["TriTraining", "lessons", "tri_train"]


def tri_train(
    estimator: Any, X: Any, targets: Any, classes: int, *, weights: Any = None,
    rounds: int = 30, seed: int = 0, jobs: int = 1,
) -> Rounds:  # fmt: skip
    """Three models of bootstrap samples teach each other what two of them agree on.

    The parameters are those of `self_train`. Bootstrap samples are drawn within each class, so
    that none is lost; the paper draws from all. Errors are measured on the labelled records on
    which the two agree, as in the paper; where they agree on none, the error counts as one half.
    It ends when a round changes no model, or after `rounds`.

    Raises SettingError and DataError as `Wrapping` does.
    """
    within("rounds", rounds, 1, 10_000)
    wrapping = Wrapping(estimator, X, targets, classes, weights, seed, jobs)
    places, known, given = wrapping.unlabelled, wrapping.labelled, wrapping.targets
    counts = np.where(given >= 0, wrapping.weights, 1.0)

    def bootstrapped(member: int) -> Any:
        rows = _drawn(known, given[known], wrapping.draw(0, member))
        return wrapping.fit(given, counts, 1, member, rows=rows)

    members = wrapping.at_once(bootstrapped, range(3))
    error, size = [0.5] * 3, [0] * 3
    pupils = np.full((3, len(places)), -1)  # the class that each was taught last
    number, changed = 0, True
    while changed and number < rounds:
        number += 1
        told = [wrapping.ask(member, places) for member in members]
        said = np.array([one.argmax(1) for one in told])
        of_labelled = [wrapping.ask(member, known).argmax(1) for member in members]
        new: dict[int, Index] = {}
        for one in range(3):
            two, three = (other for other in range(3) if other != one)
            agree = np.flatnonzero(said[two] == said[three])
            fresh = _error(of_labelled[two], of_labelled[three], given[known], counts[known])
            size[one], used = lessons(fresh, error[one], size[one], len(agree))
            if used:
                error[one], size[one] = fresh, used
                agree = np.sort(wrapping.draw(number, one).permutation(agree)[:used])
                new[one] = np.full(len(places), -1)
                new[one][agree] = said[two][agree]
        for one, lesson in new.items():
            pupils[one] = lesson

        def taught(one: int, now: int = number) -> Any:
            labels = given.copy()
            labels[places] = pupils[one]
            return wrapping.fit(labels, counts, now + 1, one)

        for one, member in zip(new, wrapping.at_once(taught, new), strict=True):
            members[one] = member
        changed = bool(new)
        guess, weight = _guess(np.array(told), pupils)
        yield Round(number, rounds, places, guess, weight, np.mean(told, axis=0).argmax(1))
    labels, counts = given.copy(), wrapping.weights.copy()
    votes = (pupils[:, :, None] == np.arange(classes)).sum(0)  # (u, k)
    labels[places] = np.where(votes.any(1), votes.argmax(1), -1)
    counts[places] = votes.max(1) / 3
    return Wrapped(tuple(members), (None,) * 3, classes, labels, counts, number)


def lessons(error: float, before: float, size: int, agreed: int) -> tuple[int, int]:
    """How many of the `agreed` records may be taught, in the terms of the paper's table 1.

    `error` is that of the two models now and `before` at the last change of the third (0.5 at
    first), `size` the number it was taught then (0 at first). Returns that number, as table 1
    corrects it at first, and how many records to draw, 0 for none. Those may be taught for which
    error · |L| < before · size (eq. 9), of which so many are drawn that it holds (eq. 10), if
    size > error / (before - error) leaves more than before (eq. 11).
    """
    if error >= before:
        return size, 0
    least = error / (before - error)
    if size == 0:
        size = math.floor(least + 1)
    if size >= agreed:
        return size, 0
    if error * agreed < before * size:
        return size, agreed
    if size > least:
        return size, math.ceil(before * size / error - 1)
    return size, 0


@dataclass(frozen=True)
class TriTraining(WrapperMethod):
    """See `tri_train`; the fields are its settings."""

    rounds: int = 30

    name = "tri-training"
    summary = "two of three linear models teach the third what they agree on"
    paper = "Zhou & Li 2005, TKDE 17(11)"

    def __post_init__(self) -> None:
        within("rounds", self.rounds, 1, 10_000)

    def wrap(self, estimator: Any, known: Frozen) -> Rounds:
        """Three members."""
        return tri_train(
            estimator, known.features, known.targets, known.classes, weights=all_weights(known),
            rounds=self.rounds, seed=known.seed,
        )  # fmt: skip


def _drawn(rows: Index, labels: Index, draw: np.random.Generator) -> Index:
    """A bootstrap sample within each class."""
    return np.concatenate(
        [
            draw.choice(own, len(own))
            for label in np.unique(labels)
            if len(own := rows[labels == label])
        ]
    )


def _error(one: Index, other: Index, truth: Index, weights: Any) -> float:
    """The share of wrong answers among the labelled records on which two models agree."""
    agree = one == other
    if not weights[agree].any():
        return 0.5
    return float(np.average((one != truth)[agree], weights=weights[agree]))


def _guess(told: Any, pupils: Index) -> tuple[Any, Any]:
    """(u, k) the mean of the models that taught a record, of all where none did; (u,) weights.

    A record's weight is the share of the models that it was taught to.
    """
    said = told.argmax(2)
    lessons_of = (pupils >= 0).any(0)
    label = pupils.max(0)
    teaches = np.where(lessons_of, said == label, True)  # (3, u)
    teaches |= ~teaches.any(0)  # taught earlier, and now none says so
    guess = (told * teaches[:, :, None]).sum(0) / teaches.sum(0)[:, None]
    return guess, (pupils >= 0).mean(0)


METHODS.add("tri-training", TriTraining())
