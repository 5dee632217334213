"""Where a queue is: that of a run's data beside the run, that of bare data where runs will be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from leaven.core.errors import DataError, LeavenError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.data.readers import data_name
from leaven.evaluate.run import Run
from leaven.label.queue import Queue
from leaven.store.store import RUNS, STORE, Store

__all__ = ["Place", "place_of"]


@dataclass(frozen=True)
class Place:
    """A queue's name and the address of its store; `run` is None where there is data alone.

    `runs` is the folder in which the runs of these data are, `data` the path of data alone.
    """

    run: Run | None
    name: str
    address: str
    runs: Path
    data: str = ""

    def with_run(self) -> Run:
        """The run; DataError where there is data alone."""
        if self.run is None:
            raise DataError(f"'{self.name}' is no run. Make one with leaven fit.")
        return self.run

    @cached_property
    def store(self) -> Store:
        """The store, made if it is not there."""
        if "://" not in self.address:
            Path(self.address).parent.mkdir(parents=True, exist_ok=True)
        return Store(self.address)

    def open(self) -> Queue:
        """The queue; DataError where nothing was asked yet."""
        if "://" not in self.address and not Path(self.address).is_file():
            raise DataError(
                f"Nothing was asked yet: there is no store '{self.address}'. Begin with leaven "
                "query RUN, or leaven query DATA --classes NAME,NAME where there is no label yet."
            )
        return Queue(self.store, self.name)

    def made(self, classes: Sequence[str], modality: str) -> Queue:
        """The queue, made if it is not there."""
        return Queue.made(self.store, self.name, classes=classes, modality=modality)

    def shown(self, records: Collection[str]) -> dict[str, dict[str, Any]]:
        """`content` and `shown` of these records, by id; of those that can still be read."""
        if not records:
            return {}
        try:
            if self.run is not None:
                dataset = self.run.records()
            else:
                dataset = Dataset.read(self.data, label=False)
        except LeavenError:
            return {}
        modality = MODALITIES[dataset.modality]
        rows = np.flatnonzero(np.isin(dataset.ids, list(records))).tolist()
        return {
            str(dataset.ids[row]): {
                "content": str(dataset.content[row]),
                "shown": dict(modality.show(dataset, row)),
            }
            for row in rows
        }


def place_of(
    source: Run | str | Path, store: str | Path | None = None, queue: str | None = None
) -> Place:
    """The place of a run's queue, or of that of data.

    Parameters
    ----------
    source : a run or its folder, or a path of data.
    store : a file or URL, see `Store`; by default `leaven.db` beside the run, or in `runs`.
    queue : its name; by default that of the data.

    Raises RunError for a run that is not finished, DataError for what is neither.
    """
    run = source if isinstance(source, Run) else _run(Path(source))
    runs = Path(RUNS) if run is None else run.folder.resolve().parent
    name = run.story["dataset"]["name"] if run is not None else data_name(str(source))
    address = str(runs / STORE if store is None else store)
    return Place(run, queue or name, address, runs, "" if run is not None else str(source))


def _run(path: Path) -> Run | None:
    """The run in this folder; None for data."""
    if path.name == "run.json" or (path / "run.json").is_file() or (path / "work").is_dir():
        return Run.load(path)
    if "://" not in str(path) and not path.exists():
        raise DataError(f"There is neither a run nor data at '{path}'.")
    return None
