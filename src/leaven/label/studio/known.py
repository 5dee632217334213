"""A run and its records by id: what its model says of them, and what they look and sound like.

Nothing of a record is taken from a task of Label Studio but its id: an address in a task's data is
never opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.label.studio.media import Media, media_of_record

__all__ = ["Guess", "Known", "version_of"]

#: Class names with their calibrated probabilities, the likeliest first.
Guess = tuple[tuple[str, float], ...]

_GUESSES = 5


def version_of(run: Run) -> str:
    """What a run's predictions are called in Label Studio."""
    return f"leaven {run.folder.resolve().name}"


class Known:
    """The records of a run by their ids; read when the first is asked for.

    Parameters
    ----------
    data : the records, read as the run read them; by default those that it was fitted on.
    """

    def __init__(self, run: Run, data: Any = None) -> None:
        self.run, self._data = run, data
        self.version = version_of(run)

    @cached_property
    def dataset(self) -> Dataset:
        """The records; DataError where they are not where they were."""
        return self.run.records(self._data)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {str(name): place for place, name in enumerate(self.dataset.ids)}

    def __contains__(self, record: object) -> bool:
        return record in self._place

    def guesses(self, records: Sequence[str]) -> dict[str, Guess]:
        """What the model says of those of these records that are known and can be read."""
        wanted = [name for name in dict.fromkeys(records) if name in self._place]
        if not wanted:
            return {}
        # A graph's nodes are read with all of it: what a record is hangs on its neighbours.
        some = self.dataset
        if some.edges is None:
            some = some.select(np.array([self._place[name] for name in wanted], np.int64))
        read, probabilities = self.run.predictor.predict(some)
        rows = {str(name): row for row, name in enumerate(read.ids)}
        return {
            name: _ranked(self.run.classes, probabilities[rows[name]])
            for name in wanted
            if name in rows
        }

    def media(self, record: str) -> Media | None:
        """A record's picture or sound; None where it is not known. DataError where it is broken."""
        place = self._place.get(record)
        return None if place is None else media_of_record(self.dataset, place)


def _ranked(classes: Sequence[str], p: Any) -> Guess:
    best = np.argsort(-p, kind="stable")[:_GUESSES]
    return tuple((classes[i], float(p[i])) for i in best)
