"""From a run to questions: which of its records people are asked about, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.core.errors import DataError
from leaven.core.wording import percent
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.evaluate.run import Run
from leaven.label.pool import Pool
from leaven.label.queue import Ask
from leaven.label.strategy import ask, chosen
from leaven.learn.encoder import encode
from leaven.learn.label_noise import Share, cross_fitted, label_noise
from leaven.learn.predictions import Floats

__all__ = ["Queried", "doubt", "query"]

_GUESSES, _NEIGHBOURS = 5, 3


@dataclass(frozen=True)
class Queried:
    """Questions about the records that are worth most, the first first, and who chose them.

    `precision` is the share of them that is expected to be wrong, where labels are doubted.
    """

    strategy: str
    asks: tuple[Ask, ...]
    unreadable: int
    precision: Share | None = None


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
    seen = _Seen(run, dataset)
    open_ = (seen.dataset.targets < 0) & ~np.isin(seen.dataset.ids, list(waiting))
    if not open_.any():
        raise DataError(
            f"No record of '{dataset.name}' is left to ask about: each has a label, an answer, or "
            "waits for one. Give more records."
        )
    pool = Pool(
        seen.labelled,
        probabilities=seen.probabilities,
        embeddings=seen.embeddings,
        askable=open_,
        names=run.classes,
        seed=seed,
    )
    named = chosen(pool) if strategy == "auto" else strategy
    found = ask(pool, count, named, explore=explore, groups=seen.dataset.content)
    asks = tuple(
        seen.ask(
            row, seen.probabilities[row], found.reasons[rank], len(found) - rank, wanted=wanted,
            origin={"strategy": named, "score": _number(found.scores[rank])},
        )
        for rank, row in enumerate(found.index.tolist())
    )  # fmt: skip
    return Queried(named, asks, len(dataset) - len(seen.dataset))


def doubt(
    run: Run,
    dataset: Dataset,
    count: int,
    *,
    wanted: int = 1,
    waiting: Sequence[str] = (),
    seed: int = 0,
) -> Queried:
    """The `count` labelled records whose label is most probably wrong, see `label_noise`.

    No label is judged by a model that was taught it. Raises DataError where there are too few
    labels to tell, or none is doubted.
    """
    seen = _Seen(run, dataset)
    rows = np.flatnonzero(seen.labelled >= 0)
    features = np.asarray(seen.embeddings[rows], np.float64)
    features = (features - features.mean(0)) / (features.std(0) + 1e-9)
    y, k = seen.labelled[rows], len(run.classes)
    said, _ = cross_fitted(features, y, features[:0], k, seed)
    noise = label_noise(features, y, k, said, seed)
    if noise is None:
        raise DataError(
            f"'{dataset.name}' has too few labels to doubt any: it takes 60, and 8 of each class."
        )
    known = np.isin(seen.dataset.ids[rows], list(waiting))
    flagged = [int(one) for one in noise.flagged if not known[one]][:count]
    if not flagged:
        raise DataError(f"No label of '{dataset.name}' is doubted that was not asked about before.")
    asks = []
    for rank, one in enumerate(flagged):
        given = run.classes[y[one]]
        share = percent(float(said[one].max()), 0)
        other = run.classes[int(said[one].argmax())]
        reason = f"Labelled {given}; a model that was not taught this label says {other} ({share})"
        asks.append(
            seen.ask(
                int(rows[one]), said[one], reason, len(flagged) - rank, wanted=wanted,
                kind="suspect", origin={"strategy": "suspects", "given": given},
            )
        )  # fmt: skip
    unreadable = len(dataset) - len(seen.dataset)
    return Queried("suspects", tuple(asks), unreadable, noise.precision)


class _Seen:
    """The records as the run's model sees them."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        predictor = run.predictor
        self._run = run
        self.dataset, arrays = predictor.front.readable(dataset)
        self.probabilities = predictor.probabilities(arrays)
        views = predictor.front.views
        rows = np.arange(len(self.dataset))
        self.embeddings = encode(predictor.network.encoder, arrays, rows, views.plain)
        place = {name: i for i, name in enumerate(run.classes)}
        labels = self.dataset.labels.to_pylist()
        #: (n,) places among the model's classes; -1 for none, and for a class that it has not.
        self.labelled = np.array([place.get(label or "", -1) for label in labels], np.int64)
        self._modality = MODALITIES[self.dataset.modality]
        self._known = np.flatnonzero(self.labelled >= 0)

    def ask(
        self, row: int, p: Floats, reason: str, priority: float, *, origin: dict[str, Any],
        wanted: int, kind: str = "ask",
    ) -> Ask:  # fmt: skip
        """The question about a record, with what the model says and the labelled ones near it."""
        best = np.argsort(-p, kind="stable")[:_GUESSES]
        return Ask(
            record=str(self.dataset.ids[row]),
            content=str(self.dataset.content[row]),
            shown=dict(self._modality.show(self.dataset, row)) | {"neighbours": self._near(row)},
            guess=tuple((self._run.classes[i], float(p[i])) for i in best),
            reason=reason,
            kind=kind,
            priority=float(priority),
            wanted=wanted,
            origin={"run": self._run.folder.name} | origin,
        )

    def _near(self, row: int) -> list[dict[str, Any]]:
        """Label and looks of the nearest labelled records, the nearest first."""
        others = self._known[self._known != row]
        apart = ((self.embeddings[others] - self.embeddings[row]) ** 2).sum(1)
        return [
            {
                "record": str(self.dataset.ids[i]),
                "label": self.dataset.labels[int(i)].as_py(),
                "shown": self._modality.show(self.dataset, int(i)),
            }
            for i in others[np.argsort(apart, kind="stable")[:_NEIGHBOURS]]
        ]


def _number(score: float) -> float | None:
    return None if np.isnan(score) else float(score)
