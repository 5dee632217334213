"""A blend: several methods on the same frozen features, mixed by what is known of each.

Each candidate is asked about labelled records that it was not taught, in folds that are dealt anew
`repeats` times; these answers set its temperature and, with the benchmark's history, its weight
(`weighing.py`). Candidates that can no longer count are not asked a second time. Those that count
are fitted on everything, and their heads are mixed.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.choices.compose import composed
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.heads.blend import BlendHead
from leaven.learn.history import expected
from leaven.learn.learner_method import only
from leaven.learn.method import METHODS, Step
from leaven.learn.out_of_fold import answers, fitted, folds, out_of_fold
from leaven.learn.temperature import apply, fit_temperature
from leaven.learn.weighing import agreement, weigh

__all__ = ["BlendMethod", "Evidence", "member"]

Floats = npt.NDArray[np.float64]

_MANY = 80  # labelled records that one round of folds judges well enough
_TRIED = 4000  # unlabelled records that stand by while candidates are compared
#: What members do less of than alone: after three rounds few guesses change.
_BRIEF: dict[str, dict[str, int]] = {"self-training-ridge": {"rounds": 3}}
#: With a smaller probability by experience a candidate does not take part; more labels need fewer.
_VAIN, _VAIN_OF_MANY, _MANY_A_CLASS = 0.04, 0.1, 10


@dataclass(frozen=True)
class Evidence:
    """What the contest has shown: of each member its weight, and of all candidates their figures.

    `right` is the share of records left out that a candidate named rightly, `surprise` its mean
    negative log-likelihood there after calibration, `prior` its probability by experience,
    `temperature` the number that calibrates it.
    """

    weights: Mapping[str, float]
    right: Mapping[str, float]
    surprise: Mapping[str, float]
    prior: Mapping[str, float]
    temperature: Mapping[str, float]


@dataclass(frozen=True)
class BlendMethod(ClassicMethod):
    """`members` names the candidates, joined by commas; empty for all that suit the records.

    `repeats` is how often the folds are dealt while labelled records are few.
    """

    members: str = ""
    repeats: int = 2

    family = "blends"
    baseline = "supervised-blend"
    paper = "Wolpert 1992, Neural Networks 5"
    #: Who takes part where `members` is silent; those that serve not all modalities are left out.
    candidates: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise SettingError("repeats", "a whole number, at least 1", self.repeats)

    def check(self, settings: Mapping[str, object]) -> None:
        """As others, and that every member is a method on frozen features."""
        super().check(settings)
        for name in _named(str(settings.get("members", ""))):
            if name not in METHODS:
                raise UnknownNameError("members", name, METHODS)
            method = METHODS[name]
            if not isinstance(method, ClassicMethod) or isinstance(method, BlendMethod):
                raise SettingError("members", "methods on frozen features", name)

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """A step a candidate and round of folds, and one a member that is fitted at the end."""
        present = np.unique(known.targets[: known.labelled])
        if len(present) == 1:
            yield Step(1, 1)
            return only(int(present[0]), known.features.shape[1], known.classes)
        evidence = yield from self.compare(known)
        heads = []
        for number, name in enumerate(evidence.weights, 1):
            heads.append(fitted(member(name), known))
            if number < len(evidence.weights):
                yield Step(number, len(evidence.weights))
        weights = list(evidence.weights.values())
        head = BlendHead.of(heads, weights, [evidence.temperature[n] for n in evidence.weights])
        taught = None
        if self.unlabelled and len(known.places):
            guess = apply(answers(head, known.features[known.labelled :]), 1.0)
            taught = known.taught(guess, np.ones(len(guess)), guess.argmax(1))
        yield Step(len(heads), len(heads), taught=taught)
        return head

    def compare(self, known: Frozen) -> Generator[Step, None, Evidence]:
        """Hold the candidates against each other on labelled records left out."""
        names = self._names()
        tried = self.tried(known)
        y = tried.targets[: tried.labelled]
        a_class = len(y) / len(np.unique(y))
        prior = expected(names, known.modality, a_class)
        if not self.members:  # who never helped with such records is not asked
            least = _VAIN_OF_MANY if a_class >= _MANY_A_CLASS else _VAIN
            least = min(least, max(prior.values()))
            names = [name for name in names if prior[name] >= least]
            prior = {name: prior[name] for name in names}
        said: dict[str, list[Floats]] = {name: [] for name in names}
        rivals = list(names)
        for repeat in range(self.repeats if len(y) < _MANY else 1):
            parts = folds(y, known.seed + 1000 * repeat)
            if not parts:
                break
            for number, name in enumerate(rivals, 1):
                said[name].append(out_of_fold(member(name), tried, parts))
                yield Step(number, len(rivals))
            weights = _evidence(said, y, prior).weights
            rivals = [name for name in rivals if name in weights]
        return _evidence(said, y, prior)

    def _names(self) -> list[str]:
        asked = _named(self.members) or list(self.candidates)
        return [name for name in asked if self.unlabelled or not METHODS[name].unlabelled]

    def tried(self, known: Frozen) -> Frozen:
        """The problem with no more unlabelled records than a comparison needs."""
        others = np.arange(known.labelled, len(known.targets))
        if len(others) <= _TRIED:
            return known
        drawn = np.random.default_rng([known.seed, 9]).choice(others, _TRIED, replace=False)
        return known.among(np.arange(known.labelled), np.sort(drawn))


def _evidence(
    said: Mapping[str, list[Floats]], y: npt.NDArray[np.int64], prior: Mapping[str, float]
) -> Evidence:
    """Temperatures, likelihoods and weights from the answers of all rounds so far.

    Only those who were asked in every round can still win.
    """
    rounds = max(len(one) for one in said.values())
    names = [name for name, one in said.items() if len(one) == rounds]
    temperature, likelihood, right, surprise = {}, {}, {}, {}
    named: dict[str, npt.NDArray[np.int64]] = {}
    truth = np.tile(y, rounds)
    for name in names:
        temperature[name], likelihood[name] = 1.0, np.zeros(0)
        if not rounds:
            continue
        every = np.concatenate(said[name])
        temperature[name] = fit_temperature(every, truth)
        given = apply(every, temperature[name])[np.arange(len(truth)), truth]
        likelihood[name] = given.reshape(rounds, -1).mean(0)
        named[name] = every.argmax(1)
        right[name] = float((named[name] == truth).mean())
        surprise[name] = float(-np.log(np.maximum(given, 1e-12)).mean())
    agreeing = agreement(named) if len(named) > 1 else None
    weights = weigh(likelihood, {name: prior[name] for name in names}, agreeing)
    return Evidence(weights, right, surprise, dict(prior), temperature)


def member(name: str) -> ClassicMethod:
    """The method as it takes part in a blend: one of many rounds takes few."""
    method = METHODS[name]
    assert isinstance(method, ClassicMethod)
    return composed(method, _BRIEF.get(name, {}))


def _named(members: str) -> list[str]:
    return [name.strip() for name in members.split(",") if name.strip()]

