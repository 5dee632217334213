"""A reference as a user names it, a run, data or a kept one, and new records read as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leaven.core.errors import DataError, UnknownNameError
from leaven.data.dataset import Column, Dataset
from leaven.data.given import given
from leaven.evaluate.run import Run
from leaven.operate.drift.columns import Values, values_of
from leaven.operate.drift.comparing import LEAST, compare
from leaven.operate.drift.directions import DIRECTED, Directions
from leaven.operate.drift.drift import Drift, judged
from leaven.operate.drift.features import by_encoder, compare_features, components
from leaven.operate.drift.keeping import Kept, is_kept, keep, kept
from leaven.operate.drift.reference import Parts, Reference
from leaven.operate.drift.seasons import seasons_of, slices_of
from leaven.operate.drift.testing import level_of

__all__ = ["Watched"]


class Watched:
    """What new records are held against.

    `reference` is None where there is no column to sketch (pictures, sounds, series, vectors):
    then the components of features are sketched, for which `dataset` must be at hand.
    """

    def __init__(
        self,
        reference: Reference | None,
        told: dict[str, Any],
        dataset: Dataset | None = None,
        run: Run | None = None,
        directions: Directions | None = None,
    ) -> None:
        self._kept = None if reference is None else Kept(reference, told, directions)
        self._told, self._dataset, self._run = told, dataset, run

    @classmethod
    def of(
        cls,
        source: str | Path | Dataset,
        *,
        label: str | bool | None = None,
        modality: str | None = None,
        time: str | None = None,
        season: str | None = None,
        slice: str | None = None,
        ignore: Sequence[str] = (),
    ) -> Watched:
        """The reference that `leaven.watching.drift` describes."""
        if not isinstance(source, Dataset) and is_kept(source):
            found = kept(Path(source))
            return cls(found.reference, found.told, directions=found.directions)
        run = None
        if isinstance(source, str | Path) and (Path(source) / "run.json").is_file():
            run = Run.load(source)
            dataset = run.records()
            label = run.story["run"].get("reading", {}).get("label") or label
        else:
            dataset = _read(source, label=label, modality=modality, time=time)
        for name in ignore:
            if name not in dataset.records.column_names:
                raise UnknownNameError("column", name, dataset.records.column_names)
        told = {
            "name": dataset.name,
            "modality": dataset.modality,
            "columns": [{"name": c.name, "kind": c.kind} for c in dataset.columns],
            "label": label,
            "time": time,
            "season": season,
            "slice": slice,
            "ignore": list(ignore),
        }
        values = _values(dataset, told)
        reference = Reference.of(values, *_parts(dataset, told)) if values else None
        return cls(reference, told, dataset, run)

    @property
    def name(self) -> str:
        """What the reference is called."""
        return str(self._told["name"])

    def keep(self, path: Path) -> None:
        """Write the reference, see `keeping.keep`; of records without columns that of their
        directions. DataError where there is neither.
        """
        if not is_kept(path):
            raise DataError(f"A kept reference is named NAME.drift. Got '{path}'.")
        keep(path, self._kept or self._directed())

    def read(self, came: Any) -> Dataset:
        """New records, read as the reference was; labels are not looked for."""
        told = self._told
        if self._run is not None and not told["time"]:
            return self._run.dataset(came)
        columns = tuple(Column(**column) for column in told["columns"])
        return _read(
            came, label=False, modality=told["modality"], time=told["time"], columns=columns
        )

    def compare(
        self,
        came: Dataset,
        *,
        least: float = LEAST,
        level: float = 0.05,
        look: int = 1,
        seed: int = 0,
    ) -> Drift:
        """Hold records against the reference: column by column, and whole by features.

        See `comparing.compare`. Raises DataError where nothing can be compared.
        """
        features, both = None, None
        data = self._dataset
        if data is not None and data.modality != "tabular" and data.edges is None:
            both = by_encoder(data, came, seed)
            features = compare_features(both, least=least, allowed=level_of(look, level), seed=seed)
        if self._kept is not None:
            reference, along = self._kept.reference, self._kept.directions
            values = _values(came, self._told) if along is None else along.of_dataset(came)
            sketch = reference.sketch(values, *_parts(came, self._told))
        elif both is not None:
            ours, theirs = components(both)
            reference = Reference.of(ours)
            sketch = reference.sketch(theirs)
        else:
            raise DataError("No column is left to look at. Ignore fewer of them.")
        shifts = compare(reference, sketch, least=least, level=level, look=look)
        return judged(shifts, features, reference, sketch, least)

    def _directed(self) -> Kept:
        """The reference of records without columns, by their principal directions."""
        dataset = self._dataset
        if dataset is None or dataset.modality not in DIRECTED:
            raise DataError(
                f"A reference of {self._told['modality']} records has no columns to keep. "
                "Give the run or the data each time."
            )
        directions, values = Directions.of(dataset)
        return Kept(Reference.of(values), self._told, directions)


def _values(dataset: Dataset, told: dict[str, Any]) -> dict[str, Values]:
    """What is watched of each column that is not ignored."""
    skipped = {f"length of {name}" for name in told["ignore"]} | set(told["ignore"])
    return {
        name: v
        for name, v in values_of(dataset.columns, dataset.records).items()
        if name not in skipped
    }


def _parts(dataset: Dataset, told: dict[str, Any]) -> tuple[Parts | None, Parts | None]:
    return (
        None if told["season"] is None else seasons_of(dataset, told["season"]),
        None if told["slice"] is None else slices_of(dataset, told["slice"]),
    )


def _read(source: Any, **how: Any) -> Dataset:
    """Data, with the label column that is named; without one where none can be found."""
    reading = {"labels": None, "id": None, "group": None, "audit": None} | how
    if isinstance(source, str | Path) and reading["label"] is None:
        try:
            return given(source, **reading)
        except DataError:
            return given(source, **reading | {"label": False})
    return given(source, **reading)
