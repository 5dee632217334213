"""What a model loses by 8 bits, told on records whose labels did not teach it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError
from leaven.core.wording import percent, points, records, span
from leaven.data.dataset import Dataset
from leaven.evaluate.comparison import paired
from leaven.evaluate.intervals import Estimate, wilson
from leaven.operate.export.parity import as_given, as_new

if TYPE_CHECKING:
    from leaven.data.portable.model import Model

__all__ = ["LEAST", "loss_of"]

#: Records without which nothing can be said.
LEAST = 30
_NODES = 500


def loss_of(
    whole: Model, small: Model, dataset: Dataset, taught: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """How often both name the same class, how far they lie apart, and how often each is right.

    Of a graph's nodes 500 at most are asked as if they were new: the answers for its own are exact.

    Parameters
    ----------
    taught : (n,) records whose labels taught the model; they are left out.

    Raises DataError where fewer than 30 records are left.
    """
    places = np.flatnonzero(~taught)
    if dataset.modality == "graph":
        places = places[np.linspace(0, len(places) - 1, min(len(places), _NODES)).astype(np.int64)]
    free = dataset.select(places)
    new = whole.spec.get("new", False) and len(places)
    given = as_new(dataset, places) if new else as_given(free)
    theirs, why = whole.probabilities(given)
    read = np.array([place not in why for place in range(len(given))], bool)
    theirs, ours = theirs[read], small.probabilities(given)[0][read]
    if len(theirs) < LEAST:
        raise DataError(
            f"What 8 bits lose is told on at least {LEAST} records whose labels did not teach the "
            f"model. Got {len(theirs)}. Say with --data where more are."
        )
    guess, own = theirs.argmax(1), ours.argmax(1)
    place = {name: number for number, name in enumerate(whole.classes)}
    labels = np.array(free.labels.to_pylist(), object)[read]
    truth = np.array([place.get(label or "", -1) for label in labels], np.int64)
    told: dict[str, Any] = {
        "agreement": asdict(_share(guess == own)),
        "variation": float(np.abs(theirs - ours).sum(1).mean() / 2),
        "largest": float(np.abs(theirs - ours).max()),
        "accuracy": None,
    }
    known = truth >= 0
    if known.any():
        right = [(named == truth)[known] for named in (guess, own)]
        difference, p_value = paired(right[1], right[0])
        told["accuracy"] = {
            "float": asdict(_share(right[0])),
            "int8": asdict(_share(right[1])),
            "difference": asdict(difference),
            "p_value": p_value,
        }
    return told | {"sentence": _sentence(told)}


def _share(hits: npt.NDArray[np.bool_]) -> Estimate:
    low, high = wilson(hits.sum(), len(hits))
    return Estimate(float(hits.mean()), float(low), float(high), len(hits))


def _sentence(told: dict[str, Any]) -> str:
    agreement, accuracy = told["agreement"], told["accuracy"]
    lost, most = (points(1 - agreement[end], sign=False) for end in ("value", "low"))
    said = (
        f"In 8 bits it names the same class for {percent(agreement['value'])} of "
        f"{records(agreement['n'])} whose labels did not teach it: at most {lost} points of "
        f"accuracy can be lost on them, {most} at the end of the interval."
    )
    if accuracy is None:
        return said
    difference = accuracy["difference"]
    return (
        f"{said} By their labels its accuracy is {percent(accuracy['int8']['value'])} in 8 bits "
        f"and {percent(accuracy['float']['value'])} in 32: {points(difference['value'])} points "
        f"({span(difference['low'], difference['high'])}) on {records(difference['n'])}."
    )
