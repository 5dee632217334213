"""From a data set to its learning curves, on the features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.splits import unit_numbers
from leaven.evaluate.curves import Growth, grow
from leaven.learn.choices.compose import composed
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.encoder import ENCODERS, listed, sample
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.method import METHODS, Problem
from leaven.learn.out_of_fold import folds, out_of_fold
from leaven.learn.start import find_start

__all__ = ["QUICK", "grow_dataset", "grow_problem"]

#: A method that can be fitted some hundred times, and is seldom far behind a blend; where its
#: supervised counterpart is clearly better, that one stands for it.
QUICK = "poisson-learning"
_LEAST, _MOST = 8, 4000  # labelled records, and unlabelled ones that a run's curves look at


def grow_dataset(
    dataset: Dataset,
    method: str,
    *,
    encoder: str = "",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    ahead: int = 50,
    worth: float = 0.005,
) -> Growth:
    """Learning curves of a method on this data; see `grow`.

    Parameters
    ----------
    method : the name of one on frozen features, with its `settings`, or `auto` for a quick one;
        where no unlabelled record can be read, its supervised counterpart is measured.
    encoder : a frozen one by name or folder, or a pretraining's folder; the modality's usual one
        if not given. It may learn statistics from the records, never from labels.

    Records of one group, or equal ones where there are no groups, are never parted between those
    that teach and those that judge, and unlabelled ones that equal a labelled one are not read.
    Raises DataError where there are no labels of two classes, UnknownNameError and SettingError
    for a method or an encoder that does not serve.
    """
    if len(np.unique(dataset.targets[dataset.labelled])) < 2:
        raise DataError(f"'{dataset.name}' has no labels of two classes. Label some of each.")
    chosen = _method(QUICK if method == "auto" else method, settings or {})
    start = find_start(encoder, dataset.modality)
    extractor = find_extractor(encoder, dataset.modality) if start is None else None
    front = start.front if start else Front.describe(dataset, extractor)
    if chosen.modalities and front.views.name not in chosen.modalities:
        serves = ", ".join(chosen.modalities)
        raise SettingError("method", f"one for {front.views.name} records", method, serves)
    name = encoder if encoder and extractor is None else chosen.default_encoder(front.views)
    name = start.encoder.name if start else name
    if start is None and not ENCODERS[name].ready:
        ready = [other for other in listed(front.views.name) if ENCODERS[other].ready]
        raise SettingError(
            "encoder", f"one whose features need no training: {', '.join(ready)}", name
        )
    dataset, arrays = front.readable(dataset)
    units = unit_numbers(dataset)
    labelled = dataset.labelled
    free = dataset.unlabelled[~np.isin(units[dataset.unlabelled], units[labelled])]
    if chosen.unlabelled and not len(free):
        chosen = _method(chosen.baseline, {})
    problem = Problem(
        arrays=arrays,
        spec=front.arrays_spec,
        modality=front.views.name,
        task="classification",
        classes=len(dataset.classes),
        targets=dataset.targets,
        train=labelled,
        unlabelled=free,
        encoder=name,
        seed=seed,
        start=start.encoder if start else None,
        names=front.named(dataset.classes),
    )
    _, known = chosen.frozen(problem)
    if method == "auto":
        known, chosen = _or_supervised(known, chosen)
    return grow(
        known, chosen, seed=seed, seconds=seconds, ahead=ahead, worth=worth, units=units[labelled]
    )


def grow_problem(dataset: Dataset, problem: Problem) -> Growth | None:
    """Learning curves of the quick method on a run's problem; None where it has no features.

    Only records that may teach are looked at, and how much is measured follows from their number.
    """
    method = _method(QUICK, {})
    if problem.modality == "graph" or len(problem.train) < _LEAST:
        return None
    if not problem.start and not ENCODERS[problem.encoder].ready:
        problem = replace(problem, encoder=method.default_encoder(problem.views))
    few = sample(problem.unlabelled, _MOST, problem.seed)
    if not len(few):
        method = _method(method.baseline, {})
    _, known = method.frozen(replace(problem, unlabelled=few))
    known, method = _or_supervised(known, method)
    units = unit_numbers(dataset)[problem.train]
    return grow(known, method, seed=problem.seed, seconds=None, units=units)


def _or_supervised(known: Frozen, method: ClassicMethod) -> tuple[Frozen, ClassicMethod]:
    """The method, or its supervised counterpart and what that reads, where it is surely better.

    Asked of labelled records left out: where classes are very unequal, labels that flow from record
    to record may drown the small ones, and the curve would be of a model that nobody ships.
    """
    y = known.targets[: known.labelled]
    parts = folds(y, known.seed)
    if not method.unlabelled or not parts:
        return known, method
    alone = _method(method.baseline, {})
    right = [out_of_fold(one, known, parts).argmax(1) == y for one in (method, alone)]
    gain = right[1].astype(float) - right[0]
    if gain.mean() <= gain.std(ddof=1) / len(gain) ** 0.5:
        return known, method
    return known.among(np.arange(known.labelled), np.zeros(0, np.int64)), alone


def _method(name: str, settings: Mapping[str, Any]) -> ClassicMethod:
    """The method, which must be quick enough to be fitted some hundred times."""
    method = METHODS[name]
    if not isinstance(method, ClassicMethod):
        quick = [other for other, known in METHODS.items() if isinstance(known, ClassicMethod)]
        wanted = f"one on frozen features: {', '.join(sorted(quick))}"
        raise SettingError("method", wanted, name, "A network takes too long for a curve.")
    method.check(settings)
    return composed(method, settings) if settings else method
