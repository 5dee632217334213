"""Which records each step reads: endless streams that are functions of the seed and the step."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, encode, sample
from leaven.learn.method import Problem

__all__ = ["Labelled", "Unlabelled"]

_LABELLED, _UNLABELLED, _CAP = 0, 1, 4
_EVEN = 0.2  # share of the draws that nearness does not touch


class Labelled:
    """The labelled records of each step: all equally often, or all classes equally often."""

    def __init__(self, problem: Problem) -> None:
        self.seed, self.size = problem.seed, problem.training.labelled_batch
        self.groups: list[Index] = [np.arange(len(problem.train))]
        if problem.training.labelled_draw == "balanced":
            targets = problem.targets[problem.train]
            self.groups = [np.flatnonzero(targets == c) for c in np.unique(targets)]

    def __call__(self, step: int) -> Index:
        """(batch,) places in `Problem.train`."""
        places = np.arange(step * self.size, (step + 1) * self.size)
        if len(self.groups) == 1:
            return self.groups[0][_shuffled(len(self.groups[0]), places, self.seed, _LABELLED)]
        # Each pass over the classes takes the next record of every class.
        passes = places // len(self.groups)
        classes = _shuffled(len(self.groups), places, self.seed, _LABELLED)
        chosen = np.empty(self.size, np.int64)
        for c in np.unique(classes):
            own, group = classes == c, self.groups[c]
            chosen[own] = group[_shuffled(len(group), passes[own], self.seed, 5 + int(c))]
        return chosen


class Unlabelled:
    """The unlabelled records of each step: all equally often, or those near labelled ones more.

    With a cap, a part of them that is drawn once. Pretraining, where no record is labelled, has a
    batch of its own size.
    """

    def __init__(self, problem: Problem) -> None:
        training = problem.training
        self.seed = problem.seed
        self.size = training.labelled_batch * training.unlabelled_ratio
        if not len(problem.train):
            self.size = training.pretrain_batch
        self.places: Index = np.arange(len(problem.unlabelled))
        if training.most_unlabelled:
            mixed = int(np.random.SeedSequence([problem.seed, _CAP]).generate_state(1)[0])
            self.places = sample(self.places, training.most_unlabelled, mixed)
        self.edges: npt.NDArray[np.float64] | None = None
        if training.unlabelled_draw == "near" and len(self.places):
            near = nearness(problem, problem.unlabelled[self.places])
            self.edges = np.cumsum(_EVEN / len(near) + (1 - _EVEN) * near / near.sum())

    def __call__(self, step: int) -> Index:
        """(batch,) places in `Problem.unlabelled`."""
        if self.edges is not None:
            luck = np.random.default_rng((self.seed, _UNLABELLED, step)).random(self.size)
            drawn = np.searchsorted(self.edges, luck * self.edges[-1], "right")
            return self._at(np.minimum(drawn, len(self.places) - 1))
        places = np.arange(step * self.size, (step + 1) * self.size)
        return self._at(_shuffled(len(self.places), places, self.seed, _UNLABELLED))

    def _at(self, chosen: Index) -> Index:
        places: Index = self.places[chosen]
        return places


def nearness(problem: Problem, index: Index) -> npt.NDArray[np.float64]:
    """(len(index),) exp(-(d / median d)²), d to the nearest labelled record in frozen features."""
    kind = ENCODERS[MODALITIES[problem.modality].features]
    encoder = kind(**kind.configure(problem.spec))
    known = np.sort(np.concatenate([problem.train, problem.unlabelled]))
    encoder.prepare(problem.arrays, known, problem.seed)
    plain = MODALITIES[problem.modality].plain
    labelled = torch.from_numpy(encode(encoder, problem.arrays, problem.train, plain))
    nearest = [
        torch.cdist(torch.from_numpy(encode(encoder, problem.arrays, block, plain)), labelled)
        .amin(1)
        .numpy()
        for block in np.array_split(index, max(1, len(index) // 4096))
    ]
    distance = np.concatenate(nearest).astype(np.float64)
    scale = float(np.median(distance)) or 1.0
    near: npt.NDArray[np.float64] = np.exp(-np.square(distance / scale))
    return near


def _shuffled(count: int, places: Index, seed: int, stream: int) -> Index:
    """Numbers below `count` at `places` of an endless stream of shuffled passes."""
    passes, within = np.divmod(places, count)
    chosen = np.empty(len(places), np.int64)
    for number in np.unique(passes):
        now = passes == number
        chosen[now] = _order(count, seed, stream, int(number))[within[now]]
    return chosen


@lru_cache(maxsize=8)  # a pass lasts many steps, and a large one takes longer to draw than a step
def _order(count: int, seed: int, stream: int, number: int) -> Index:
    """The order of one pass."""
    return np.random.default_rng((seed, stream, number)).permutation(count)
