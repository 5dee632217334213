"""A run from records to verdict: the same data, encoder and steps with and without unlabelled
records, judged on labelled ones that neither has seen."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.budget import Budget
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.data.arrays import Arrays
from leaven.data.checks import check
from leaven.data.dataset import Dataset, Finding, Index
from leaven.data.splits import HOLDOUT, HOLDOUT_OF_QUICK, Split, split
from leaven.evaluate.affording import with_members
from leaven.evaluate.calibration import (
    apply,
    cross_fitted,
    fit_temperature,
    likelihood,
    transfer_temperature,
)
from leaven.evaluate.comparison import Verdict, compare, unmeasured
from leaven.evaluate.decoding import decoded
from leaven.evaluate.elsewhere import elsewhere
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.growing import grow_problem
from leaven.evaluate.shares import Shares, estimate_shares, expected_shares, given_shares
from leaven.evaluate.slices import Slice, parts_of, sliced
from leaven.evaluate.stages import (
    Pace,
    Stage,
    due_time,
    fit_stage,
    is_done,
    plan_pace,
    renew_pace,
)
from leaven.learn.assumptions import advise
from leaven.learn.encoder import sample
from leaven.learn.extractor import Extractor
from leaven.learn.front import Front
from leaven.learn.history import Gain, gained
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.plan import Plan, plan
from leaven.learn.predictor import Predictor
from leaven.learn.rewriters import Rewriting
from leaven.learn.start import Start

__all__ = ["Experiment", "experiment"]

Floats = npt.NDArray[np.float64]
_NONE = np.zeros(0, np.int64)
_FOR_SHARES = 2000  # unlabelled records that tell the classes' shares


@dataclass
class Experiment:
    """All that an experiment found, for the story and the files of the run.

    `rows` are the positions of the judged records, `folds` how many folds judged; each arm has
    its calibrated and raw `probabilities` of them, (n, k), and its final predictor.
    """

    dataset: Dataset
    arrays: Arrays
    plan: Plan
    split: Split
    findings: list[Finding]
    start: Start | None = None
    predictors: dict[str, Predictor] = field(default_factory=dict)
    probabilities: dict[str, Floats] = field(default_factory=dict)
    uncalibrated: dict[str, Floats] = field(default_factory=dict)
    rows: Index = field(default_factory=lambda: np.zeros(0, np.int64))
    folds: int = 0
    verdict: Verdict | None = None
    shares: Shares | None = None
    slices: list[Slice] = field(default_factory=list)
    advice: dict[str, Any] = field(default_factory=dict)
    growth: dict[str, Any] | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        """The recipe with nothing left open."""
        return self.plan.recipe

    @property
    def arms(self) -> dict[str, str]:
        """By name, the baseline's method and the method; one where they are the same."""
        return {self.baseline: self.baseline, self.method: self.recipe.method}

    @property
    def method(self) -> str:
        """The arm that was tried: the method, after what its encoder began with in this run."""
        recipe = self.recipe
        return f"{recipe.pretext} + {recipe.method}" if recipe.pretext else recipe.method

    @property
    def baseline(self) -> str:
        """Its supervised counterpart, which begins from nothing where the other was pretrained."""
        return METHODS[self.recipe.method].baseline

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """(n,) true classes of the records of evidence."""
        return self.dataset.targets[self.rows]


def experiment(
    dataset: Dataset,
    recipe: Recipe,
    extractor: Extractor | None,
    rewriting: Rewriting | None,
    folder: RunFolder,
    start: Start | None = None,
) -> Generator[Progress, None, Experiment]:
    """Decode, check, split, fit both arms, calibrate and compare; yields progress.

    `extractor` is the frozen one that the recipe names, if it names one, `rewriting` what says
    texts otherwise, and `start` the pretrained encoder to begin with.

    Everything slow is kept in the folder as it is finished, so that the same call goes on where
    a killed one stopped.
    """
    yield Progress("reading the records")
    front = start.front if start else Front.describe(dataset, extractor)
    dataset, arrays = decoded(dataset, front, folder, rewriting)
    chosen = plan(recipe, dataset, extractor is not None, start=start)
    enough = HOLDOUT if METHODS[chosen.recipe.method].stepped else HOLDOUT_OF_QUICK
    parts = split(dataset, seed=recipe.seed, enough=enough)
    yield Progress("checking the data")
    findings = check(dataset, arrays, parts)  # those made while reading are among them
    if start is not None:
        findings += elsewhere(start, arrays, recipe.seed)
    yield Progress("weighing what the unlabelled records can teach")
    advice = _advice(dataset, arrays, front, folder)
    yield Progress("finding the pace")
    found = Experiment(dataset, arrays, chosen, parts, findings, start, advice=advice)
    work = _Work.begin(found, front, folder)
    if work.pace.final < chosen.steps:
        chosen = plan(recipe, dataset, extractor is not None, plain=True, start=start)
        work = _Work.begin(replace(found, plan=chosen), front, folder)
    yield from work.evidence()
    yield from work.final()
    _judge(work.found, work.logits, work.proxy)
    yield Progress("measuring what more labels would buy")
    work.found.growth = work.growth()
    return work.found


def _advice(dataset: Dataset, arrays: Arrays, front: Front, folder: RunFolder) -> dict[str, Any]:
    """What the data itself advises, found once; see `advise`."""
    told: dict[str, Any] | None = folder.read("advice.json")
    if told is None:
        told = asdict(advise(dataset, arrays, front.arrays_spec, modality=front.views.name))
        folder.write("advice.json", told)
        folder.tick()
    return told


@dataclass
class _Work:
    """The fits of an experiment, as they are done.

    `logits` are each arm's (n, k), NaN for records it was not asked about.
    """

    found: Experiment
    problem: Problem
    front: Front
    folder: RunFolder
    folds: list[Stage]
    finals: list[Stage]
    pace: Pace
    logits: dict[str, Floats]
    #: Of each arm, what the fit on each fold says of the proxy, (proxy, k).
    proxy: dict[str, list[Floats]] = field(default_factory=dict)
    done: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, found: Experiment, front: Front, folder: RunFolder) -> _Work:
        """The problem, its stages, and the steps that the budget buys."""
        parts, dataset, recipe = found.split, found.dataset, found.recipe
        problem = Problem(
            arrays=found.arrays,
            spec=front.arrays_spec,
            modality=front.views.name,
            task=recipe.task,
            classes=len(dataset.classes),
            targets=dataset.targets,
            train=parts.train,
            unlabelled=parts.unlabelled,
            encoder=recipe.encoder,
            seed=recipe.seed,
            settings=recipe.objective,
            training=recipe.training,
            common=np.setdiff1d(parts.unlabelled, np.concatenate([_NONE, *parts.barred])),
            start=found.start.encoder if found.start else None,
            votes=dataset.votes,
            names=front.named(dataset.classes),
        )
        fits = (len(parts.folds) + 1) * len(found.arms)
        recipe = with_members(recipe, problem, fits, folder)
        found.plan = replace(found.plan, recipe=recipe)
        problem = replace(problem, settings=recipe.objective)
        folds = [_on_fold(found, i, arm) for i in range(len(parts.folds)) for arm in found.arms]
        finals = [_on_all(found, arm) for arm in found.arms]
        pace = plan_pace(recipe, problem, folds + finals, folder)
        empty = np.full((len(dataset), problem.classes), np.nan)
        logits = {arm: empty.copy() for arm in found.arms}
        return cls(found, problem, front, folder, folds, finals, pace, logits)

    @property
    def total(self) -> float:
        """All work, in the unit of the pace."""
        return sum(self.pace.weight(stage) for stage in self.folds + self.finals)

    def evidence(self) -> Generator[Progress, None, None]:
        """Each fold with each arm, as many folds as leave time for the final fits."""
        arms = len(self.found.arms)
        for first in range(0, len(self.folds), arms):
            stages = self.folds[first : first + arms]
            if first and self._late(stages):
                self.folds = self.folds[:first]
                break
            for stage in stages:
                yield from self._do(stage)
        self.found.folds = len(self.folds) // arms

    def final(self) -> Generator[Progress, None, None]:
        """The arms on all that may be trained on; these are the models that may ship."""
        recipe = self.found.recipe
        self.pace = renew_pace(recipe, self.pace, self.finals, self.found.records, self.folder)
        budget = Budget.parse(recipe.budget)
        for stage in self.finals:
            # Only the last fit is held to the clock: the fits that are compared stay alike.
            last = budget.seconds is not None and stage is self.finals[-1]
            network = yield from self._do(stage, due_time(budget) if last else None)
            names = self.found.dataset.classes
            self.found.predictors[stage.arm] = Predictor(self.front, network, names)

    def growth(self) -> dict[str, Any] | None:
        """Learning curves of what may teach."""
        told: dict[str, Any] | None = self.folder.read("growth.json")
        if told is None:
            grown = grow_problem(self.found.dataset, self.problem)
            told = None if grown is None else asdict(grown)
            self.folder.write("growth.json", told)
            self.folder.tick()
        return told

    def _late(self, stages: list[Stage]) -> bool:
        """Whether these fits would leave too little of a time budget for the final ones."""
        budget = Budget.parse(self.found.recipe.budget)
        if budget.seconds is None or is_done(stages[0], self.folder):
            return False
        took = self.found.records
        needed = sum(self.pace.takes(stage, took) for stage in stages + self.finals)
        slower = self.folder.elapsed > 0.5 * budget.seconds
        return slower and self.folder.elapsed + needed > due_time(budget) * 1.1

    def _do(self, stage: Stage, due: float | None = None) -> Generator[Progress, None, Network]:
        """Fit one stage and ask it about the records it is judged on."""
        truth = self.found.dataset.audited
        fit = fit_stage(stage, self.problem, self.folder, self.pace, due, truth)
        weight = self.pace.weight(stage)
        network: Network
        while True:
            try:
                inner = next(fit)
            except StopIteration as finished:
                network, record = finished.value
                break
            part = self.done + weight * inner.done / inner.total
            known = part > 0.03 * self.total
            left = self.folder.elapsed / part * (self.total - part) if known else None
            limit = Budget.parse(self.found.recipe.budget).seconds
            if left is not None and limit is not None:
                left = min(left, max(limit - self.folder.elapsed, 0.0))
            step = f"step {inner.done:.0f} of {inner.total:.0f}" if inner.total > 1 else ""
            watched = self.figures | _watched(inner.figures)
            yield Progress(stage.title, part, self.total, left, watched, step)
        self.done += weight
        self.found.records.append(record)
        if len(stage.judged):
            said = network.logits(self.problem.arrays, stage.judged)
            self.logits[stage.arm][stage.judged] = said
            self.figures = self._accuracies()
        aside = self.found.split.proxy
        if not stage.final and len(aside):
            said = network.logits(self.problem.arrays, aside)
            self.proxy.setdefault(stage.arm, []).append(said)
        yield Progress(stage.title, self.done, self.total, None, self.figures)
        return network

    def _accuracies(self) -> dict[str, float]:
        """Accuracy so far of method and baseline, on the records both were asked about."""
        asked = np.stack([~np.isnan(said[:, 0]) for said in self.logits.values()]).all(0)
        if not asked.any():
            return {}
        targets = self.found.dataset.targets[asked]
        right = [float((s[asked].argmax(1) == targets).mean()) for s in self.logits.values()]
        return dict(zip(["baseline", "accuracy"][-len(right) :], right, strict=True))


def _on_fold(found: Experiment, number: int, arm: str) -> Stage:
    """One arm without one fold, judged on it."""
    parts = found.split
    held = parts.folds[number]
    return Stage(
        name=f"fold-{number}-{_slug(arm)}",
        title=f"fold {number + 1} of {len(parts.folds)}, {arm}",
        arm=arm,
        method=found.arms[arm],
        train=np.setdiff1d(parts.train, held),
        unlabelled=np.setdiff1d(parts.unlabelled, parts.barred[number]),
        judged=held,
        final=False,
        pretrained=arm == found.method or not found.recipe.pretext,
    )


def _on_all(found: Experiment, arm: str) -> Stage:
    """One arm on all records that may be trained on, judged on the holdout if there is one."""
    parts = found.split
    return Stage(
        name=f"final-{_slug(arm)}",
        title=f"final {arm}",
        arm=arm,
        method=found.arms[arm],
        train=parts.train,
        unlabelled=parts.unlabelled,
        judged=np.concatenate([parts.calibration, parts.holdout]),
        final=True,
        pretrained=arm == found.method or not found.recipe.pretext,
    )


def _slug(arm: str) -> str:
    return arm.replace(" + ", "-")


def _watched(figures: dict[str, float]) -> dict[str, float]:
    """What is worth a place on the progress line."""
    return {name: figures[name] for name in ("coverage",) if name in figures}


def _judge(found: Experiment, logits: dict[str, Floats], proxy: dict[str, list[Floats]]) -> None:
    """Calibrate each arm off the records it is judged on, and compare them there."""
    parts, targets = found.split, found.dataset.targets
    folds = parts.folds[: found.folds]
    found.rows = np.concatenate([parts.holdout, *folds])
    fold = np.repeat(np.arange(len(folds)), [len(held) for held in folds])
    for arm in found.arms:
        of_rows = logits[arm][found.rows]
        if len(parts.holdout):
            held = parts.calibration
            temperature = fit_temperature(logits[arm][held], targets[held])
            found.probabilities[arm] = apply(of_rows, temperature)
        elif len(found.rows):
            found.probabilities[arm], temperature = cross_fitted(of_rows, found.targets, fold)
            temperature = _transferred(found, arm, temperature, proxy.get(arm, []))
        else:
            found.probabilities[arm], temperature = np.zeros((0, len(found.dataset.classes))), 1.0
        found.uncalibrated[arm] = apply(of_rows, 1.0) if len(of_rows) else of_rows
        found.predictors[arm] = replace(found.predictors[arm], temperature=temperature)
    method, baseline = found.method, found.baseline
    if not len(found.rows):
        found.verdict = unmeasured(method=method, baseline=baseline)
        if found.recipe.shares:
            _shift(found, np.zeros((0, len(found.dataset.classes))))
        return
    parts_seen = parts_of(found.dataset, found.rows)
    ours, theirs = found.probabilities[method], found.probabilities[baseline]
    found.verdict = compare(
        ours,
        theirs,
        found.targets,
        method=method,
        baseline=baseline,
        seed=found.recipe.seed,
        parts=parts_seen,
        experience=_experience(found),
        gains=likelihood(logits[method][found.rows], found.targets)
        - likelihood(logits[baseline][found.rows], found.targets),
    )
    right, also = (said.argmax(1) == found.targets for said in (ours, theirs))
    found.slices = sliced(right, also, parts_seen)
    _shift(found, logits[baseline][found.rows])


def _experience(found: Experiment) -> Gain | None:
    """What the method gained on other data with as many labels a class, where that is known."""
    recipe, labelled = found.recipe, found.dataset.targets[found.split.train]
    if recipe.pretext or found.start is not None:
        return None
    views = found.predictors[found.method].front.views.name
    return gained(recipe.method, views, len(labelled) / max(len(np.unique(labelled)), 1))


def _shift(found: Experiment, left_out: Floats) -> None:
    """Let all arms predict for the shares of the unlabelled records, where labels hide these.

    The supervised arm tells the shares: others may have been held to those of the labels. In tables
    the classes' names tell what to expect of them; elsewhere "0" and "1" seldom answer a question.
    """
    dataset, given, arms = found.dataset, found.recipe.shares, found.predictors
    asked = sample(found.split.unlabelled, _FOR_SHARES, found.recipe.seed)
    watcher = arms[found.baseline]
    said = {found.baseline: watcher.network.logits(found.arrays, asked) / watcher.temperature}
    found.shares = estimate_shares(
        left_out / watcher.temperature,
        found.targets,
        said[found.baseline],
        dataset.classes,
        found.recipe.seed,
        counts=np.bincount(dataset.targets[dataset.labelled], minlength=len(dataset.classes)),
        expected=expected_shares(dataset.classes) if dataset.modality == "tabular" else None,
        given=given_shares(given, dataset.classes) if given else None,
    )
    for arm, one in arms.items():
        if found.shares.shifted and arm not in said:
            said[arm] = one.network.logits(found.arrays, asked) / one.temperature
    taught, none = found.shares.labelled, np.zeros((0, len(dataset.classes)))
    found.predictors = {
        arm: replace(one, taught=taught, shares=found.shares.used(said.get(arm, none)))
        for arm, one in arms.items()
    }


def _transferred(found: Experiment, arm: str, temperature: float, proxy: list[Floats]) -> float:
    """The temperature of the final model, from that of the fits on folds.

    The final fit takes more steps and labels and is surer of itself; under the folds' temperature
    it would claim more than they were shown to be worth.
    """
    if not proxy:
        return temperature
    confidence = np.mean([apply(said, temperature).max(1).mean() for said in proxy])
    final = found.predictors[arm].network.logits(found.arrays, found.split.proxy)
    return transfer_temperature(final, float(confidence))
