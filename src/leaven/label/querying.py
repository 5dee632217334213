"""From a run to questions: which of its unlabelled records people are asked about, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES
from leaven.evaluate.run import Run
from leaven.label.pool import Pool
from leaven.label.queue import Ask
from leaven.label.strategy import ask, chosen
from leaven.learn.encoder import encode

__all__ = ["Queried", "query"]

_GUESSES, _NEIGHBOURS = 5, 3


@dataclass(frozen=True)
class Queried:
    """Questions about the records that are worth most, the first first, and who chose them."""

    strategy: str
    asks: tuple[Ask, ...]
    unreadable: int


def query(
    run: Run,
    dataset: Dataset,
    count: int,
    *,
    strategy: str = "auto",
    explore: float = 0.1,
    wanted: int = 1,
    waiting: Sequence[str] = (),
    seed: int = 0,
) -> Queried:
    """The `count` unlabelled records of `dataset` that are worth most to the run's model.

    Parameters
    ----------
    explore : the share drawn at random, see `ask`.
    wanted : how many people are to answer each.
    waiting : ids of records that are asked about already, or answered.

    Raises DataError where no record is left to ask about.
    """
    predictor = run.predictor
    before = len(dataset)
    dataset, arrays = predictor.front.readable(dataset)
    open_ = (dataset.targets < 0) & ~np.isin(dataset.ids, list(waiting))
    if not open_.any():
        raise DataError(
            f"No record of '{dataset.name}' is left to ask about: each has a label, an answer, or "
            "waits for one. Give more records."
        )
    everything = np.arange(len(dataset))
    probabilities = predictor.probabilities(arrays)
    views = MODALITIES[predictor.front.modality if arrays.shared else predictor.front.views.name]
    embeddings = encode(predictor.network.encoder, arrays, everything, views.plain)
    place = {name: i for i, name in enumerate(run.classes)}
    labelled = np.array([place.get(label or "", -1) for label in dataset.labels.to_pylist()])
    other = (dataset.targets >= 0) & (labelled < 0)  # a class that the model does not know
    pool = Pool(
        labelled,
        probabilities=probabilities,
        embeddings=embeddings,
        askable=open_ & ~other,
        names=run.classes,
        seed=seed,
    )
    named = chosen(pool) if strategy == "auto" else strategy
    found = ask(pool, count, named, explore=explore, groups=dataset.content)
    near = _Near(dataset, embeddings, np.flatnonzero(labelled >= 0))
    modality = MODALITIES[dataset.modality]
    asks = []
    for rank, row in enumerate(found.index.tolist()):
        p, score = probabilities[row], float(found.scores[rank])
        best = np.argsort(-p, kind="stable")[:_GUESSES]
        asks.append(
            Ask(
                record=str(dataset.ids[row]),
                content=str(dataset.content[row]),
                shown=dict(modality.show(dataset, row)) | {"neighbours": near.of(row)},
                guess=tuple((run.classes[i], float(p[i])) for i in best),
                reason=found.reasons[rank],
                priority=float(len(found) - rank),
                wanted=wanted,
                origin={
                    "run": run.folder.name,
                    "strategy": named,
                    "score": None if np.isnan(score) else score,
                },
            )
        )
    return Queried(named, tuple(asks), before - len(dataset))


class _Near:
    """Finds the labelled records nearest to another."""

    def __init__(
        self, dataset: Dataset, embeddings: npt.NDArray[np.float32], labelled: Index
    ) -> None:
        self._dataset, self._labelled = dataset, labelled
        self._embeddings = embeddings
        self._known = np.asarray(embeddings[labelled], np.float64)

    def of(self, row: int) -> list[dict[str, Any]]:
        """Label and looks of the nearest ones, the nearest first."""
        apart = ((self._known - np.asarray(self._embeddings[row], np.float64)) ** 2).sum(1)
        nearest = self._labelled[np.argsort(apart, kind="stable")[:_NEIGHBOURS]]
        modality = MODALITIES[self._dataset.modality]
        return [
            {
                "id": str(self._dataset.ids[i]),
                "label": self._dataset.labels[int(i)].as_py(),
                "shown": modality.show(self._dataset, int(i)),
            }
            for i in nearest
        ]
