"""The records as a model sees them, and what a question about one of them shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.evaluate.run import Run
from leaven.label.asking.marks import deciding_words, unusual_values
from leaven.label.asking.strategy import Asked
from leaven.label.queue import Ask
from leaven.learn.encoder import Encoder, encode
from leaven.learn.front import Front
from leaven.learn.predictions import Floats
from leaven.learn.predictor import Predictor

__all__ = ["Seen"]

_GUESSES, _NEIGHBOURS = 5, 3


class Seen:
    """The records as an encoder sees them."""

    def __init__(
        self,
        dataset: Dataset,
        arrays: Arrays,
        encoder: Encoder,
        front: Front,
        classes: tuple[str, ...],
        run: str = "",
        model: Predictor | None = None,
    ) -> None:
        self.dataset, self._classes = dataset, classes
        self._origin = {"run": run} if run else {}
        self._model = model
        self.embeddings = encode(encoder, arrays, np.arange(len(dataset)), front.views.plain)
        place = {name: i for i, name in enumerate(classes)}
        labels = dataset.labels.to_pylist()
        #: (n,) places among the classes; -1 for none, and for a label that is not among them.
        self.labelled = np.array([place.get(label or "", -1) for label in labels], np.int64)
        self._modality = MODALITIES[dataset.modality]
        self._known = np.flatnonzero(self.labelled >= 0)

    @classmethod
    def by(cls, run: Run, dataset: Dataset) -> tuple[Seen, Floats]:
        """The records of a dataset that the run's model can read, and (n, k) what it says."""
        predictor = run.predictor
        front, encoder = predictor.front, predictor.network.encoder
        readable, arrays = front.readable(dataset)
        seen = cls(readable, arrays, encoder, front, run.classes, run.folder.name, predictor)
        return seen, predictor.probabilities(arrays)

    def open(self, waiting: Sequence[str]) -> npt.NDArray[np.bool_]:
        """(n,) which records have no label and do not wait; DataError where none is left."""
        found: npt.NDArray[np.bool_] = (self.dataset.targets < 0) & ~np.isin(
            self.dataset.ids, list(waiting)
        )
        if not found.any():
            raise DataError(
                f"No record of '{self.dataset.name}' is left to ask about: each has a label, an "
                "answer, or waits for one. Give more records."
            )
        return found

    def asks(
        self, found: Asked, strategy: str, probabilities: Floats | None, wanted: int
    ) -> tuple[Ask, ...]:
        """The questions of a batch, the first with the highest priority."""
        rows = found.index.tolist()
        asks = [
            self.ask(
                row,
                None if probabilities is None else probabilities[row],
                found.reasons[rank],
                len(found) - rank,
                wanted=wanted,
                origin={"strategy": strategy, "score": _number(found.scores[rank])},
            )
            for rank, row in enumerate(rows)
        ]
        return self.marked(asks, rows)

    def marked(self, asks: Sequence[Ask], rows: Sequence[int]) -> tuple[Ask, ...]:
        """The same questions, about the records at `rows`, with what to look at first.

        Of a text the words that its guess rests on, of a table's row the values that stand out.
        """
        extra: list[dict[str, Any]] = [{} for _ in asks]
        if self.dataset.modality == "tabular":
            extra = [{"unusual": names} for names in unusual_values(self.dataset, rows)]
        elif self.dataset.modality == "text" and self._model is not None:
            guesses = [ask.guess[0][0] if ask.guess else self._classes[0] for ask in asks]
            spans = deciding_words(self.dataset, rows, self._model, guesses)
            extra = [{"spans": [list(one) for one in each]} for each in spans]
        pairs = zip(asks, extra, strict=True)
        return tuple(replace(ask, shown={**ask.shown, **more}) for ask, more in pairs)

    def ask(
        self, row: int, p: Floats | None, reason: str, priority: float, *, origin: dict[str, Any],
        wanted: int, kind: str = "ask", truth: str | None = None,
    ) -> Ask:  # fmt: skip
        """The question about a record, with what a model says and the labelled ones near it."""
        best = [] if p is None else np.argsort(-p, kind="stable")[:_GUESSES].tolist()
        return Ask(
            record=str(self.dataset.ids[row]),
            content=str(self.dataset.content[row]),
            shown=dict(self._modality.show(self.dataset, row)) | {"neighbours": self._near(row)},
            guess=tuple((self._classes[i], float(p[i])) for i in best) if p is not None else (),
            reason=reason,
            kind=kind,
            truth=truth,
            priority=float(priority),
            wanted=wanted,
            origin=self._origin | origin,
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
