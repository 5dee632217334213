"""The fits of which a run is made, each of them resumable, within one budget."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from leaven.core.budget import Budget
from leaven.core.progress import Progress
from leaven.core.recipe import Recipe
from leaven.data.dataset import Index
from leaven.evaluate.folder import RunFolder, read_json, write_json
from leaven.evaluate.pseudo_log import CLASS_POINTS, PseudoLog
from leaven.evaluate.spending import cpu_now
from leaven.learn.encoder import ENCODERS, sample
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.network import Network
from leaven.learn.state import TrainState

__all__ = [
    "FOLD_SHARE",
    "Cost",
    "Follower",
    "Pace",
    "Stage",
    "due_time",
    "fit_stage",
    "follow",
    "is_done",
    "plan_pace",
    "renew_pace",
    "try_steps",
]

#: A fit on a fold takes this share of the final fit's steps: four folds and two models would
#: otherwise leave the model that ships a tenth of the time.
FOLD_SHARE = 0.5
_PROBE = 0.015  # of a time budget, for finding out what a step of a method costs
_RESERVE = 0.04  # of a time budget, for predictions, figures and the report
_PART = 20_000  # unlabelled records that tell what a method without steps costs
_POINTS = 4 * CLASS_POINTS  # of a stage's history
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Stage:
    """One fit of one method.

    `name` is its folder's name, `title` what a person reads. It is trained on `train` and
    `unlabelled`, and then asked about the records of `judged`, which are in neither. The `final`
    stages give the models that may ship. `arm` is the side of the comparison that it stands for;
    it begins with the encoder that was pretrained, if there is one, where `pretrained`.
    """

    name: str
    title: str
    arm: str
    method: str
    train: Index
    unlabelled: Index
    judged: Index
    final: bool
    pretrained: bool = True


@dataclass(frozen=True)
class Cost:
    """Seconds before the steps, and seconds a step; a step costs nothing without a loop."""

    setup: float
    step: float


@dataclass(frozen=True)
class Pace:
    """How many steps the final fits take; with a time budget also what the methods cost.

    The folds vouch for what ships, so a final fit takes `least` steps, as many as they took, even
    where the budget has run out.
    """

    final: int
    costs: dict[str, Cost]
    least: int = 1

    def steps(self, stage: Stage) -> int:
        """The steps of a stage."""
        return self.final if stage.final else max(1, round(self.final * FOLD_SHARE))

    def seconds(self, stage: Stage) -> float | None:
        """The seconds a stage is planned to take; None where nothing was tried."""
        if stage.method not in self.costs:
            return None
        return self.costs[stage.method].setup + self.costs[stage.method].step * self.steps(stage)

    def takes(self, stage: Stage, records: Sequence[dict[str, Any]]) -> float:
        """Seconds as planned or, where nothing was tried, as fits of its method in `records`."""
        planned = self.seconds(stage)
        if planned is not None:
            return planned
        return float(mean(r["seconds"] for r in records if r["method"] == stage.method))

    def weight(self, stage: Stage) -> float:
        """The stage's part of the work, in seconds where they are known, else in steps."""
        seconds = self.seconds(stage)
        if seconds is not None:
            return max(seconds, 1e-3)
        return float(self.steps(stage)) if METHODS[stage.method].stepped else 1.0


def plan_pace(recipe: Recipe, problem: Problem, stages: Sequence[Stage], folder: RunFolder) -> Pace:
    """The steps that the budget buys, found once and kept in the folder.

    A budget in time is turned into steps by trying some of each method, because a plan in steps
    is the same for an interrupted run and an undisturbed one. Where no method has steps there is
    nothing to buy, and nothing is tried.
    """
    budget = Budget.parse(recipe.budget)
    methods = dict.fromkeys(stage.method for stage in stages)
    if budget.seconds is None or not any(METHODS[name].stepped for name in methods):
        return Pace(budget.steps or 1, {})
    name = f"pace-{stages[-1].method}.json"
    kept = folder.read(name)
    if kept is not None:
        return _pace(kept)
    costs = {name: _try(name, problem, budget.seconds * _PROBE) for name in methods}
    pace = Pace(_affordable(stages, costs, _left(budget, folder), recipe), costs)
    folder.write(name, asdict(pace))
    folder.tick()
    return pace


def renew_pace(
    recipe: Recipe,
    pace: Pace,
    stages: Sequence[Stage],
    records: Sequence[dict[str, Any]],
    folder: RunFolder,
) -> Pace:
    """The pace of the final stages, from what the fits before them really took."""
    budget = Budget.parse(recipe.budget)
    if not pace.costs or not records:
        return pace
    kept = folder.read("final-pace.json")
    if kept is not None:
        return _pace(kept)
    costs = dict(pace.costs)
    for name in costs:
        took = [r for r in records if r["method"] == name]
        setup, steps = sum(r["setup"] for r in took), sum(r["steps"] for r in took)
        whole = sum(r["seconds"] for r in took)
        if METHODS[name].stepped:
            costs[name] = Cost(setup / len(took), (whole - setup) / steps)
        else:
            costs[name] = Cost(whole / len(took), 0.0)
    least = max(1, round(pace.final * FOLD_SHARE))
    steps = max(_affordable(stages, costs, _left(budget, folder), recipe), least)
    pace = Pace(steps, costs, least)
    folder.write("final-pace.json", asdict(pace))
    folder.tick()
    return pace


def _pace(kept: dict[str, Any]) -> Pace:
    costs = {name: Cost(**cost) for name, cost in kept["costs"].items()}
    return Pace(kept["final"], costs, kept["least"])


def _left(budget: Budget, folder: RunFolder) -> float:
    """Seconds left for fits, those for predictions and report taken off."""
    return due_time(budget) - folder.elapsed


def due_time(budget: Budget) -> float:
    """When the last fit must end; what is left is for predictions, figures and the report."""
    assert budget.seconds is not None
    return budget.seconds * (1 - _RESERVE)


def _affordable(
    stages: Sequence[Stage], costs: dict[str, Cost], seconds: float, recipe: Recipe
) -> int:
    """Steps of a final fit so that all stages together take `seconds`; at least 10."""
    setup = sum(costs[stage.method].setup for stage in stages)
    each = sum(costs[stage.method].step * (1 if stage.final else FOLD_SHARE) for stage in stages)
    most = recipe.training.most_steps
    return most if each <= 0 else int(min(max((seconds - setup) / each, 10), most))


def _try(name: str, problem: Problem, seconds: float) -> Cost:
    """Take some steps of a method and throw them away.

    One without steps, which stands beside one that has them, is fitted on a part of the records,
    and its time taken to grow with them.
    """
    method, problem = METHODS[name], _with_features(name, problem)
    began = time.monotonic()
    if not method.stepped:
        part = sample(problem.unlabelled, _PART, problem.seed)
        for _ in method.fit(replace(problem, unlabelled=part)):
            pass
        share = len(problem.unlabelled) / max(len(part), 1) if method.unlabelled else 1.0
        return Cost((time.monotonic() - began) * max(share, 1.0), 0.0)
    return try_steps(method.fit(replace(problem, steps=1_000_000)), seconds)


def try_steps(fit: Generator[Step, None, Network], seconds: float) -> Cost:
    """Take some steps of a fit and throw them away."""
    began = time.monotonic()
    warm = 3  # the first steps are slow (memory, kernels) and belong to the setup
    for taken, _ in enumerate(fit, 1):
        if taken == warm:
            setup = time.monotonic() - began
        if taken >= warm + 4 and time.monotonic() - began - setup > seconds:
            break
    fit.close()
    return Cost(setup, (time.monotonic() - began - setup) / (taken - warm))


def is_done(stage: Stage, folder: RunFolder) -> bool:
    """Whether an earlier process has finished it."""
    return (folder.work / stage.name / "stage.json").exists()


def fit_stage(
    stage: Stage,
    problem: Problem,
    folder: RunFolder,
    pace: Pace,
    due: float | None = None,
    truth: npt.NDArray[np.int64] | None = None,
) -> Generator[Progress, None, tuple[Network, dict[str, Any]]]:
    """Fit one stage, going on from its checkpoint; return the network and a record of it.

    A finished stage is read back instead. `due` is the folder's time by which it is to end;
    without one it takes the steps of its pace. `truth` (n,) is what is known of the unlabelled
    records; it goes to the log of pseudo-labels and nowhere else. Progress counts the stage's
    steps.
    """
    home = folder.work / stage.name
    if is_done(stage, folder):
        return Network.load(home), read_json(home / "stage.json")
    problem = replace(
        problem,
        train=stage.train,
        unlabelled=stage.unlabelled,
        targets=_only(problem.targets, stage.train),
        steps=pace.steps(stage),
    )
    if problem.start is not None and not stage.pretrained:
        # What is held back of a pretrained encoder is not worth holding back of a random one.
        free = problem.training.model_copy(update={"adapt": "full", "layer_decay": 1.0})
        problem = replace(problem, start=None, training=free)
    problem = _with_features(stage.method, problem)
    log = PseudoLog(problem.classes, None if truth is None else truth[stage.unlabelled])
    fit = METHODS[stage.method].fit(problem, _checkpoint(home))
    network, record = yield from follow(
        fit, stage.title, home, folder, log, due, pace.least, problem.training.patience
    )
    record |= {
        "method": stage.method,
        "arm": stage.arm,
        "final": stage.final,
        "pseudo_history": log.by_class,
    }
    write_json(home / "stage.json", record)
    _checkpoint(home).unlink(missing_ok=True)
    folder.tick()
    return network, record


def _with_features(method: str, problem: Problem) -> Problem:
    """The problem with an encoder that the method can stand on: one that begins from nothing is no
    features for a method that trains none."""
    if METHODS[method].stepped or problem.start is not None or ENCODERS[problem.encoder].ready:
        return problem
    return replace(problem, encoder=METHODS[method].default_encoder(problem.views))


class Follower(Protocol):
    """What looks at each step of a fit and remembers it across a kill."""

    def watch(self, step: Step) -> None:
        """See one step."""

    def point(self, step: int, total: int) -> dict[str, float]:
        """Figures for a point of the history."""

    @property
    def note(self) -> Any:
        """All that it remembers, as JSON."""

    def restore(self, note: Any) -> None:
        """Take over what `note` gave."""


def follow(
    fit: Generator[Step, None, Network],
    title: str,
    home: Path,
    folder: RunFolder,
    log: Follower,
    due: float | None = None,
    least: int = 1,
    patience: float = 0.0,
) -> Generator[Progress, None, tuple[Network, dict[str, Any]]]:
    """Take the steps of a fit; return the network, saved in `home`, and a record of the fit.

    A checkpoint is written there every CHECKPOINT_SECONDS or so, and where a cap of the folder is
    reached, which ends the fit. See `fit_stage`; where the loss
    has not fallen for the share `patience` of the steps, the fit is brought to its end.
    """
    home.mkdir(parents=True, exist_ok=True)
    history: list[dict[str, float]] = []
    every = CHECKPOINT_SECONDS
    before, began = 0.0, time.monotonic()  # seconds of this stage in earlier processes, and now
    cpu_before, cpu_began = 0.0, cpu_now()
    setup, number, saved = 0.0, 0, began
    while True:
        try:
            step = next(fit)
        except StopIteration as done:
            network: Network = done.value
            break
        now = time.monotonic()
        if number == 0:
            setup, first, first_number = now - began, now, step.number
            if step.state is not None and step.state.note:
                history, before = step.state.note["history"], step.state.note["seconds"]
                cpu_before = step.state.note["cpu_seconds"]
                log.restore(step.state.note["log"])
        number = step.number
        log.watch(step)
        if number * _POINTS // step.total > (number - 1) * _POINTS // step.total:
            history.append(_point(step) | log.point(number, step.total))
            if step.state is not None and _stalled(history, patience):
                # A twentieth more, in which the rate falls to zero.
                ending = max(number + max(step.total // 20, 1), least)
                step.state.total, patience = min(step.state.total, ending), 0.0
            yield Progress(title, number, step.total, figures=history[-1])
        if step.state is None:
            continue
        if due is not None and number % 20 == 0 and number > first_number:
            each = (now - first) / (number - first_number)
            _keep_to(due - folder.elapsed, each, step.state, least)
        # After the last step none: a fit that goes on from there would have no step to tell of.
        if (now - saved > every or folder.reached) and number < step.state.total:
            step.state.note = {
                "history": history,
                "seconds": before + now - began,
                "cpu_seconds": cpu_before + cpu_now() - cpu_began,
                "log": log.note,
            }
            step.state.save(_checkpoint(home))
            folder.tick()
            # Large states must not spend the budget on being written.
            saved = time.monotonic()
            every = max(every, 20 * (saved - now))
    network.save(home)
    return network, {
        "title": title,
        "steps": number,
        "setup": setup,
        "seconds": before + time.monotonic() - began,
        "cpu_seconds": cpu_before + cpu_now() - cpu_began,
        "history": history,
    }


def _stalled(history: Sequence[dict[str, float]], patience: float) -> bool:
    """Whether the median loss of five points has not fallen by a thousandth for so long."""
    waited = round(patience * _POINTS)
    if not waited or len(history) < waited + 5:
        return False
    smooth = [
        float(np.median([point["loss"] for point in history[max(i - 4, 0) : i + 1]]))
        for i in range(4, len(history))
    ]
    before, since = smooth[:-waited], smooth[-waited:]
    return bool(before) and min(since) > min(before) - 1e-3 * abs(min(before))


def _checkpoint(home: Path) -> Path:
    return home / "checkpoint.safetensors"


def _only(targets: npt.NDArray[np.int64], train: Index) -> npt.NDArray[np.int64]:
    """Targets at `train`, -1 elsewhere: what a method may see."""
    seen = np.full_like(targets, -1)
    seen[train] = targets[train]
    return seen


def _point(step: Step) -> dict[str, float]:
    """One point of the history: the step, its loss, terms and figures."""
    named = step.terms | step.figures
    values = {name: round(float(value), 6) for name, value in named.items()}
    loss = sum(float(term) for term in step.terms.values())
    return {"step": step.number, "loss": round(loss, 6)} | values


def _keep_to(left: float, each: float, state: TrainState, least: int) -> None:
    """Shorten a stage that would end late by more than a twentieth of the time it has left.

    It takes at least `least` steps.

    Only a machine that has become slower makes a difference here: otherwise the plan stands, so
    that an interrupted run and an undisturbed one take the same steps.
    """
    needed = each * (state.total - state.step)
    if needed > left * 1.05 + 0.5:
        state.total = max(state.step + max(int(left / each), 0), min(least, state.total))
