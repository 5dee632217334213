"""Which candidates of a blend a time budget buys: the best expected first, as their cost allows."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from leaven.core.budget import Budget
from leaven.core.recipe import Recipe
from leaven.evaluate.folder import RunFolder
from leaven.learn.blending import BlendMethod, member
from leaven.learn.history import expected
from leaven.learn.method import METHODS, Problem
from leaven.learn.out_of_fold import answers, fitted

__all__ = ["affordable", "with_members"]

_SHARE = 0.6  # of a time budget, for the candidates of all fits
_FOLDS = 4  # of a round in which candidates are compared


def with_members(recipe: Recipe, problem: Problem, fits: int, folder: RunFolder) -> Recipe:
    """The recipe with the blend's members named, where the budget is a time and they are not.

    `fits` is the number of blends, with and without unlabelled records, that the run will fit.
    Decided once and kept in the folder, so that whoever goes on with the run has the same blend.
    """
    blend, budget = METHODS[recipe.method], Budget.parse(recipe.budget)
    if not isinstance(blend, BlendMethod) or recipe.objective.get("members"):
        return recipe
    if budget.seconds is None:
        return recipe
    named = folder.read("members.json")
    if named is None:
        costs = _costs(blend, problem)
        labels = len(problem.train) / max(len(np.unique(problem.targets[problem.train])), 1)
        prior = expected(costs, problem.modality, labels)
        repeats = int(recipe.objective.get("repeats", blend.repeats))  # type: ignore[arg-type]
        each = fits * (repeats * _FOLDS + 1)
        named = affordable(costs, prior, _SHARE * budget.seconds / each)
        folder.write("members.json", named)
        folder.tick()
    if len(named) == len(blend.candidates):
        return recipe
    objective = recipe.objective | {"members": ",".join(named)}
    return recipe.model_copy(update={"objective": objective})


def affordable(costs: Mapping[str, float], prior: Mapping[str, float], seconds: float) -> list[str]:
    """The candidates, in their order, that one round of fits in `seconds` can hold.

    `costs` are seconds of a fit. Who promises most by its cost comes first; the cheapest
    supervised one takes part whatever it costs.

    >>> costs = {"logistic": 0.1, "forest": 0.5, "poisson-learning": 2.0}
    >>> affordable(costs, {"logistic": 1, "forest": 2, "poisson-learning": 5}, 1.0)
    ['logistic', 'forest']
    """
    supervised = [name for name in costs if not METHODS[name].unlabelled]
    chosen = {min(supervised, key=lambda name: costs[name])}
    left = seconds - sum(costs[name] for name in chosen)
    for name in sorted(costs, key=lambda name: -prior[name]):
        if name not in chosen and costs[name] <= left:
            chosen.add(name)
            left -= costs[name]
    return [name for name in costs if name in chosen]


def _costs(blend: BlendMethod, problem: Problem) -> dict[str, float]:
    """Seconds of each candidate's fit on what comparisons look at, answers included."""
    _, known = blend.frozen(problem)
    tried = blend.tried(known)
    costs = {}
    for name in blend.candidates:
        began = time.monotonic()
        answers(fitted(member(name), tried), tried.features[: tried.labelled])
        costs[name] = time.monotonic() - began
    return costs
