"""The data of a game day and what is fitted on them: records with labels that are known to it.

Some of the labels are given to the fits; the other records are sent to what was fitted, and the
game day, which knows their labels, says what was true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from leaven.core.errors import DataError, RunError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.operate.gameday.drill import BAD, GOOD
from leaven.operate.gameday.processes import Group

__all__ = ["World", "known_data"]

_LABEL, _METHOD = "label", "logistic"  # the quickest there is
_TAUGHT = 150  # labels that are given, of at most half of the records
_LEAST, _MOST = 100, 20_000  # records
_READ = ("tabular", "text")


@dataclass(frozen=True)
class World:
    """What a game day has before its drills.

    Attributes
    ----------
    name : of the data, and so of the services.
    label : the column of labels in the tables.
    tables : by the name of a run, what it is fitted on.
    records, truths : what is sent, and what is true of it; no fit was told their labels, and once
        there are runs each can be read.
    runs : folders of the runs that were asked for, by name.
    """

    name: str
    modality: str
    label: str
    classes: tuple[str, ...]
    tables: Mapping[str, Path]
    records: Sequence[Mapping[str, Any]]
    truths: Sequence[str]
    runs: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, data: Dataset, seed: int) -> World:
        """Write the tables into the folder. DataError for data that no drill can use."""
        if data.modality not in _READ:
            raise DataError(
                f"A game day sends records of cells or of text. These are {data.modality} records."
            )
        labelled = data.select(data.labelled)
        if len(labelled) < _LEAST or len(labelled.classes) < 2:
            raise DataError(
                f"A game day needs {_LEAST} records with labels of two classes at least, for it "
                f"must know what is true. '{data.name}' has {len(labelled)}, of "
                f"{len(labelled.classes)}."
            )
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(labelled))[:_MOST]
        labelled = labelled.select(order)
        taught = min(_TAUGHT, len(labelled) // 2)
        names = labelled.labels.to_pylist()
        label, tables = _LABEL, {}
        while label in labelled.records.column_names:
            label += "_"
        for kind, turn in ((GOOD, 0), (BAD, 1)):
            place = {name: i for i, name in enumerate(labelled.classes)}
            turned = [
                labelled.classes[(place[name] + turn) % len(place)] for name in names[:taught]
            ]
            given = pa.array(turned + [None] * (len(names) - taught), pa.string())
            columns = dict(
                zip(labelled.records.column_names, labelled.records.columns, strict=True)
            )
            table = pa.table({**columns, label: given})
            tables[kind] = folder / kind / f"{data.name}.csv"
            tables[kind].parent.mkdir()
            pa_csv.write_csv(table, tables[kind])
        records = labelled.records.slice(taught).to_pylist()
        return cls(
            data.name, data.modality, label, labelled.classes, tables, records, names[taught:]
        )  # fmt: skip

    def reading(self, kind: str) -> tuple[str, ...]:
        """The words of a command that reads the table of this run."""
        return (str(self.tables[kind]), "--label", self.label, "--modality", self.modality)

    def fitted(self, group: Group, folder: Path, kind: str, seed: int) -> Path:
        """The folder of a run, made by `leaven fit`. RunError where that fails."""
        words = ("fit", *self.reading(kind), "--method", _METHOD, "--budget", "10s", "--seed")
        done = group.run(*words, str(seed), "--out", str(folder / kind / "runs"), "--json")
        if done.code:
            raise RunError(f"The game day's run could not be fitted: {done.said}")
        (made,) = (folder / kind / "runs").glob("*/run.json")
        return made.parent

    def with_runs(self, runs: Mapping[str, Path]) -> World:
        """With these, and without records that the good one cannot read: that such a record is
        refused says nothing of a service."""
        made = replace(self, runs=runs)
        if GOOD not in runs:
            return made
        good = [row for row, said in enumerate(made.said(GOOD, self.records)) if said is not None]
        return replace(
            made,
            records=[self.records[row] for row in good],
            truths=[self.truths[row] for row in good],
        )

    def said(self, kind: str, records: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """What the model of a run says of records; None of one that it cannot read."""
        run = Run.load(self.runs[kind])
        frame = pa.Table.from_pylist(list(records))
        asked = frame if self.modality == "tabular" else frame.column(0).to_pylist()
        found = run.predict(asked)
        return [None if np.isnan(one).any() else run.classes[int(one.argmax())] for one in found]


def known_data() -> Dataset:
    """Breast tumours, of scikit-learn: 569 records of 30 numbers (Wolberg, Street & Mangasarian
    1995)."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    columns = [name.replace(" ", "_") for name in found.feature_names]
    table = dict(zip(columns, found.data.T, strict=True))
    labels = np.array(found.target_names)[found.target]
    return Dataset.from_frame(pa.table({**table, _LABEL: labels}), label=_LABEL, name="tumours")
