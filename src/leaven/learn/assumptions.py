"""Whether unlabelled records can be expected to help, measured before any training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leaven.core.wording import count, percent
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Spec
from leaven.learn.encoder import ENCODERS, encode, sample
from leaven.learn.probes import separability

__all__ = ["Advice", "advise"]

_RECORDS = 5000  # looked at; enough for every figure below
_APART = 0.70  # a classifier that tells labelled from unlabelled this well: they differ
_NEAR = 5


@dataclass(frozen=True)
class Advice:
    """What to do, why, and the figures behind it.

    `choice` is `semi-supervised`, `supervised` or `label more`. In `numbers`: `neighbour_agreement`
    (share of labelled records whose nearest labelled ones share their label), `chance` (what the
    class shares alone would give), `separability` (area under the curve of a classifier that
    tells labelled from unlabelled records; 0.5 is what one wants).
    """

    choice: str
    reasons: tuple[str, ...]
    numbers: dict[str, float]


def advise(dataset: Dataset, arrays: Arrays, spec: Spec, seed: int = 0) -> Advice:
    """Measure the assumptions on frozen features and say what follows.

    Smoothness is the agreement of labels among near neighbours; equality of the two sets is a
    classifier two-sample test (Lopez-Paz & Oquab 2017).
    """
    few = min(np.bincount(dataset.targets[dataset.labelled]), default=0)
    numbers: dict[str, float] = {
        "labelled": len(dataset.labelled),
        "unlabelled": len(dataset.unlabelled),
        "fewest_of_a_class": int(few),
    }
    if len(dataset.classes) < 2:
        reason = "Fewer than two classes have labels: nothing can be told apart yet."
        return Advice("label more", (reason,), numbers)
    if not len(dataset.unlabelled):
        reason = "Every record has a label: there is nothing for the unlabelled part to add."
        return Advice("supervised", (reason,), numbers)
    features = _features(dataset, arrays, spec, seed)
    labelled, unlabelled = features
    y = dataset.targets[dataset.labelled][: len(labelled)]
    numbers |= _smoothness(labelled, y)
    apart = separability(labelled, unlabelled, seed)
    if apart is not None:
        numbers["separability"] = apart
    return _conclude(numbers, len(dataset.classes))


def _features(
    dataset: Dataset, arrays: Arrays, spec: Spec, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Frozen features of labelled and of unlabelled records."""
    modality = MODALITIES[dataset.modality]
    kind = ENCODERS[modality.features]
    encoder = kind(**kind.configure(spec))
    encoder.prepare(arrays, np.arange(len(dataset)), seed)
    labelled = dataset.labelled[:_RECORDS]
    unlabelled = sample(dataset.unlabelled, _RECORDS, seed)
    return (
        encode(encoder, arrays, labelled, modality.plain),
        encode(encoder, arrays, unlabelled, modality.plain),
    )


def _smoothness(features: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> dict[str, float]:
    """How often near neighbours share a label, beside what chance would give."""
    if len(y) < 3:
        return {}
    squared = (features**2).sum(1)
    distance = squared[:, None] + squared - 2 * features @ features.T
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(_NEAR, len(y) - 1)]
    # The nearest labelled neighbour alone counts where classes have few records.
    agreement = float((y[nearest[:, 0]] == y).mean())
    shares = np.bincount(y) / len(y)
    return {"neighbour_agreement": agreement, "chance": float((shares**2).sum())}


def _conclude(numbers: dict[str, float], classes: int) -> Advice:
    """From figures to a sentence a person can act on."""
    agreement, chance = numbers.get("neighbour_agreement", 0.0), numbers.get("chance", 1.0)
    apart = numbers.get("separability", 0.5)
    if numbers["fewest_of_a_class"] < 2:
        reason = (
            "A class has fewer than two labelled records, so it cannot be checked at all. "
            "Label at least four of each."
        )
        return Advice("label more", (reason,), numbers)
    if apart > _APART:
        reason = (
            f"Labelled and unlabelled records differ: a simple classifier tells them apart "
            f"(area under the curve {apart:.2f}; 0.50 would be alike). Label some of the "
            "unlabelled ones, drawn at random, before trusting what they teach."
        )
        return Advice("label more", (reason,), numbers)
    gain = (agreement - chance) / max(1 - chance, 1e-9)
    if gain < 0.15:
        reason = (
            f"Near records rarely share a label ({percent(agreement, 0)}, chance "
            f"{percent(chance, 0)}): labels "
            "will not flow well from record to record. Expect little from the unlabelled ones; "
            "the comparison with the supervised model decides."
        )
        return Advice("supervised", (reason,), numbers)
    reason = (
        f"Near records often share a label ({percent(agreement, 0)}, chance "
        f"{percent(chance, 0)}), and {count(numbers['unlabelled'])} unlabelled records lie around "
        f"{count(numbers['labelled'])} labelled ones: the unlabelled ones can be expected to help."
    )
    return Advice("semi-supervised", (reason,), numbers)
