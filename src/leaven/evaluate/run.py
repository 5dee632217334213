"""The noun for evidence: what was fitted, on what, how good it is, and the model itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, RunError
from leaven.data.dataset import Column, Dataset
from leaven.data.given import given_with_answers
from leaven.evaluate.comparison import Verdict
from leaven.evaluate.folder import read_json, write_page
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.report import render
from leaven.evaluate.tables import read_parquet

if TYPE_CHECKING:
    from leaven.learn.predictor import Predictor

__all__ = ["DISTILLED", "Run"]

#: The folder of a run's small model, within the run's.
DISTILLED = "distilled"
#: Names by which records are read.
_READING = ("label", "id", "group", "time", "audit", "labels")


class Run:
    """A finished run, read from its folder.

    `story` is the whole of `run.json`; `verdict`, `metrics` and `baseline` are its parts that
    one asks for first. The folder also holds `model/` (the model that ships), `compared/` (the
    one it was compared with), `predictions.parquet`, `quarantine.parquet`, `evidence.parquet`
    `report.html`, and `distilled/` where `leaven distil` has made a small model.
    """

    def __init__(self, folder: Path, story: dict[str, Any]) -> None:
        self.folder, self.story = folder, story

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Open a run's folder. RunError when it is none, or not finished."""
        path = Path(folder)
        if path.name == "run.json":
            path = path.parent
        if not (path / "run.json").is_file():
            if (path / "work").is_dir():
                raise RunError(
                    f"The run '{path}' is not finished. Give the same fit command again to go on."
                )
            raise RunError(f"'{path}' is no run: it holds no run.json. Make one with leaven fit.")
        try:
            story = read_json(path / "run.json")
            run = cls(path, story)
            _ = run.verdict, run.metrics, run.baseline, story["run"]["seconds"]
            _ = story["dataset"]["modality"], story["dataset"]["columns"], story["dataset"]["hash"]
            return run
        except (ValueError, KeyError, TypeError) as broken:
            raise RunError(f"'{path / 'run.json'}' is damaged: {broken}.") from broken

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.verdict.sentence})"

    @property
    def verdict(self) -> Verdict:
        """Outcome, the method kept, the difference with its interval, and a sentence."""
        told = self.story["verdict"]
        difference = Estimate(**told["difference"]) if told["difference"] else None
        return Verdict(**told | {"difference": difference})

    @property
    def metrics(self) -> dict[str, Estimate]:
        """Figures of the model that ships, by name."""
        return {name: Estimate(**told) for name, told in self.story["metrics"].items()}

    @property
    def baseline(self) -> dict[str, Estimate]:
        """The same figures of the supervised baseline."""
        told = self.story["baseline"]["metrics"]
        return {name: Estimate(**figure) for name, figure in told.items()}

    @cached_property
    def predictor(self) -> Predictor:
        """The model that ships."""
        return _model(self.folder / "model")

    @cached_property
    def compared(self) -> Predictor:
        """The model it was compared with; the same one where only one was asked for."""
        folder = self.folder / "compared"
        return _model(folder) if folder.is_dir() else self.predictor

    @property
    def distilled(self) -> Predictor:
        """The small model that `leaven distil` made; RunError where there is none."""
        folder = self.folder / DISTILLED
        if not folder.is_dir():
            raise RunError(
                f"The run '{self.folder}' has no small model. Make it with leaven distil RUN DATA."
            )
        return _model(folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns that `predict` returns."""
        return self.predictor.classes

    def dataset(self, records: Any, label: str | None = None) -> Dataset:
        """Records as the model reads them: a Dataset, a path, an array, texts or a data frame.

        Without `label` no column is taken for one.
        """
        told = self.story["dataset"]
        modality = told["modality"]
        columns = tuple(Column(**column) for column in told["columns"])
        if isinstance(records, Dataset):
            return records
        if isinstance(records, str | Path):
            return Dataset.read(records, label=label or False, modality=modality, columns=columns)
        if isinstance(records, np.ndarray | list | tuple):
            return Dataset.from_arrays(records, modality=modality)
        return Dataset.from_frame(records, label=label or False, modality=modality, columns=columns)

    def records(self, data: Any = None) -> Dataset:
        """The records that the run was made of, or others, with labels, read as those were.

        Of its own those are left out that could not be decoded, as the fit did. Raises DataError
        where they are not where they were.
        """
        told = self.story["dataset"]
        source = told["source"] if data is None else data
        if data is None and (not source or not ("://" in source or Path(source).exists())):
            raise DataError(
                f"The records of this run are not at '{source}' any more. Say where they are."
            )
        if not isinstance(source, str | Path):
            return self.dataset(source)
        named = self.story["run"].get("reading", {})
        how = {name: named.get(name) for name in _READING} | {"modality": told["modality"]}
        columns = tuple(Column(**column) for column in told["columns"])
        found = given_with_answers(source, named.get("answers"), **how, columns=columns)
        return found if data is not None else self.decoded(found)

    def decoded(self, dataset: Dataset) -> Dataset:
        """The records of the run's data without those that were rejected after reading."""
        path = self.folder / "quarantine.parquet"
        if not path.exists():
            return dataset
        rejected = {*read_parquet(path, ["id"])["id"].to_pylist()}
        rejected -= {*dataset.quarantine["id"].to_pylist()}
        if not rejected:
            return dataset
        return dataset.select(np.flatnonzero(~np.isin(dataset.ids, sorted(rejected))))

    def predict(self, records: Any) -> npt.NDArray[np.float64]:
        """(n, k) calibrated probabilities, one row a record in the order given.

        A record that cannot be decoded gets a row of NaN; `predictor.predict` says why.
        """
        dataset = self.dataset(records)
        kept, found = self.predictor.predict(dataset)
        if len(kept) == len(dataset):
            return found
        rows = np.full((len(dataset), len(self.classes)), np.nan)
        rows[np.isin(dataset.ids, kept.ids)] = found
        return rows

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report anew; returns where.

        Where there is a key the one in the run's folder is encrypted, as all of the folder is; one
        at a `path` is not.
        """
        shown = self.folder / "shown.json"
        page = render(self.story, read_json(shown) if shown.exists() else {})
        return write_page(page, self.folder, path)


def _model(folder: Path) -> Predictor:
    # Figures of a run are read by servers that have nothing to do with torch.
    from leaven.learn.predictor import Predictor

    return Predictor.load(folder)
