"""Whether unlabelled records can be expected to help, measured before any training."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.data.duplicates import exact, groups, near_images, near_rows, near_texts
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.advice import Advice, conclude
from leaven.learn.encoder import ENCODERS, encode, sample
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.label_noise import cross_fitted, label_noise, share
from leaven.learn.measured import Measured, Region
from leaven.learn.structure import agreement, bare_regions, group, tendency
from leaven.learn.two_samples import (
    classifier_test,
    compare_columns,
    compare_components,
    kernel_test,
)

__all__ = ["Advice", "advise"]

# Enough for every figure below; more would narrow intervals that are narrow already.
_LABELLED, _UNLABELLED, _PREPARED, _COPIES = 2000, 2500, 20_000, 30_000
_WIDTH = 64  # leading components looked at
_TESTABLE = 20  # records on each side, under which no test of the two is made


def advise(
    dataset: Dataset, arrays: Arrays, spec: Spec, seed: int = 0, modality: str = ""
) -> Advice:
    """Measure the assumptions on frozen features and say what follows.

    `arrays` are of the data set's modality unless another is given: `embedding` for features of an
    encoder from elsewhere.

    Smoothness is the agreement of labels among near neighbours; whether both sets come from one
    source, a classifier's and a kernel's test of two samples, and a test a column; unseen classes
    are regions with far fewer labels than chance would put there; wrong labels, what a model says
    otherwise where it is surest. The tests compare within the classes that a model names, so that
    labels collected so many a class are not taken for a shift. All on samples: at most 2,000
    labelled records and 2,500 unlabelled ones.
    """
    told = conclude(_measured(dataset, arrays, spec, seed, modality or dataset.modality))
    return replace(told, places=dataset.places((*told.label_next, *told.check_labels)))


def _measured(dataset: Dataset, arrays: Arrays, spec: Spec, seed: int, views: str) -> Measured:
    found = Measured(
        labelled=len(dataset.labelled),
        unlabelled=len(dataset.unlabelled),
        modality=dataset.modality,
        counts=dict(zip(dataset.classes, _counts(dataset), strict=True)),
    )
    if not len(dataset):
        return found
    labelled = sample(dataset.labelled, _LABELLED, seed)
    unlabelled = sample(dataset.unlabelled, _UNLABELLED, seed)
    features = _features(views, arrays, spec, np.concatenate([labelled, unlabelled]), seed)
    ours, theirs = features[: len(labelled)], features[len(labelled) :]
    y = dataset.targets[labelled]
    pool = theirs if len(theirs) else ours
    found.clusters = tendency(pool, len(dataset.classes), seed)
    found.copies = _copies(dataset, arrays, seed)
    if len(dataset.classes) < 2:
        # Nothing is known of any class yet: what lies in the middle of each cluster tells most.
        found.first = _central(dataset, theirs, unlabelled, seed)
        return found
    _among_labels(found, dataset, ours, y, seed)
    said, told = cross_fitted(ours, y, theirs, len(dataset.classes), seed)
    noise = label_noise(ours, y, len(dataset.classes), said, seed)
    if noise is not None:
        found.noise, found.suspects = noise, _ids(dataset, labelled[noise.flagged[:20]])
    if len(theirs):
        found.pool_shares = dict(
            zip(dataset.classes, _shares(told, y, len(dataset.classes)).tolist(), strict=True)
        )
    if min(len(ours), len(theirs)) >= _TESTABLE:
        _between(found, dataset, features, (labelled, unlabelled), (said, told), seed)
    return found


def _counts(dataset: Dataset) -> list[int]:
    counted = np.bincount(dataset.targets[dataset.labelled], minlength=len(dataset.classes))
    return [int(n) for n in counted]


def _ids(dataset: Dataset, index: Index) -> tuple[str, ...]:
    return tuple(str(dataset.ids[i]) for i in index)


def _features(
    views: str, arrays: Arrays, spec: Spec, index: Index, seed: int
) -> npt.NDArray[np.float32]:
    """(len(index), at most 64) leading components of frozen features."""
    modality = MODALITIES[views]
    kind = ENCODERS[modality.features]
    encoder = kind(**kind.configure(spec))
    encoder.prepare(arrays, sample(np.arange(len(arrays)), _PREPARED, seed), seed)
    features = np.nan_to_num(encode(encoder, arrays, index, modality.plain))
    width = min(_WIDTH, features.shape[1], len(features))
    solver = "randomized" if min(features.shape) > 4 * _WIDTH else "auto"
    fitted: Any = PCA(width, svd_solver=solver, random_state=seed)
    return np.asarray(fitted.fit_transform(features), np.float32)


def _among_labels(
    found: Measured, dataset: Dataset, ours: npt.NDArray[np.float32], y: Index, seed: int
) -> None:
    """How often the nearest labelled record has the same label."""
    if len(y) < 3:
        return
    near, _ = nearest(ours, 1, seed)
    found.neighbours = share(int((y[near[:, 0]] == y).sum()), len(y))
    found.chance = float(np.square(np.bincount(y) / len(y)).sum())


def _between(
    found: Measured,
    dataset: Dataset,
    features: npt.NDArray[np.float32],
    index: tuple[Index, Index],
    told: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    seed: int,
) -> None:
    """Labelled against unlabelled: tests of two samples, of columns, and regions without labels."""
    where = np.concatenate(index)
    labelled = np.arange(len(where)) < len(index[0])
    named = np.concatenate(told).argmax(1)
    one = np.zeros(len(where), np.int64)
    grouping = group(features, len(dataset.classes), seed)
    member = grouping.member
    found.cluster_agreement = agreement(member[labelled], dataset.targets[where[labelled]], seed)
    bare = bare_regions(features, labelled, named, grouping, seed)
    pool = int((~labelled).sum())
    found.regions = tuple(
        Region(
            share(len(r.records), pool), r.labelled, r.expected, r.p,
            _ids(dataset, where[r.records[:5]]),
            dataset.classes[int(np.bincount(named[r.records]).argmax())],
        )
        for r in bare
    )  # fmt: skip
    found.bare = share(sum(len(r.records) for r in bare), pool)
    found.apart_as_drawn = classifier_test(features, labelled, one, seed)
    found.apart = classifier_test(features, labelled, named, seed)
    found.discrepancy = kernel_test(features, labelled, named, seed)
    if bare:
        outside = np.ones(len(where), bool)
        for region in bare:
            outside[region.members] = False
        sides = labelled[outside]
        if min(sides.sum(), (~sides).sum()) >= _TESTABLE:
            found.apart_outside = classifier_test(features[outside], sides, named[outside], seed)
    alike = _matched(labelled, named, seed)
    if dataset.modality == "tabular":
        rows, mine = where[alike], labelled[alike]
        found.columns = tuple(compare_columns(dataset, rows[mine], rows[~mine]))
    else:
        found.columns = tuple(compare_components(features[alike], labelled[alike]))
    away = np.flatnonzero(~labelled)
    order = np.random.default_rng(seed).permutation(away)
    found.at_random = _ids(dataset, where[order[:10]])


def _matched(labelled: npt.NDArray[np.bool_], strata: Index, seed: int) -> Index:
    """All labelled records, and as many unlabelled ones as have the same shares of strata.

    Strata that hold the scarcest tenth of the labelled records may come short.
    """
    rng = np.random.default_rng(seed)
    ours, theirs = (
        np.bincount(strata[s], minlength=strata.max() + 1) for s in (labelled, ~labelled)
    )
    times = theirs / np.maximum(ours, 1)
    order = np.argsort(times, kind="stable")
    enough = np.searchsorted(np.cumsum(ours[order]), 0.1 * ours.sum(), "right")
    factor = times[order][min(enough, len(order) - 1)]
    kept = [np.flatnonzero(labelled)]
    for stratum in np.flatnonzero(ours):
        rows = rng.permutation(np.flatnonzero(~labelled & (strata == stratum)))
        kept.append(rows[: math.ceil(factor * ours[stratum])])
    return np.sort(np.concatenate(kept))


def _shares(
    told: npt.NDArray[np.float64], y: Index, classes: int, rounds: int = 30
) -> npt.NDArray[np.float64]:
    """(classes,) shares of the pool that fit the model's answers best.

    Expectation and maximisation (Saerens, Latinne & Decaestecker 2002, section 2), with one record
    a class in advance, so that no class dies out.
    """
    prior = np.maximum(np.bincount(y, minlength=classes) / len(y), 1e-9)
    shares = prior
    for _ in range(rounds):
        weighed = told * (shares / prior)
        weighed /= np.maximum(weighed.sum(1, keepdims=True), 1e-300)
        shares = (weighed.sum(0) + 1) / (len(told) + classes)
    return shares


def _copies(dataset: Dataset, arrays: Arrays, seed: int) -> tuple[int, int, int]:
    """Records that repeat another, unlabelled ones that repeat a labelled one, records looked at.

    Equal records, and nearly equal ones where the modality says what that is.
    """
    where = sample(np.arange(len(dataset)), _COPIES, seed)
    part = dataset if len(where) == len(dataset) else dataset.select(where)
    numbers = exact(part.content)
    if part.modality == "text":
        numbers = near_texts(part.records.column(0))
    elif part.modality in ("tabular", "embedding"):
        numbers = near_rows(part.records, part.columns)
    elif part.modality == "image" and "pixels" in arrays.names:
        numbers = near_images(np.asarray(arrays["pixels"][where], np.uint8))
    repeated = sum(len(members) - 1 for members in groups(numbers))
    both = np.isin(numbers[part.unlabelled], numbers[part.labelled])
    return repeated, int(both.sum()), len(part)


def _central(
    dataset: Dataset, theirs: npt.NDArray[np.float32], unlabelled: Index, seed: int
) -> tuple[str, ...]:
    """Ten unlabelled records, each from the middle of a cluster of its own."""
    if len(theirs) < _TESTABLE:
        return _ids(dataset, unlabelled[:10])
    grouping = group(theirs, 3, seed)
    far = np.square(theirs - grouping.centres[grouping.member]).sum(1)
    order = np.argsort(far, kind="stable")
    _, first = np.unique(grouping.member[order], return_index=True)
    size = np.bincount(grouping.member)
    middle = order[first][np.argsort(-size[grouping.member[order[first]]], kind="stable")]
    return _ids(dataset, unlabelled[middle[:10]])
