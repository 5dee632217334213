"""Whether the model says the same of two views of one record, without anybody's label.

A record is looked at twice, each time changed a little as a fit changes it (the weak view of its
modality). Where records leave what the model knows they come to lie nearer to where its answer
turns, and the two answers differ more often. It needs the records and the whole model (torch), so
it is measured on records that are at hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, LeavenError
from leaven.core.wording import count
from leaven.operate.health.signal import UNTOLD, Signal, untold
from leaven.operate.health.unlabelled import fallen

if TYPE_CHECKING:
    from leaven.data.dataset import Dataset
    from leaven.evaluate.run import Run
    from leaven.learn.predictor import Predictor

__all__ = ["agreeing", "views"]

NAME = "agreement of views"
_MOST = 2000  # records of each side that are looked at
_MARGIN = 0.05  # agreement that fell by less does not matter


def views(run: Run, came: Dataset, *, seed: int = 0) -> Signal:
    """The agreement on records that came, held against that on the run's own unlabelled ones.

    Raises DataError where none of the records that came can be read.
    """
    if run.story["dataset"]["modality"] == "graph":
        return untold(NAME, "A graph's nodes hang together: they have no views of their own.")
    predictor = run.predictor
    now = agreeing(predictor, came, seed)
    if not len(now):
        raise DataError(f"No record of '{came.source or came.name}' can be read.")
    before, why = np.zeros(0), ""
    try:
        own = run.records()
        if own.hash != run.story["dataset"]["hash"]:
            raise DataError("The records of the run have changed since the fit.")
        before = agreeing(predictor, own.select(own.unlabelled), seed)
        why = "" if len(before) else "The run had no records without labels."
    except (LeavenError, OSError) as gone:
        why = str(gone)
    said = "Two views of one record, each changed a little, get the same answer in"
    advice = (
        "More of the records lie near where the answer turns: they are other than those that it "
        "was made with. See the records below, and label some."
    )
    found = fallen(NAME, said, before, now, _MARGIN, advice, why, "records")
    few = f"So few records say no more: {count(len(now))} new ones, {count(len(before))} before."
    return replace(found, advice=few) if found.verdict == UNTOLD and not why else found


def agreeing(predictor: Predictor, dataset: Dataset, seed: int = 0) -> npt.NDArray[np.float64]:
    """(n,) 1 where two weak views of a record get the same answer, else 0.

    Of at most 2000 records, drawn by the seed, those that can be read.
    """
    import torch

    from leaven.learn.encoder import sample

    few = dataset.select(sample(np.arange(len(dataset)), _MOST, seed))
    if not len(few):
        return np.zeros(0)
    front = predictor.front
    _, arrays = front.readable(few)
    rng = torch.Generator().manual_seed(seed)
    answers = [
        predictor.probabilities(
            arrays, view=lambda batch: front.views.weak(batch, front.arrays_spec, rng)
        ).argmax(1)
        for _ in range(2)
    ]
    return np.asarray(answers[0] == answers[1], np.float64)
