"""Whether labelled and unlabelled records come from one source, as tests of two samples.

`features` are (n, width), `labelled` (n,) says who has a label, `strata` (n,) is any grouping in
which the two are comparable, such as the class that a model names: labels that were collected so
many a class come in other shares than the unlabelled records, which is no shift. Within a stratum
the unlabelled weigh as much as the labelled do, and p-values come of permutations within strata,
so they are exact whatever the records are like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from leaven.data.dataset import Column, Dataset, Index

__all__ = [
    "ColumnTest",
    "Distance",
    "classifier_test",
    "compare_columns",
    "compare_components",
    "holm",
    "kernel_test",
    "permuted",
]

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

_FOLDS = 4
_RIDGE = 0.1  # of the mean variance, added to each direction's
_LEADING, _FLAT = 24, 0.02  # components looked at, unless of next to no spread beside the widest
_SQUARES = 5  # leading components that also enter squared, so that spread counts as well as place
_KERNEL = 2000  # records compared pairwise
_EXPECTED = 5.0  # labelled records that a category must let expect, else it is one of the rest
_LEAST = 5  # records of each side
_MOST_COLUMNS = 200


@dataclass(frozen=True)
class Distance:
    """How far apart two samples are, with its 95 % interval (None where it has none) and p."""

    value: float
    low: float | None
    high: float | None
    p: float
    n: int


@dataclass(frozen=True)
class ColumnTest:
    """One column's test: `test` is ks (numbers) or chi2 (categories, Fisher's where they are two).

    `distance` is the largest gap of the two distribution functions, or Cramér's V; both in [0, 1].
    `adjusted` is p after Holm's correction over all columns. `said` puts the difference in words.
    """

    name: str
    test: str
    distance: float
    p: float
    adjusted: float
    said: str


def permuted(strata: Index, times: int, seed: int) -> Index:
    """(n, times) permutations that leave every record's stratum as it is; the first is identity.

    >>> permuted(np.array([0, 1, 1]), 3, seed=0)[0].tolist()
    [0, 0, 0]
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(strata, kind="stable")
    _, strata = np.unique(strata, return_inverse=True)
    moved = np.empty((len(strata), times), np.int64)
    # Sorted by stratum, in random order within: those of a stratum stay in its places.
    moved[order] = np.argsort(strata[:, None] + rng.random((len(strata), times)), axis=0)
    moved[:, 0] = np.arange(len(strata))
    return moved


def classifier_test(
    features: Floats, labelled: Bools, strata: Index, seed: int = 0, times: int = 300
) -> Distance:
    """Area under the curve of a linear classifier that tells who is labelled; 0.5 is alike.

    `features` are principal components, the widest first; the 24 leading ones are looked at.

    Lopez-Paz & Oquab 2017 (arXiv:1610.06545), with the area in the place of the accuracy. The
    classifier is a regularised discriminant on features and squares of the leading ones, always
    asked about records it was not fitted on; its one matrix does not hang on who is labelled, so
    each permutation costs a product. The interval is Hanley & McNeil's (1982).
    """
    # In random order, so that equal scores favour neither side.
    order = np.random.default_rng(seed).permutation(len(features))
    features, labelled, strata = features[order], labelled[order], strata[order]
    leading = features[:, features.std(0) > _FLAT * features.std(0).max()][:, :_LEADING]
    values = np.concatenate([leading, np.square(leading[:, :_SQUARES])], axis=1)
    values = (values - values.mean(0)) / (values.std(0) + 1e-9)
    moved = permuted(strata, times, seed)
    sides = labelled[moved]  # (n, times)
    weights = _balanced(sides, strata)
    fold = np.arange(len(values)) % _FOLDS
    scores = np.empty(sides.shape)
    for held in range(_FOLDS):
        train, asked = fold != held, fold == held
        centred = values[train] - values[train].mean(0)
        spread = centred.T @ centred / train.sum()
        spread[np.diag_indices_from(spread)] += _RIDGE * np.trace(spread) / len(spread) + 1e-9
        signed = np.where(sides[train], weights[train], -weights[train])
        direction = np.linalg.solve(spread, centred.T @ signed)
        scores[asked] = (values[asked] - values[train].mean(0)) @ direction
    areas = _areas(scores, sides, weights)
    area, ours = float(areas[0]), int(labelled.sum())
    half = 1.96 * _hanley_mcneil(area, ours, len(labelled) - ours)
    low, high = max(area - half, 0.0), min(area + half, 1.0)
    return Distance(area, low, high, _p_value(areas), len(labelled))


def kernel_test(
    features: Floats, labelled: Bools, strata: Index, seed: int = 0, times: int = 300
) -> Distance:
    """Squared maximum mean discrepancy with a Gaussian kernel as wide as the median distance.

    Gretton et al. 2012 (JMLR 13, eq. 5, and section 8 on the width). At most 2,000 records are
    compared, half of them labelled where there are as many. No interval.
    """
    rng = np.random.default_rng(seed)
    ours, theirs = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    ours = rng.permutation(ours)[: _KERNEL // 2]
    theirs = rng.permutation(theirs)[: _KERNEL - len(ours)]
    chosen = np.sort(np.concatenate([ours, theirs]))
    x = np.asarray(features[chosen], np.float32)
    squared = np.square(x).sum(1)
    far = np.maximum(squared[:, None] + squared - 2 * x @ x.T, 0)
    width = float(np.median(far[np.triu_indices(min(len(x), 500), 1)])) or 1.0
    kernel = np.exp(-far / width)
    sides = labelled[chosen][permuted(strata[chosen], times, seed)]
    weights = _balanced(sides, strata[chosen])
    signed = np.where(sides, weights, -weights).astype(np.float32)
    # What each record has with itself is no distance; what is left is the unbiased form, but for
    # factors that no permutation changes.
    np.fill_diagonal(kernel, 0.0)
    found = (signed * (kernel @ signed)).sum(0)
    return Distance(float(found[0]), None, None, _p_value(found), len(chosen))


def _balanced(sides: Bools, strata: Index) -> npt.NDArray[np.float64]:
    """(n, times) weights: one in all for each side, the unlabelled ones spread as the labelled.

    Strata in which one side has none weigh nothing.
    """
    _, strata = np.unique(strata, return_inverse=True)
    members = np.zeros((strata.max() + 1, len(strata)), np.float32)
    members[strata, np.arange(len(strata))] = 1
    ours = np.rint(members @ sides[:, :1].astype(np.float32))  # the same for every permutation
    theirs = members.sum(1, keepdims=True) - ours
    both = (ours > 0) & (theirs > 0)
    total = max(float(ours[both].sum()), 1.0)
    mine = np.where(both, 1 / total, 0.0)
    other = np.where(both, ours / total / np.maximum(theirs, 1), 0.0)
    return np.where(sides, mine[strata], other[strata])


def _areas(
    scores: npt.NDArray[np.float64], sides: Bools, weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(times,) weighted areas under the curve; no two scores are taken for equal."""
    order = np.argsort(scores, axis=0, kind="stable")
    sides = np.take_along_axis(sides, order, 0)
    weights = np.take_along_axis(weights, order, 0)
    below = np.cumsum(np.where(sides, 0.0, weights), axis=0)
    pairs = (np.where(sides, weights, 0.0) * below).sum(0)
    total = np.where(sides, weights, 0.0).sum(0) * below[-1]
    area: npt.NDArray[np.float64] = np.where(total > 0, pairs / np.maximum(total, 1e-300), 0.5)
    return area


def _hanley_mcneil(area: float, ours: int, theirs: int) -> float:
    """Standard error of an area under the curve."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (ours - 1) * (one - area**2) + (theirs - 1) * (two - area**2)
    return math.sqrt(max(spread, 0.0) / max(ours * theirs, 1))


def _p_value(found: npt.NDArray[np.floating[Any]]) -> float:
    """The share of arrangements at least as far apart as the first, which is the real one."""
    return float((found >= found[0] - 1e-12).mean())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the chance of any false alarm among all stays at p.

    >>> [round(q, 3) for q in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    adjusted, worst = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = worst
    return adjusted


def compare_columns(dataset: Dataset, ours: Index, theirs: Index) -> list[ColumnTest]:
    """A test for each column of a table, between the records at `ours` and those at `theirs`.

    Numbers and dates by Kolmogorov and Smirnov's, categories and truth values by chi² of the
    categories that let expect five labelled records (the others count as one), gaps by Fisher's.
    Free text is compared by its length. The gravest first; at most 200 columns.
    """
    found: list[tuple[str, str, float, float, str]] = []
    for column in dataset.columns[:_MOST_COLUMNS]:
        pair = [dataset.records[column.name].take(pa.array(i)) for i in (ours, theirs)]
        gaps = [int(values.null_count) for values in pair]
        if any(gaps) and gaps != [len(ours), len(theirs)]:
            table = np.array([[gaps[0], len(ours) - gaps[0]], [gaps[1], len(theirs) - gaps[1]]])
            if table.sum(0).all():
                shares = f"missing in {_share(table[0])} and {_share(table[1])}"
                found.append((column.name, "chi2", *_fisher(table), shares))
        full = [values.drop_null() for values in pair]
        if min(map(len, full)) < _LEAST:
            continue
        tested = _compare(column, full[0], full[1])
        if tested is not None:
            found.append((column.name, *tested))
    return _adjusted(found)


def compare_components(features: Floats, labelled: Bools, most: int = 16) -> list[ColumnTest]:
    """Kolmogorov and Smirnov's test of each of the leading components of features.

    None where one side has fewer than five records.
    """
    if min(labelled.sum(), (~labelled).sum()) < _LEAST:
        return []
    found = []
    for i in range(min(most, features.shape[1])):
        d, p = _smirnov(features[labelled, i], features[~labelled, i])
        found.append((f"component {i + 1}", "ks", d, p, ""))
    return _adjusted(found)


def _adjusted(found: list[tuple[str, str, float, float, str]]) -> list[ColumnTest]:
    corrected = holm([p for *_, p, _ in found])
    tests = [
        ColumnTest(name, test, distance, p, adjusted, said)
        for (name, test, distance, p, said), adjusted in zip(found, corrected, strict=True)
    ]
    return sorted(tests, key=lambda t: (t.adjusted, -t.distance))


def _compare(
    column: Column, ours: pa.ChunkedArray, theirs: pa.ChunkedArray
) -> tuple[str, float, float, str] | None:
    """Test, distance, p and words; None for a kind that has no test or a single value."""
    if column.kind in ("categorical", "boolean"):
        return _categories(ours.cast(pa.string()), theirs.cast(pa.string()))
    if column.kind == "numeric":
        a, b = (np.asarray(v.to_numpy(), np.float64) for v in (ours, theirs))
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        said = "median {:.4g} and {:.4g}"
    elif column.kind == "datetime":
        if not pa.types.is_temporal(ours.type):
            return None
        a, b = (
            np.asarray(v.cast(pa.timestamp("s")).cast(pa.int64()), float) for v in (ours, theirs)
        )
        said = ""
    elif column.kind == "text":
        a, b = (np.asarray(pc.utf8_length(v.cast(pa.string())), float) for v in (ours, theirs))
        said = "median length {:.4g} and {:.4g}"
    else:
        return None
    if min(len(a), len(b)) < _LEAST or np.ptp(np.concatenate([a, b])) == 0:
        return None
    return "ks", *_smirnov(a, b), said.format(np.median(a), np.median(b))


def _smirnov(a: Floats, b: Floats) -> tuple[float, float]:
    """Distance and p; exact where the smaller sample is small, and cautious where values tie."""
    found: Any = stats.ks_2samp(a, b, method="auto" if len(a) * len(b) < 1_000_000 else "asymp")
    return float(found.statistic), float(found.pvalue)


def _categories(
    ours: pa.ChunkedArray, theirs: pa.ChunkedArray
) -> tuple[str, float, float, str] | None:
    counts = []
    for values in (ours, theirs):
        counted = values.value_counts()
        counts.append(
            dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))
        )
    levels = sorted(set(counts[0]) | set(counts[1]))
    table = np.array([[c.get(level, 0) for level in levels] for c in counts], np.int64)
    expected = table.sum(0) * table.sum(1).min() / table.sum()
    frequent = expected >= _EXPECTED
    if not frequent.all():
        rest = table[:, ~frequent].sum(1, keepdims=True)
        table = np.concatenate([table[:, frequent], rest], axis=1)
        levels = [level for level, kept in zip(levels, frequent, strict=True) if kept] + ["others"]
    table, levels = (
        table[:, table.sum(0) > 0],
        [n for n, c in zip(levels, table.sum(0), strict=True) if c],
    )
    if len(levels) < 2:
        return None
    shares = table / table.sum(1, keepdims=True)
    most = int(np.abs(shares[0] - shares[1]).argmax())
    said = f"{levels[most]!r} {100 * shares[0, most]:.0f} % and {100 * shares[1, most]:.0f} %"
    if len(levels) == 2:
        return "chi2", *_fisher(table), said
    statistic, p, *_ = stats.chi2_contingency(table)
    return "chi2", math.sqrt(statistic / table.sum()), float(p), said


def _fisher(table: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Cramér's V of four counts, and the exact p."""
    statistic = stats.chi2_contingency(table, correction=False)[0]
    return math.sqrt(statistic / table.sum()), float(stats.fisher_exact(table)[1])


def _share(row: npt.NDArray[np.int64]) -> str:
    return f"{100 * row[0] / row.sum():.0f} %"
