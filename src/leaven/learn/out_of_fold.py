"""What a method on frozen features says of labelled records whose labels it was not shown."""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head

__all__ = ["answers", "fitted", "folds", "out_of_fold"]

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FOLDS = 4
_ASKED = 4096  # records that a head answers at once
_SMALL = 1 << 20  # bytes of features whose heads are remembered
_REMEMBERED = 160
_KEPT: OrderedDict[bytes, Head] = OrderedDict()


def folds(targets: Index, seed: int, most: int = _FOLDS) -> list[Index]:
    """Positions of the records of each fold, every class dealt out evenly; `seed` shuffles.

    As many as the smallest class has records, `most` at the most; none where a class has one only.

    >>> [part.tolist() for part in folds(np.array([0, 0, 1, 1]), seed=0)]
    [[0, 3], [1, 2]]
    """
    counts = np.unique(targets, return_counts=True)[1]
    number = min(most, int(counts.min())) if len(counts) > 1 else 0
    if number < 2:
        return []
    shuffled = np.random.default_rng([seed, 8]).permutation(len(targets))
    by_class = shuffled[np.argsort(targets[shuffled], kind="stable")]
    return [np.sort(by_class[start::number]) for start in range(number)]


def out_of_fold(method: ClassicMethod, known: Frozen, parts: list[Index]) -> Floats:
    """(labelled, classes) outputs, each record's by a fit that took it for unlabelled.

    Records that are in no part have NaN.
    """
    said = np.full((known.labelled, known.classes), np.nan)
    known = _read(method, known)
    for held in parts:
        head = fitted(method, known.without(held))
        said[held] = answers(head, known.features[held])
    return said


def fitted(method: ClassicMethod, known: Frozen) -> Head:
    """The head in which the method ends; supervised ones see the labelled records alone.

    The last few are remembered by content: both arms of a comparison ask for the same ones. Those
    of methods whose package is not always there are not: their weights may be others by then.
    """
    known = _read(method, known)
    known = known.with_names() if method.reads_names else known
    if method.extra or known.features.nbytes > _SMALL:
        return _fit(method, known)
    key = _key(method, known)
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return copy.deepcopy(_KEPT[key])
    head = _fit(method, known)
    _KEPT[key] = copy.deepcopy(head)
    while len(_KEPT) > _REMEMBERED:
        _KEPT.popitem(last=False)
    return head


def _key(method: ClassicMethod, known: Frozen) -> bytes:
    said = method if is_dataclass(method) else method.name
    shape = f"{known.classes} {known.features.shape} {dict(known.columns)}"
    told = hashlib.sha256(f"{said} {known.seed} {shape}".encode())
    for part in (known.features, known.targets, known.weights):
        told.update(np.ascontiguousarray(part).data)
    if method.reads_votes and known.votes is not None:
        told.update(np.ascontiguousarray(known.votes).data)
    return told.digest()


def _fit(method: ClassicMethod, known: Frozen) -> Head:
    learning = method.learn(known)
    while True:
        try:
            next(learning)
        except StopIteration as done:
            head: Head = done.value
            return head.eval()


def _read(method: ClassicMethod, known: Frozen) -> Frozen:
    """What of the records the method reads."""
    if method.unlabelled or not len(known.places):
        return known
    return known.among(np.flatnonzero(known.targets >= 0), np.zeros(0, np.int64))


@torch.inference_mode()
def answers(head: Head, features: npt.NDArray[np.floating[Any]]) -> Floats:
    """(n, classes) outputs of a head."""
    told = [head(part).numpy() for part in _blocks(features)]
    if not told:
        return np.zeros((0, head.outputs))
    every: Floats = np.concatenate(told).astype(np.float64)
    return every


def _blocks(features: npt.NDArray[np.floating[Any]]) -> Iterator[torch.Tensor]:
    for start in range(0, len(features), _ASKED):
        yield torch.from_numpy(np.asarray(features[start : start + _ASKED], np.float32))
