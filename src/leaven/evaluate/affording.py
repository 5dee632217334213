"""What a time budget buys of a blend: candidates, the best expected first, and trials of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from leaven.core.budget import Budget
from leaven.core.recipe import Recipe, Setting
from leaven.evaluate.folder import RunFolder
from leaven.learn.blending import BlendMethod, fitted_member, member, parted
from leaven.learn.choices.compose import composed
from leaven.learn.classic_method import Frozen
from leaven.learn.method import METHODS, Problem
from leaven.learn.out_of_fold import answers
from leaven.learn.search import space_of

__all__ = ["affordable", "affordable_trials", "with_members"]

_SHARE = 0.6  # of a time budget, for the candidates of all fits
_FOLDS = 4  # of a round in which candidates are compared
_ASKED = 256  # unlabelled records, to see how long answers take
_TUNED = 0.75  # of a time budget, for all until the last fit where settings are searched for
_TRIALS = 12  # of each candidate, where the budget is no time
_FEWEST, _MOST = 3, 40  # trials: fewer find nothing, more find luck


def with_members(recipe: Recipe, problem: Problem, fits: int, folder: RunFolder) -> Recipe:
    """The recipe with the blend's members named and its trials counted, where it leaves these open.

    Members are left open where the budget is a time and none are named, trials where the recipe
    tunes and counts none. `fits` is the number of blends, with and without unlabelled records, that
    the run will fit. Decided once and kept in the folder, so that whoever goes on with the run has
    the same blend.
    """
    blend, budget = METHODS[recipe.method], Budget.parse(recipe.budget)
    if not isinstance(blend, BlendMethod):
        return recipe
    named, counted = recipe.objective.get("members"), "trials" in recipe.objective
    open_trials = recipe.tune and not counted
    if budget.seconds is None:
        return _with(recipe, {"trials": _TRIALS} if open_trials else {})
    if named and not open_trials:
        return recipe
    decided = folder.read("members.json")
    if decided is None:
        decided = _decided(recipe, blend, problem, fits, folder)
        folder.write("members.json", decided)
        folder.tick()
    return _with(recipe, decided)


def _with(recipe: Recipe, decided: Mapping[str, Setting]) -> Recipe:
    return recipe.model_copy(update={"objective": recipe.objective | dict(decided)})


def _decided(
    recipe: Recipe, blend: BlendMethod, problem: Problem, fits: int, folder: RunFolder
) -> dict[str, Setting]:
    """The settings of the blend that the recipe leaves open, by what its candidates cost here.

    No candidate makes room for the search: it gets what they leave. One that reads unlabelled
    records takes part in one arm alone.
    """
    seconds = Budget.parse(recipe.budget).seconds
    assert seconds is not None
    asked = composed(blend, recipe.objective)
    tried = asked.tried(asked.frozen(problem)[1])
    prior = asked.contenders(tried)
    rounds = asked.dealt(tried.labelled) * _FOLDS + 1
    others = len(problem.unlabelled) / rounds  # are asked about once for all rounds
    costs = _costs(list(prior), tried, others)
    tunes = recipe.tune and "trials" not in recipe.objective
    if tunes:  # once more: first fits load what later ones find, and there will be many
        costs = _costs(list(prior), replace(tried, seed=tried.seed + 1, near={}), others)
    decided: dict[str, Setting] = {}
    arms = len({blend.name, blend.baseline})
    mean = {n: cost / (arms if _unlabelled(n) else 1) for n, cost in costs.items()}
    if not asked.members:
        named = affordable(mean, prior, _SHARE * seconds / fits / rounds)
        mean = {name: mean[name] for name in named}
        if len(named) < len(prior):
            decided["members"] = ",".join(named)
    if tunes:
        each = (_TUNED * seconds - folder.elapsed) / fits
        decided["trials"] = affordable_trials(mean, each - rounds * sum(mean.values()))
    return decided


def affordable(costs: Mapping[str, float], prior: Mapping[str, float], seconds: float) -> list[str]:
    """The candidates, in their order, that one round of fits in `seconds` can hold.

    `costs` are seconds of a fit. Who promises most comes first; the cheapest supervised
    one takes part whatever it costs.

    >>> costs = {"logistic": 0.1, "forest": 0.5, "poisson-learning": 2.0}
    >>> affordable(costs, {"logistic": 1, "forest": 2, "poisson-learning": 5}, 1.0)
    ['logistic', 'forest']
    """
    supervised = [name for name in costs if not _unlabelled(name)] or list(costs)
    chosen = {min(supervised, key=lambda name: costs[name])}
    left = seconds - sum(costs[name] for name in chosen)
    for name in sorted(costs, key=lambda name: -prior[name]):
        if name not in chosen and costs[name] <= left:
            chosen.add(name)
            left -= costs[name]
    return [name for name in costs if name in chosen]


def affordable_trials(costs: Mapping[str, float], seconds: float) -> int:
    """Settings of each candidate that one search in `seconds` can compare; 0 where too few.

    `costs` are seconds of a fit. Each trial takes a fit a fold, the first none beyond those in
    which candidates are compared anyway.

    >>> affordable_trials({"logistic": 0.1, "ridge": 5.0}, 4.0)
    11
    >>> affordable_trials({"logistic": 1.0}, 4.0)
    0
    """
    each = _FOLDS * sum(cost for name, cost in costs.items() if space_of(member(name)))
    trials = 1 + int(seconds / max(each, 1e-3))
    return min(trials, _MOST) if trials >= _FEWEST else 0


def _costs(names: Sequence[str], tried: Frozen, others: float) -> dict[str, float]:
    """Seconds of each candidate's fit on what comparisons look at.

    Its answers about the labelled records are included, and those about so many `others`, by what
    some of them take: a network from elsewhere takes long for each.
    """
    costs = {}
    some = tried.features[tried.labelled : tried.labelled + _ASKED]
    for name in names:
        began = time.monotonic()
        head = fitted_member(name, tried)
        answers(head, tried.features[: tried.labelled])
        fitted = time.monotonic()
        answers(head, some)
        each = (time.monotonic() - fitted) / max(len(some), 1)
        costs[name] = fitted - began + each * others
    return costs


def _unlabelled(name: str) -> bool:
    """Whether a candidate reads unlabelled records."""
    return METHODS[parted(name)[0]].unlabelled
