"""Which records teach, which calibrate, which judge. Fixed by the data and a seed.

A split depends on what the records are, not on the order in which they come: everything is drawn
from records sorted by content. Records that are equal, or of one group, are one unit and are
never parted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset, Index

__all__ = ["HOLDOUT", "HOLDOUT_OF_QUICK", "Split", "split", "unit_numbers"]

#: Labelled records from which on some judge and never teach: of a method that trains by steps,
#: which would have to share its time among the folds, and of one that does not.
HOLDOUT, HOLDOUT_OF_QUICK = 500, 5000
_LEAST_OF_A_CLASS = 10
_FOLDS = 4


@dataclass(frozen=True)
class Split:
    """Positions of the records of each part, ascending.

    Attributes
    ----------
    rule : `holdout` or `folds`.
    reason : why, in a sentence for people.
    train, calibration, holdout : disjoint, labelled. Under `folds` all labelled records are in
        `train` and the other two are empty.
    folds : disjoint parts of `train`, each to be predicted by a model that did not see it. Empty
        under `holdout`, or where nothing can be folded.
    unlabelled : unlabelled records that may be trained on: none equals a record of the holdout or
        the calibration part, nor, where records have groups, belongs to one of their groups.
    barred : for each fold the ones of `unlabelled` that in the same way repeat its records, and
        may not be trained on by the model that it judges.
    proxy : unlabelled records set aside to watch training by; never trained on.
    """

    rule: str
    reason: str
    train: Index
    calibration: Index
    holdout: Index
    folds: tuple[Index, ...]
    unlabelled: Index
    proxy: Index
    barred: tuple[Index, ...] = ()


@dataclass(frozen=True)
class _Units:
    """Labelled records in their indivisible units, shuffled by seed (or in order of time)."""

    members: tuple[Index, ...]
    size: Index
    target: Index
    #: per class, the number of units in which it occurs
    spread: Index


def split(
    dataset: Dataset,
    *,
    seed: int = 0,
    strategy: str | None = None,
    enough: int = HOLDOUT,
) -> Split:
    """Draw a split.

    From `enough` labelled records on, with at least 10 of each class, a fifth (at most 5000) is
    the holdout and a tenth (50 to 2000) the calibration part. With fewer, four folds serve: every
    labelled record both teaches and, out of fold, judges.

    Parameters
    ----------
    strategy : `stratified`, `grouped` (whole groups) or `time` (the latest judge); by default
        `time` or `grouped` where the dataset has times or groups.

    Raises SettingError for an unknown strategy, or one whose column the dataset lacks.
    """
    strategy = _strategy(dataset, strategy)
    numbers = unit_numbers(dataset, grouped=strategy == "grouped")
    labelled = dataset.labelled
    units = _units(dataset, labelled, numbers, strategy, seed)
    parts = _parts(dataset, labelled, units, strategy) if len(labelled) >= enough else None
    folds: tuple[Index, ...] = ()
    if parts is not None:
        train, calibration, judges = parts
        rule = "holdout"
        why = f"{len(labelled)} labelled records are enough for parts of their own. "
    else:
        train, calibration, judges = labelled, np.zeros(0, np.int64), np.zeros(0, np.int64)
        rule = "folds"
        folds, why = _folds(dataset, units, strategy)
        why = _why_folds(dataset, labelled, enough) + why
    how = {
        "stratified": "Each part has the classes in their shares.",
        "grouped": "Groups are whole: no group is in two parts.",
        "time": "Each fold is a stretch of time." if folds else "The latest records judge.",
    }[strategy]
    seen = np.concatenate([calibration, judges])
    unlabelled, proxy = _unlabelled(dataset, numbers, seen, seed)
    reason = (why + how).strip()
    return Split(
        rule,
        reason,
        np.sort(train),
        np.sort(calibration),
        np.sort(judges),
        tuple(np.sort(fold) for fold in folds),
        unlabelled,
        proxy,
        tuple(unlabelled[np.isin(numbers[unlabelled], numbers[fold])] for fold in folds),
    )


def unit_numbers(dataset: Dataset, *, grouped: bool = True) -> Index:
    """(n,) the number of each record's unit: equal records, and with `grouped` equal groups."""
    _, same = np.unique(dataset.content, return_inverse=True)
    if not grouped or dataset.meta is None or "group" not in dataset.meta.column_names:
        return same.astype(np.int64)
    encoded = dataset.meta["group"].combine_chunks().dictionary_encode().indices
    group = encoded.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    # Link each record's content to its group; what hangs together is one unit.
    known = group >= 0
    n = int(same.max(initial=-1)) + 1
    size = n + int(group.max(initial=-1)) + 1
    ones = np.ones(int(known.sum()), np.int8)
    links = coo_matrix((ones, (same[known], n + group[known])), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return np.asarray(component[same], dtype=np.int64)


def _strategy(dataset: Dataset, strategy: str | None) -> str:
    there = set() if dataset.meta is None else set(dataset.meta.column_names)
    if strategy is None:
        return "time" if "time" in there else "grouped" if "group" in there else "stratified"
    needs = {"stratified": None, "grouped": "group", "time": "time"}
    if strategy not in needs:
        raise SettingError("strategy", "stratified, grouped or time", strategy)
    column = needs[strategy]
    if column is not None and column not in there:
        raise SettingError(
            "strategy",
            f"one whose column the data has; {strategy} needs a {column} column",
            strategy,
            f"Name it with --{column}, or {column}=… in Python.",
        )
    return strategy


def _units(dataset: Dataset, labelled: Index, numbers: Index, strategy: str, seed: int) -> _Units:
    order = labelled[np.lexsort((dataset.content[labelled], numbers[labelled]))]
    starts = np.flatnonzero(np.r_[True, np.diff(numbers[order]) != 0]) if len(order) else order
    members = np.split(order, starts[1:]) if len(order) else []
    # A unit is known by its least content, whatever its number.
    keys = np.array([dataset.content[m[0]] for m in members], dtype="U32")
    drawn = np.argsort(keys)
    drawn = drawn[np.random.default_rng([seed, 1]).permutation(len(drawn))]
    if strategy == "time":
        moments = _moments(dataset)
        latest = np.array([moments[m].max() for m in members])
        drawn = drawn[np.lexsort((keys[drawn], latest[drawn]))] if len(members) else drawn
    members = [members[i] for i in drawn]
    k = len(dataset.classes)
    unit_of = np.repeat(np.arange(len(members)), [len(m) for m in members])
    flat = np.concatenate(members) if members else np.zeros(0, np.int64)
    pairs = unit_of * k + dataset.targets[flat]
    found, counts = np.unique(pairs, return_counts=True)
    # The most frequent class of each unit, the first of equals.
    best = np.lexsort((found, -counts, found // max(k, 1)))
    unit = found[best] // max(k, 1)
    first = np.flatnonzero(np.r_[True, np.diff(unit) != 0]) if len(unit) else best
    return _Units(
        tuple(members),
        np.array([len(m) for m in members], dtype=np.int64),
        (found[best][first] % max(k, 1)).astype(np.int64),
        np.bincount(found % max(k, 1), minlength=k).astype(np.int64),
    )


def _moments(dataset: Dataset) -> npt.NDArray[np.float64]:
    """(n,) times as numbers; records without one come before all others."""
    assert dataset.meta is not None
    column = dataset.meta["time"].to_numpy()
    if column.dtype.kind == "M":
        values: npt.NDArray[np.float64] = column.astype("datetime64[us]").astype(np.float64)
        values[np.isnat(column)] = -np.inf
        return values
    return np.asarray(np.nan_to_num(column.astype(np.float64), nan=-np.inf))


def _parts(
    dataset: Dataset, labelled: Index, units: _Units, strategy: str
) -> tuple[Index, Index, Index] | None:
    """Train, calibration and holdout; None where a class has too few for them."""
    n = len(labelled)
    counts = np.bincount(dataset.targets[labelled], minlength=len(dataset.classes))
    counts = counts[counts > 0]
    if counts.min() < _LEAST_OF_A_CLASS:
        return None
    held = min(n // 5, 5000)
    tuned = max(50, min(n // 10, 2000))
    part = _shared_out(units, strategy, held / n, tuned / n)
    train, calibration, judges = (_joined(units, part == i) for i in range(3))
    classes = np.unique(dataset.targets[labelled])
    whole = all(len(np.unique(dataset.targets[p])) == len(classes) for p in (train, judges))
    if len(calibration) == 0 or (strategy != "time" and not whole):
        return None
    return train, calibration, judges


def _shared_out(units: _Units, strategy: str, held: float, tuned: float) -> Index:
    """(units,) 0 to train, 1 to calibrate, 2 to judge, the last two with their shares in [0, 1).

    By time it is one line, the latest last. Otherwise each class is a line of its own, of which
    at least one record calibrates and two judge; where a class has too few units for that, all
    classes are one line.
    """
    part = np.zeros(len(units.size), np.int64)
    alone = strategy == "time" or units.spread[units.spread > 0].min() < _LEAST_OF_A_CLASS
    lines = (
        [np.arange(len(units.size))]
        if alone
        else [np.flatnonzero(units.target == c) for c in np.unique(units.target)]
    )
    for line in lines:
        size = units.size[line]
        left = size.sum() - (np.cumsum(size) - size / 2)  # records from here to the end
        judges = held * size.sum() if alone else max(held * size.sum(), 2)
        calibrates = tuned * size.sum() if alone else max(tuned * size.sum(), 1)
        part[line] = np.where(left <= judges, 2, np.where(left <= judges + calibrates, 1, 0))
    return part


def _joined(units: _Units, mask: npt.NDArray[np.bool_]) -> Index:
    chosen = [units.members[i] for i in np.flatnonzero(mask)]
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)


def _why_folds(dataset: Dataset, labelled: Index, enough: int) -> str:
    if len(labelled) < enough:
        return (
            f"{len(labelled)} labelled records are too few for a holdout of their own "
            f"(it takes {enough}). "
        )
    counts = np.bincount(dataset.targets[labelled], minlength=len(dataset.classes))
    least = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
    if counts[least] < _LEAST_OF_A_CLASS:
        return (
            f"Class {dataset.classes[least]!r} has {counts[least]} labelled records, too few for a "
            f"holdout of their own (it takes {_LEAST_OF_A_CLASS}). "
        )
    return "Too many labelled records are equal or of one group to give each part every class. "


def _folds(dataset: Dataset, units: _Units, strategy: str) -> tuple[tuple[Index, ...], str]:
    """The folds, and a sentence on them.

    A class that lies in one unit cannot be both learned and judged: that unit always teaches.
    """
    lone = np.flatnonzero(units.spread == 1)
    stays = np.array([np.isin(dataset.targets[m], lone).any() for m in units.members], dtype=bool)
    usable = np.flatnonzero(~stays)
    k = min(_FOLDS, len(usable))
    if k < 2:
        return (), "Nothing can be held back: no class has two records that differ. "
    if strategy == "time":
        ends = np.cumsum(units.size[usable])
        fold = np.minimum((ends - units.size[usable] / 2) * k // ends[-1], k - 1).astype(np.int64)
    else:
        fold = _dealt(units.target[usable], units.size[usable], k, len(dataset.classes))
    chosen = np.full(len(units.size), -1)
    chosen[usable] = fold
    folds = tuple(part for i in range(k) if len(part := _joined(units, chosen == i)))
    if len(folds) < 2:
        return (), "Nothing can be held back: one unit of equal records outweighs all others. "
    said = f"{len(folds)} folds judge each other. "
    if stays.any():
        said += f"Always in training, for they cannot be judged: {_listed(dataset, lone)}. "
    return folds, said


def _listed(dataset: Dataset, classes: Sequence[int] | Index) -> str:
    names = [repr(dataset.classes[c]) for c in classes]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _dealt(target: Index, size: Index, k: int, classes: int) -> Index:
    """Deal units to k folds, each to the fold that has least of its class, then least of all."""
    dealt = np.zeros(len(size), np.int64)
    of_class = np.zeros((classes, k), np.int64)
    of_all = np.zeros(k, np.int64)
    for unit in np.argsort(-size, kind="stable"):
        row = of_class[target[unit]]
        fold = int(np.lexsort((of_all, row))[0])
        dealt[unit] = fold
        row[fold] += size[unit]
        of_all[fold] += size[unit]
    return dealt


def _unlabelled(dataset: Dataset, numbers: Index, seen: Index, seed: int) -> tuple[Index, Index]:
    """Unlabelled records that may be trained on, and the proxy.

    A tenth, at most 1000, is the proxy; equal records are on one side.
    """
    free = dataset.unlabelled[~np.isin(numbers[dataset.unlabelled], numbers[seen])]
    quota = min(len(free) // 10, 1000)
    content, inverse, counts = np.unique(
        dataset.content[free], return_inverse=True, return_counts=True
    )
    drawn = np.random.default_rng([seed, 2]).permutation(len(content))
    aside = np.zeros(len(content), dtype=bool)
    aside[drawn[np.cumsum(counts[drawn]) <= quota]] = True
    return free[~aside[inverse]], free[aside[inverse]]
