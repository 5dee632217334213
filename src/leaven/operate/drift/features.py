"""Whole records held against the reference, by the features of an encoder.

Columns one by one say nothing of pictures and texts, and miss what changes between columns only.
So two tests look at features: a classifier that tries to tell what came in from the reference,
and the maximum mean discrepancy; the leading components are sketched as columns besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.decomposition import PCA

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, encode, sample
from leaven.learn.two_samples import Distance, classifier_test, kernel_test
from leaven.operate.drift.columns import Values
from leaven.operate.drift.testing import SAME, SHIFTED, UNSURE

__all__ = ["Both", "FeatureShift", "by_encoder", "compare_features", "components"]

_MOST = 2500  # records of each side that are encoded
_WIDTH, _SHOWN = 64, 8  # leading components, and those that are sketched
_FEWEST = 20

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Both:
    """(m, width) features of the reference and (n, width) of what came, on the same axes: the
    reference's principal components, the widest first."""

    reference: Features
    came: Features


@dataclass(frozen=True)
class FeatureShift:
    """Whether whole records differ.

    `classifier` is the area under the curve of a classifier that tells the two apart, 0.5 where it
    cannot; `kernel` the maximum mean discrepancy and its p of 300 permutations. `verdict` rests on
    the area: shifted where it is shown to be more than `least` above a half.
    """

    classifier: Distance
    kernel: Distance
    verdict: str


def by_encoder(reference: Dataset, came: Dataset, seed: int = 0) -> Both:
    """By the frozen encoder of the modality, made ready on one half of a sample of the reference.

    Only the other half is compared. An encoder fits the records it was made ready on a little
    better than any others, as do principal components, and a classifier would see that and no shift
    (so an encoder that a run has trained on the reference cannot look at it either).
    """
    modality = MODALITIES[reference.modality]
    spec = modality.describe(reference)
    kind = ENCODERS[modality.features]
    encoder = kind(**kind.configure(spec))
    order = np.random.default_rng(seed).permutation(len(reference))[: 2 * _MOST]
    first, second = np.sort(order[::2]), np.sort(order[1::2])
    found: list[Any] = []
    for dataset, rows in (
        (reference, first),
        (reference, second),
        (came, sample(np.arange(len(came)), _MOST, seed)),
    ):
        few = dataset.select(rows)
        arrays, rejected = modality.decode(few, spec)
        kept = np.setdiff1d(np.arange(len(few)), [position for position, *_ in rejected])
        if not len(kept):
            raise DataError(f"No record of '{dataset.name}' that was looked at can be read.")
        if not found:
            encoder.prepare(arrays, kept, seed)
        found.append(np.nan_to_num(encode(encoder, arrays, kept, modality.plain)))
    ready, ours, theirs = found
    width = min(_WIDTH, *ready.shape)
    solver = "randomized" if min(ready.shape) > 4 * _WIDTH else "auto"
    turn: Any = PCA(width, svd_solver=solver, random_state=seed).fit(ready)
    return Both(*(np.asarray(turn.transform(side), np.float32) for side in (ours, theirs)))


def components(both: Both) -> tuple[dict[str, Values], dict[str, Values]]:
    """The leading components of both sides, as columns to sketch."""
    width = range(min(_SHOWN, both.reference.shape[1]))
    names = {f"component {i + 1}": i for i in width}
    return (
        {name: both.reference[:, i].astype(np.float64) for name, i in names.items()},
        {name: both.came[:, i].astype(np.float64) for name, i in names.items()},
    )


def compare_features(
    both: Both, *, least: float, allowed: float, seed: int = 0
) -> FeatureShift | None:
    """Both tests; None where one side has fewer than 20 records.

    Parameters
    ----------
    least : what the area must be above a half to matter.
    allowed : the chance of a false word, see `testing.level_of`.
    """
    if min(len(both.reference), len(both.came)) < _FEWEST:
        return None
    features = np.concatenate([both.reference, both.came])
    ours = np.arange(len(features)) < len(both.reference)
    alike = np.zeros(len(features), np.int64)
    area = classifier_test(features, ours, alike, seed)
    kernel = kernel_test(features, ours, alike, seed)
    low, high = area.low or 0.0, area.high or 1.0
    error = (area.value - low) / norm.isf(0.025)
    if area.value - norm.isf(allowed) * error > 0.5 + least:
        verdict = SHIFTED
    else:
        verdict = SAME if high < 0.5 + 2 * least else UNSURE
    return FeatureShift(area, kernel, verdict)
