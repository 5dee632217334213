"""A blend: several methods on the same frozen features, mixed by what is known of each.

Where features stand in blocks (`Encoder.columns`), a candidate is a method on one of them:
`logistic` on the first, `logistic@raw` on the one called `raw`.

Each candidate is asked about labelled records that it was not taught, in folds that are dealt anew
`repeats` times; these answers set its temperature and, with the benchmark's history, its weight
(`weighing.py`). Candidates that can no longer count are not asked a second time. Those that count
are fitted on everything, and their heads are mixed.

With `trials` each candidate's settings are searched first, by the same folds of labelled records.
Whoever judges the blend on other records judges the search with it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.modality import MODALITIES, Modality
from leaven.learn.choices.compose import composed
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.heads.blend import BlendHead
from leaven.learn.heads.block import BlockHead
from leaven.learn.history import expected
from leaven.learn.learner_method import only
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.models.blocks import Blocks
from leaven.learn.network import Network
from leaven.learn.out_of_fold import answers, fitted, folds, out_of_fold
from leaven.learn.search import Search, Setting, need_optuna, space_of
from leaven.learn.temperature import apply, fit_temperature
from leaven.learn.weighing import agreement, weigh

__all__ = ["BlendMethod", "Evidence", "fitted_member", "member", "parted"]

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

_MANY = 80  # labelled records that one round of folds judges well enough
_TRIED = 4000  # unlabelled records that stand by while candidates are compared
#: What members do less of than alone: after three rounds few guesses change.
_BRIEF: dict[str, dict[str, Setting]] = {"self-training-ridge": {"rounds": 3}}
#: What suits a block: of quantiles of intervals most are nearly the same, and a split that looks at
#: the root of them sees few kinds (Dempster et al. 2024, see `models/intervals.py`).
_SUITED: dict[str, dict[str, Setting]] = {"forest@intervals": {"share": 0.1}}
#: With a smaller probability by experience a candidate does not take part; more labels need fewer.
#: On several blocks of features each has its part of it.
_VAIN, _VAIN_OF_MANY, _MANY_A_CLASS = 0.04, 0.1, 10


@dataclass(frozen=True)
class Evidence:
    """What the contest has shown: of each member its weight, and of all candidates their figures.

    `surprise` is a candidate's mean negative log-likelihood of records left out, calibrated by its
    `temperature`. `settings` are those that a search has chosen in place of a candidate's own.
    """

    weights: Mapping[str, float]
    surprise: Mapping[str, float]
    temperature: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True)
class BlendMethod(ClassicMethod):
    """`members` names the candidates, joined by commas; empty for all that suit the records.

    `repeats` is how often the folds are dealt while labelled records are few. `trials` is how many
    settings of each candidate are compared, its own among them; 0 for no search, for which
    MissingExtraError is raised without the extra `tune`.
    """

    members: str = ""
    repeats: int = 2
    trials: int = 0

    family = "blends"
    baseline = "supervised-blend"
    paper = "Yao et al. 2018, arXiv:1704.02030"
    #: Who takes part where `members` is silent; those that serve not all modalities are left out.
    candidates: ClassVar[tuple[str, ...]] = ()
    #: Who takes part besides where rules have voted.
    voted: ClassVar[tuple[str, ...]] = ()
    #: Who takes part besides where it is installed and suits the records.
    elsewhere: ClassVar[tuple[str, ...]] = ("tabpfn",)

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise SettingError("repeats", "a whole number, at least 1", self.repeats)
        if self.trials < 0:
            raise SettingError("trials", "a whole number, 0 for no search", self.trials)

    def check(self, settings: Mapping[str, object]) -> None:
        """As others, that every member is a method on frozen features, and that one can search."""
        super().check(settings)
        if settings.get("trials", self.trials):
            need_optuna()
        for name in _named(str(settings.get("members", ""))):
            asked, block = parted(name)
            if asked not in METHODS:
                raise UnknownNameError("members", asked, METHODS)
            if block and block not in _blocks():
                known = ", ".join(f"@{one}" for one in _blocks())
                raise SettingError("members", f"names of methods, or such with {known}", name)
            method = METHODS[asked]
            if not isinstance(method, ClassicMethod) or isinstance(method, BlendMethod):
                raise SettingError("members", "methods on frozen features", name)

    def default_encoder(self, modality: Modality) -> str:
        """The modality's frozen ones side by side, where it has several."""
        return modality.blocks or super().default_encoder(modality)

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Encode once, and learn. Features that no member reads are not computed any more."""
        network = yield from super().fit(problem, checkpoint)
        return _spared(network)

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """A step a candidate and round of folds, and one a member that is fitted at the end."""
        present = np.unique(known.targets[: known.labelled])
        if len(present) == 1:
            yield Step(1, 1)
            return only(int(present[0]), known.features.shape[1], known.classes)
        evidence = yield from self.compare(known)
        heads = []
        for number, name in enumerate(evidence.weights, 1):
            heads.append(fitted_member(name, known, evidence.settings.get(name)))
            if number < len(evidence.weights):
                yield Step(number, len(evidence.weights))
        weights = list(evidence.weights.values())
        origins = [
            {"method": name, "settings": dict(evidence.settings.get(name, {}))}
            for name in evidence.weights
        ]
        temperatures = [evidence.temperature[name] for name in evidence.weights]
        head = BlendHead.of(heads, weights, temperatures, origins)
        taught = None
        if self.unlabelled and len(known.places):
            guess = apply(answers(head, known.features[known.labelled :]), 1.0)
            taught = known.taught(guess, np.ones(len(guess)), guess.argmax(1))
        yield Step(len(heads), len(heads), taught=taught)
        return head

    def compare(self, known: Frozen) -> Generator[Step, None, Evidence]:
        """Hold the candidates against each other on labelled records left out."""
        tried = self.tried(known)
        y = tried.targets[: tried.labelled]
        prior = self.contenders(tried)
        said: dict[str, list[Floats]] = {name: [] for name in prior}
        settings: dict[str, dict[str, Setting]] = {}
        rivals = list(prior)
        for repeat in range(self.dealt(len(y))):
            parts = folds(y, known.seed + 1000 * repeat)
            if not parts:
                break
            trials = dict.fromkeys(rivals, 1)
            if not repeat:
                trials = {name: self._trials(name) for name in rivals}
            total = sum(trials.values())
            steps = (Step(number, total) for number in range(1, total + 1))
            for name in rivals:
                own = settings.get(name, {})
                settings[name], found = yield from _search(
                    name, own, tried, parts, trials[name], steps
                )
                said[name].append(found)
            weights = _evidence(said, y, prior).weights
            rivals = [name for name in rivals if name in weights]
        chosen = {name: one for name, one in settings.items() if one}
        return replace(_evidence(said, y, prior), settings=chosen)

    def dealt(self, labelled: int) -> int:
        """How often the folds are dealt for so many labelled records."""
        return self.repeats if labelled < _MANY else 1

    def names(self, known: Frozen) -> list[str]:
        """The members, those that read unlabelled records only where the blend does.

        Where that leaves none, and where none are named, the candidates on each block of features.
        Raises SettingError for a member that reads features which there are not.
        """
        blocks = known.columns or ("",)
        for name in _named(self.members):
            if parted(name)[1] not in blocks:
                fix = "The encoder gives features of one kind: leave --encoder out, or the @."
                raise SettingError("members", "names of methods alone", name, fix)
        return self._suited() or [
            f"{name}@{block}" if block else name for block in blocks for name in self.candidates
        ]

    def contenders(self, known: Frozen) -> dict[str, float]:
        """Who takes part, each with its probability by experience.

        Members that were named all do; of the candidates, who never helped with such records is
        not asked. Who reads the votes of rules takes part where there are votes: of rules that
        somebody has just written there is no experience, so it counts as one of so many. So does
        what comes from elsewhere, which the benchmark could not ask.
        """
        y = known.targets[: known.labelled]
        labels = len(y) / max(len(np.unique(y)), 1)
        names = self.names(known)
        prior = expected(names, known.modality, labels)
        if not self._suited():
            least = _VAIN_OF_MANY if labels >= _MANY_A_CLASS else _VAIN
            least = min(least / max(len(known.columns), 1), max(prior.values()))
            prior = {name: share for name, share in prior.items() if share >= least}
            prior = _joined(prior, [name for name in self.elsewhere if member(name).suits(known)])
        if self.reads_votes and known.votes is not None:
            prior = _joined(prior, [name for name in self.voted if name not in names])
        return prior

    def _suited(self) -> list[str]:
        """The members that are named and read no more than the blend."""
        named = _named(self.members)
        return [n for n in named if self.unlabelled or not METHODS[parted(n)[0]].unlabelled]

    def _trials(self, name: str) -> int:
        """Of how many settings the candidate is asked: a ridge, for one, has none."""
        return max(self.trials, 1) if space_of(member(name)) else 1

    def tried(self, known: Frozen) -> Frozen:
        """The problem with no more unlabelled records than a comparison needs."""
        others = np.arange(known.labelled, len(known.targets))
        if len(others) <= _TRIED:
            return known
        drawn = np.random.default_rng([known.seed, 9]).choice(others, _TRIED, replace=False)
        return known.among(np.arange(known.labelled), np.sort(drawn))


def _search(
    name: str,
    own: Mapping[str, Setting],
    tried: Frozen,
    parts: list[Index],
    trials: int,
    steps: Iterator[Step],
) -> Generator[Step, None, tuple[dict[str, Setting], Floats]]:
    """The best settings, as changes of the candidate's, and its answers under them.

    One of `steps` is yielded after each of the `trials`, of which the first has the `own` settings.
    These stay unless others surprise less by more than the standard error of the difference: of a
    dozen, one is the best on a few records by luck.
    """
    y = tried.targets[: tried.labelled]
    tried = tried.of(parted(name)[1])
    said = out_of_fold(member(name, own), tried, parts)
    best = dict(own), said
    yield next(steps)
    if trials < 2:
        return best
    first = least = _surprises(said, y)
    search = Search(space_of(member(name, own)), trials, tried.seed)
    search.ask()
    search.tell(float(first.mean()))
    for _ in range(trials - 1):
        settings = search.ask()
        said = out_of_fold(member(name, settings), tried, parts)
        surprises = _surprises(said, y)
        search.tell(float(surprises.mean()))
        gain = first - surprises
        sure = gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain))
        if sure and surprises.mean() < least.mean():
            least, best = surprises, (settings, said)
        yield next(steps)
    return best


def _surprises(said: Floats, y: Index) -> Floats:
    """(n,) negative log-likelihoods of the classes `y`, calibrated."""
    given = apply(said, fit_temperature(said, y))[np.arange(len(y)), y]
    found: Floats = -np.log(np.maximum(given, 1e-12))
    return found


def _evidence(said: Mapping[str, list[Floats]], y: Index, prior: Mapping[str, float]) -> Evidence:
    """Temperatures, likelihoods and weights from the answers of all rounds so far.

    Only those who were asked in every round can still win.
    """
    rounds = max(len(one) for one in said.values())
    names = [name for name, one in said.items() if len(one) == rounds]
    temperature, likelihood, surprise = {}, {}, {}
    named: dict[str, Index] = {}
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
        surprise[name] = float(-np.log(np.maximum(given, 1e-12)).mean())
    agreeing = agreement(named) if len(named) > 1 else None
    weights = weigh(likelihood, {name: prior[name] for name in names}, agreeing)
    return Evidence(weights, surprise, temperature)


def parted(name: str) -> tuple[str, str]:
    """The method of a candidate, and the block of features that it reads.

    >>> parted("ridge@raw"), parted("ridge")
    (('ridge', 'raw'), ('ridge', ''))
    """
    method, _, block = name.partition("@")
    return method, block


def member(name: str, settings: Mapping[str, Setting] | None = None) -> ClassicMethod:
    """The method as it takes part in a blend, with changed `settings`: of many rounds it takes few.

    >>> member("logistic@raw", {"strength": 3}).strength
    3.0
    """
    asked, _ = parted(name)
    method = METHODS[asked]
    assert isinstance(method, ClassicMethod)
    own = _BRIEF.get(asked, {}) | _SUITED.get(name, {})
    return composed(method, {**own, **(settings or {})})


def fitted_member(name: str, known: Frozen, settings: Mapping[str, Setting] | None = None) -> Head:
    """A candidate's head for all columns that there are, of which it may read one block."""
    block = parted(name)[1]
    head = fitted(member(name, settings), known.of(block))
    return BlockHead.of(head, *known.columns[block]) if known.columns else head


def _spared(network: Network) -> Network:
    """The same answers by an encoder of those blocks alone that are read."""
    encoder, blend = network.encoder, network.head
    if not isinstance(encoder, Blocks) or not isinstance(blend, BlendHead):
        return network
    called = {columns: block for block, columns in encoder.columns.items()}
    members = [one for one in blend.heads if isinstance(one, BlockHead)]
    read = [called[one.first, one.end] for one in members]
    if len(set(read)) == len(called) > 1:
        return network
    fewer = encoder.only(set(read))
    heads: list[Head] = [one.head for one in members]
    if isinstance(fewer, Blocks):
        at = fewer.columns
        heads = [BlockHead.of(head, *at[block]) for head, block in zip(heads, read, strict=True)]
    weights, heats = blend.weights.tolist(), blend.temperatures.tolist()
    return Network(fewer, BlendHead.of(heads, weights, heats, blend.origins)).eval()


def _joined(prior: Mapping[str, float], others: list[str]) -> dict[str, float]:
    """With others, each as probable as one of so many, in front of those that there are."""
    size = len(prior) + len(others)
    share = len(prior) / size
    return dict.fromkeys(others, 1 / size) | {name: p * share for name, p in prior.items()}


def _blocks() -> list[str]:
    """What blocks of features are called, of all modalities."""
    return list(dict.fromkeys(block for _, one in MODALITIES.items() for block in one.beside))


def _named(members: str) -> list[str]:
    return [name.strip() for name in members.split(",") if name.strip()]
