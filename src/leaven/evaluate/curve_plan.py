"""What is measured for learning curves: folds, sizes, shares, and as much as the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from leaven.data.dataset import Index
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.method import Step
from leaven.learn.wrapping import dealt

__all__ = ["LEAST", "Plan"]

_FOLDS, _FOLDS_OF_FEW, _FEW = 5, 10, 100
_SIZES, _APART, _FIRST = 6, 1.4, 5  # points of the curve of labels, their ratio, the first
#: Parts of the unlabelled records; the last is twice the one before it.
_SHARES, _FEW_SHARES = (0.0, 0.125, 0.25, 0.5, 1.0), (0.0, 0.5, 1.0)
LEAST = 8  # judged records under which nothing is said
#: Repetitions of all folds that are planned, by the labelled records there are.
_REPEATS = ((400, 5), (1500, 3))
#: What is done, the first that the time allows: the unlabelled records read at most, and whether
#: all folds, sizes and shares are, or a half of each.
_RUNGS = ((4000, True), (1000, True), (1000, False), (250, False))
#: Records times fits that are worth a run's while where no time is given, and nothing may depend on
#: the clock: some seconds of work on most data. And fits, which have a price of their own.
_WORK, _FITS = 150_000, 100
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Plan:
    """What is to be measured; `judged` and `always` are positions of labelled records.

    `sizes` are numbers of labels, `shares` numbers of unlabelled records, the last of each being
    all there are for a fold. The only unit of its class always teaches: without it no model
    knows the class.
    """

    known: Frozen
    method: ClassicMethod
    seed: int
    units: Index
    judged: Index
    always: Index
    folds: int
    repeats: int
    sizes: Index
    shares: Index

    @classmethod
    def of(
        cls,
        known: Frozen,
        method: ClassicMethod,
        seed: int,
        seconds: float | None,
        units: Index | None,
    ) -> Plan | None:
        """The plan by the sizes; None where too little can be judged.

        Without `seconds` it follows from the sizes alone.
        """
        n = known.labelled
        targets = known.targets[:n]
        units = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
        pairs = np.unique(np.stack([targets, units]), axis=1)
        shared = np.bincount(pairs[0], minlength=known.classes)[targets] > 1
        judged, always = np.flatnonzero(shared), np.flatnonzero(~shared)
        if len(judged) < LEAST or len(np.unique(targets[judged])) < 2:
            return None
        folds = min(_FOLDS_OF_FEW if n < _FEW else _FOLDS, len(np.unique(units[judged])))
        repeats = next((times for most, times in _REPEATS if n < most), 2)
        known = replace(known, seed=seed)
        whole = cls(known, method, seed, units, judged, always, folds, repeats, _NONE, _NONE)
        price = 1.0
        if seconds is not None:
            price = whole._rung(_RUNGS[-1][0], whole=True)._price()
        limit = float(_WORK) if seconds is None else seconds
        for pool, every in _RUNGS:
            plan = whole._rung(pool, every)
            if plan.fits * (n + plan.pool) * price < limit:
                break
        if seconds is None:
            fitting = int(_WORK / (plan.fits * (n + plan.pool)))
            fitting = min(fitting, _FITS // plan.fits)
            plan = replace(plan, repeats=min(plan.repeats, max(fitting, 1)))
        return plan

    def _rung(self, pool: int, whole: bool) -> Plan:
        """The plan with so many unlabelled records, and with all its fits or a part of them."""
        targets = self.known.targets[: self.known.labelled]
        folds = self.folds if whole else min(self.folds, _FOLDS)
        top = len(targets) - math.ceil(len(self.judged) / folds)
        first = min(max(len(np.unique(targets)), _FIRST), max(top // 2, 2))
        wanted = min(_SIZES, 1 + max(round(math.log(top / first) / math.log(_APART)), 1))
        wanted = wanted if whole else min(wanted, _SIZES // 2)
        sizes = np.unique(np.geomspace(first, top, wanted).round().astype(np.int64))
        shares = _NONE
        if self.method.unlabelled and len(self.known.places):
            read = min(pool, len(self.known.places))
            parts = np.array((_SHARES if whole else _FEW_SHARES) if read >= LEAST else (1.0,))
            shares = np.unique(np.round(parts * read).astype(np.int64))
        return replace(self, folds=folds, sizes=sizes, shares=shares)

    def _price(self) -> float:
        """Seconds of one fit for each of its records; the first fit also loads what it needs."""
        teach, held, unlabelled = next(self.folds_of(0))
        for _ in range(2):
            begun = time.monotonic()
            self.right(teach, unlabelled, held)
        return (time.monotonic() - begun) / (len(teach) + len(unlabelled))

    @property
    def fits(self) -> int:
        """How many there are in one repetition."""
        return self.folds * (len(self.sizes) + max(len(self.shares) - 1, 0))

    @property
    def pool(self) -> int:
        """How many unlabelled records are read, at most."""
        return int(self.shares[-1]) if len(self.shares) else 0

    def folds_of(self, repetition: int) -> Iterator[tuple[Index, Index, Index]]:
        """For each fold who may teach, who is judged, and the unlabelled records.

        Any beginning of the first is stratified by class, any beginning of the last drawn alike.
        """
        draw = np.random.default_rng([self.seed, repetition])
        n, targets = self.known.labelled, self.known.targets
        _, first, inverse = np.unique(
            self.units[self.judged], return_index=True, return_inverse=True
        )
        fold = dealt(targets[self.judged[first]], self.folds, draw)[inverse]
        for held in range(self.folds):
            rest = np.concatenate([self.always, self.judged[fold != held]])
            teach = rest[_stratified(targets[rest], draw)]
            unlabelled = n + draw.permutation(len(self.known.places))[: self.pool]
            yield teach, self.judged[fold == held], unlabelled

    def right(self, teach: Index, unlabelled: Index, held: Index) -> npt.NDArray[np.bool_]:
        """(len(held),) whether a model taught by these records names the class."""
        known = self.known
        head = _finished(self.method.learn(known.among(teach, unlabelled)))
        with torch.inference_mode():
            said = head(torch.from_numpy(known.features[held])).argmax(1).numpy()
        return np.asarray(said == known.targets[held])


def _finished(fit: Generator[Step, None, Head]) -> Head:
    """What a fit returns at its end."""
    while True:
        try:
            next(fit)
        except StopIteration as done:
            head: Head = done.value
            return head


def _stratified(targets: Index, draw: np.random.Generator) -> Index:
    """An order of which any beginning has the classes' shares, and each class once at first."""
    order = draw.permutation(len(targets))
    _, kinds, counts = np.unique(targets[order], return_inverse=True, return_counts=True)
    rank = np.empty(len(order), np.int64)
    for kind in range(len(counts)):
        rank[kinds == kind] = np.arange(counts[kind])
    due = np.where(rank > 0, (rank + draw.random(len(counts))[kinds]) / counts[kinds], -1.0)
    return order[np.argsort(due, kind="stable")]
