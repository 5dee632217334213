"""A run from records to verdict: the same data, encoder and steps with and without unlabelled
records, judged on labelled ones that neither has seen."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.budget import Budget
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.data.arrays import Arrays
from leaven.data.checks import check
from leaven.data.dataset import Dataset, Finding, Index
from leaven.data.splits import Split, split
from leaven.evaluate.calibration import apply, cross_fitted, fit_temperature
from leaven.evaluate.comparison import Verdict, compare, unmeasured
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.stages import Stage, due_time, fit_stage, plan_pace, renew_pace
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.method import METHODS, Problem
from leaven.learn.plan import plan
from leaven.learn.predictor import Predictor

__all__ = ["Experiment", "experiment"]

Floats = npt.NDArray[np.float64]


@dataclass
class Experiment:
    """All that an experiment found, for the story and the files of the run."""

    dataset: Dataset
    arrays: Arrays
    recipe: Recipe
    reason: str
    split: Split
    findings: list[Finding]
    predictors: dict[str, Predictor] = field(default_factory=dict)
    probabilities: dict[str, Floats] = field(default_factory=dict)
    uncalibrated: dict[str, Floats] = field(default_factory=dict)
    rows: Index = field(default_factory=lambda: np.zeros(0, np.int64))
    verdict: Verdict | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The method that was tried."""
        return self.recipe.method

    @property
    def baseline(self) -> str:
        """Its supervised counterpart."""
        return METHODS[self.recipe.method].baseline

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """(n,) true classes of the records of evidence."""
        return self.dataset.targets[self.rows]


def experiment(
    dataset: Dataset, recipe: Recipe, folder: RunFolder
) -> Generator[Progress, None, Experiment]:
    """Decode, check, split, fit both arms, calibrate and compare; yields progress.

    Everything slow is kept in the folder as it is finished, so that the same call goes on where
    a killed one stopped.
    """
    yield Progress("reading the records")
    extractor = find_extractor(recipe.encoder, dataset.modality)
    chosen = plan(recipe, dataset, extractor is not None)
    front = Front.describe(dataset, extractor)
    dataset, arrays = _decode(dataset, front, folder)
    parts = split(dataset, seed=recipe.seed)
    yield Progress("checking the data")
    findings = check(dataset, arrays, parts)  # those made while reading are among them
    found = Experiment(dataset, arrays, chosen.recipe, chosen.reason, parts, findings)
    problem = Problem(
        arrays=arrays,
        spec=front.arrays_spec,
        modality=front.views.name,
        task=recipe.task,
        classes=len(dataset.classes),
        targets=dataset.targets,
        train=parts.train,
        unlabelled=parts.unlabelled,
        encoder=chosen.recipe.encoder,
        seed=recipe.seed,
        training=recipe.training,
    )
    arms = list(dict.fromkeys([found.baseline, found.method]))
    logits = yield from _fit(found, problem, front, arms, folder)
    _judge(found, arms, logits)
    return found


def _decode(dataset: Dataset, front: Front, folder: RunFolder) -> tuple[Dataset, Arrays]:
    """Arrays mapped from the folder, and the data without the records that cannot be decoded."""
    home = folder.work / "arrays"
    arrays, rejected = Arrays.open(home), folder.read("rejected.json")
    if arrays is None or rejected is None:
        arrays, bad = front.decode(dataset)
        rejected = [[int(position), reason, detail] for position, reason, detail in bad]
        if rejected:
            keep = np.setdiff1d(np.arange(len(dataset)), [row[0] for row in rejected])
            arrays = arrays.take(keep)
        folder.write("rejected.json", rejected)
        arrays.save(home)
        arrays = Arrays.open(home) or arrays
        folder.tick()
    positions = np.array([row[0] for row in rejected], np.int64)
    return dataset.reject(positions, [(row[1], row[2]) for row in rejected]), arrays


def _stages(parts: Split, arms: list[str]) -> list[Stage]:
    """The fits in order: each fold with each arm, then the arms on all that may be trained on."""
    none = np.zeros(0, np.int64)
    stages = []
    for number, held in enumerate(parts.folds):
        train = np.setdiff1d(parts.train, held)
        title = f"fold {number + 1} of {len(parts.folds)}"
        stages += [
            Stage(
                f"fold-{number}-{arm}",
                f"{title}, {arm}",
                arm,
                train,
                parts.unlabelled,
                held,
                number,
                False,
            )
            for arm in arms
        ]
    judged = np.concatenate([parts.calibration, parts.holdout]) if len(parts.holdout) else none
    return stages + [
        Stage(f"final-{arm}", f"final {arm}", arm, parts.train, parts.unlabelled, judged, 0, True)
        for arm in arms
    ]


def _fit(
    found: Experiment, problem: Problem, front: Front, arms: list[str], folder: RunFolder
) -> Generator[Progress, None, dict[str, Floats]]:
    """Fit all stages; returns each arm's logits (n, k), NaN where it was not asked."""
    stages = _stages(found.split, arms)
    budget = Budget.parse(found.recipe.budget)
    pace = plan_pace(found.recipe, problem, stages, folder)
    logits = {arm: np.full((len(found.dataset), problem.classes), np.nan) for arm in arms}
    total, done = sum(pace.weight(stage) for stage in stages), 0.0
    figures: dict[str, float] = {}
    for number, stage in enumerate(stages):
        if stage.final and not stages[number - 1].final:
            rest = stages[number:]
            pace = renew_pace(found.recipe, pace, rest, found.records, folder)
            total = done + sum(pace.weight(later) for later in rest)
        # Only the last fit is held to the clock: the fits that are compared stay alike.
        due = due_time(budget) if budget.seconds is not None and stage is stages[-1] else None
        fit = fit_stage(stage, problem, folder, pace, due)
        while True:
            try:
                inner = next(fit)
            except StopIteration as finished:
                network, record = finished.value
                break
            part = done + pace.weight(stage) * inner.done / inner.total
            left = folder.elapsed / part * (total - part) if part > 0.03 * total else None
            step = f"step {inner.done:.0f} of {inner.total:.0f}" if inner.total > 1 else ""
            watched = figures | _watched(inner.figures)
            yield Progress(stage.title, part, total, left, watched, step)
        done += pace.weight(stage)
        found.records.append(record)
        if len(stage.judged):
            logits[stage.method][stage.judged] = network.logits(problem.arrays, stage.judged)
            figures = _accuracies(found, logits, arms)
        if stage.final:
            found.predictors[stage.method] = Predictor(front, network, found.dataset.classes)
        yield Progress(stage.title, done, total, None, figures)
    return logits


def _watched(figures: dict[str, float]) -> dict[str, float]:
    """What is worth a place on the progress line."""
    return {name: figures[name] for name in ("coverage",) if name in figures}


def _accuracies(found: Experiment, logits: dict[str, Floats], arms: list[str]) -> dict[str, float]:
    """Accuracy so far of the method and the baseline, on the records both were asked about."""
    seen = np.flatnonzero(~np.isnan(np.stack([logits[arm][:, 0] for arm in arms])).any(0))
    if not len(seen):
        return {}
    names = ["accuracy"] if len(arms) == 1 else ["baseline", "accuracy"]
    right = [(logits[arm][seen].argmax(1) == found.dataset.targets[seen]).mean() for arm in arms]
    return {name: float(value) for name, value in zip(names, right, strict=True)}


def _judge(found: Experiment, arms: list[str], logits: dict[str, Floats]) -> None:
    """Calibrate each arm off the records it is judged on, and compare them there."""
    parts, targets = found.split, found.dataset.targets
    found.rows = np.concatenate([parts.holdout, *parts.folds]).astype(np.int64)
    fold = np.repeat(np.arange(len(parts.folds)), [len(held) for held in parts.folds])
    for arm in arms:
        of_rows = logits[arm][found.rows]
        if len(parts.holdout):
            held = parts.calibration
            temperature = fit_temperature(logits[arm][held], targets[held])
            found.probabilities[arm] = apply(of_rows, temperature)
        elif len(found.rows):
            found.probabilities[arm], temperature = cross_fitted(of_rows, found.targets, fold)
        else:
            found.probabilities[arm], temperature = np.zeros((0, len(found.dataset.classes))), 1.0
        found.uncalibrated[arm] = apply(of_rows, 1.0) if len(of_rows) else of_rows
        found.predictors[arm] = replace(found.predictors[arm], temperature=temperature)
    method, baseline = found.method, found.baseline
    if len(found.rows):
        found.verdict = compare(
            found.probabilities[method],
            found.probabilities[baseline],
            found.targets,
            method=method,
            baseline=baseline,
            seed=found.recipe.seed,
        )
    else:
        found.verdict = unmeasured(method=method, baseline=baseline)
